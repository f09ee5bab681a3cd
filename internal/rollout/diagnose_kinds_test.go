package rollout

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

func TestFailedJob_namesThePodThatFailedLast(t *testing.T) {
	job := objects(t, "job-failed")[0]
	pods := load(t, "job-failed-pods").Pods
	f := FailedJob(job, pods)
	require.NotNil(t, f)
	assert.Equal(t, "BackoffLimitExceeded", f.Reason)
	assert.Equal(t, "the Job has failed: Job has reached the specified backoff limit; container migrate exited with code 4", f.Message)
	assert.Equal(t, []string{"migrate-bbbbb"}, f.Pods)
	assert.True(t, f.Fatal && f.WantsLog && !f.PreviousLog)
	assert.NotEmpty(t, f.Next)
	assert.False(t, ofJob(job).Done)

	g := Group{Kind: "Job", Pods: pods, Failure: f}
	found := Diagnose(g, noon)
	assert.Equal(t, "BackoffLimitExceeded", found[0].Reason)
	assert.True(t, Hopeless(g, found))
}

func TestDiagnose_leavesToAJobHowOftenItsPodsMayFail(t *testing.T) {
	for file, hopeless := range map[string]bool{"crash-loop": false, "out-of-memory": false, "job-failed-pods": false, "image-not-found": true} {
		g := load(t, file)
		g.Kind = "Job"
		found := Diagnose(g, noon)
		require.NotEmpty(t, found, file)
		assert.Equal(t, hopeless, Hopeless(g, found), file)
	}
}

func TestOfJob(t *testing.T) {
	for name, tt := range map[string]struct {
		status map[string]any
		done   bool
	}{
		"not started":             {map[string]any{}, false},
		"its pod starts":          {map[string]any{"active": int64(1), "ready": int64(0)}, false},
		"it runs":                 {map[string]any{"active": int64(1), "ready": int64(1)}, true},
		"it runs after a failure": {map[string]any{"active": int64(1), "ready": int64(1), "failed": int64(1)}, false},
		"complete":                {map[string]any{"succeeded": int64(1), "conditions": []any{map[string]any{"type": "Complete", "status": "True"}}}, true},
		"suspended":               {map[string]any{"conditions": []any{map[string]any{"type": "Suspended", "status": "True"}}}, true},
	} {
		job := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "batch/v1", "kind": "Job", "status": tt.status}}
		p, doomed := OfOther(job)
		assert.Equal(t, tt.done, p.Done, name)
		assert.Empty(t, doomed, name)
	}
}

func TestAutoscaling(t *testing.T) {
	for name, tt := range map[string]struct {
		status, reason string
		observed       string
		done           bool
		next           string // of a finding
	}{
		"it scales":                     {"True", "ValidMetricFound", "2", true, ""},
		"metrics are merely missing":    {"False", "FailedGetResourceMetric", "2", true, ""},
		"… of a container":              {"False", "FailedGetContainerResourceMetric", "2", true, ""},
		"… of something else":           {"False", "FailedGetExternalMetric", "2", true, ""},
		"nothing to scale":              {"False", "ScalingDisabled", "2", true, ""},
		"no selector":                   {"False", "InvalidSelector", "2", true, "scaleTargetRef"},
		"pods of another autoscaler":    {"False", "AmbiguousSelector", "2", true, "alone"},
		"kind of metric that is none":   {"False", "InvalidMetricSourceType", "2", true, "spec.metrics"},
		"reason that is not known here": {"False", "SomethingNew", "2", true, "kubectl describe hpa"},
		"earlier spec":                  {"False", "InvalidSelector", "1", false, ""},
		"not known yet":                 {"Unknown", "", "2", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			done, f := Autoscaling(objects(t, "autoscaler", "STATUS", tt.status, "REASON", tt.reason, "observedGeneration: 2", "observedGeneration: "+tt.observed)[0])
			assert.Equal(t, tt.done, done)
			if tt.next == "" {
				assert.Nil(t, f)
				return
			}
			require.NotNil(t, f)
			assert.True(t, f.Fatal)
			assert.Equal(t, "HorizontalPodAutoscaler app cannot scale: what the controller says", f.Message)
			assert.Contains(t, f.Next, tt.next)
		})
	}
}

// pod is one of a workload's.
func pod(name string, owner types.UID, labels map[string]string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: "shop", UID: types.UID("uid of " + name), Labels: labels,
		OwnerReferences: []metav1.OwnerReference{{UID: owner, Controller: new(true)}},
	}}
}

func TestGroupOf_takesThePodsOfTheCurrentRevision(t *testing.T) {
	v := &View{pods: []*corev1.Pod{
		pod("db-0", "db-uid", map[string]string{"controller-revision-hash": "db-old"}),
		pod("db-1", "db-uid", map[string]string{"controller-revision-hash": "db-new"}),
		pod("agent-a", "agent-uid", map[string]string{"pod-template-generation": "2"}),
		pod("agent-b", "agent-uid", map[string]string{"pod-template-generation": "3"}),
		pod("other", "else", nil),
	}}
	workloads := objects(t, "workloads")
	for i, want := range []struct {
		pods  []string
		fewer bool
	}{{[]string{"db-1"}, true}, {[]string{"agent-b"}, false}, {nil, false}} {
		g := v.GroupOf(workloads[i])
		var names []string
		for _, p := range g.Pods {
			names = append(names, p.Name)
		}
		assert.Equal(t, want.pods, names, g.Name)
		assert.Equal(t, want.fewer, g.Fewer, g.Name)
	}
}

func TestDiagnose_readsFromEventsThatNoPodComes(t *testing.T) {
	g := load(t, "statefulset-event")
	g.Kind, g.Object = "StatefulSet", "db"
	assert.Empty(t, Diagnose(g, noon), "all pods are there")
	g.Fewer = true
	found := Diagnose(g, noon)
	require.Len(t, found, 1)
	assert.Equal(t, `the pods cannot be created: forbidden: error looking up service account shop/nobody: serviceaccount "nobody" not found`, found[0].Message)
	assert.Contains(t, found[0].Next, "add the ServiceAccount")
	assert.True(t, Hopeless(g, found))
	assert.False(t, Hopeless(g, Diagnose(g, noon.Add(-15*time.Second))), "within its grace")
	newer := pod("db-0", "db-uid", nil)
	newer.CreationTimestamp = metav1.NewTime(noon)
	g.Pods = append(g.Pods, newer)
	assert.Empty(t, Diagnose(g, noon), "a newer pod has come")
}

func TestExplainService(t *testing.T) {
	v := &View{pods: []*corev1.Pod{pod("app-1", "", map[string]string{"app": "app", "track": "canary"})}}
	events := []*corev1.Event{{
		InvolvedObject: corev1.ObjectReference{Kind: "Service", Name: "public"},
		Type:           corev1.EventTypeWarning, Reason: "SyncLoadBalancerFailed", Message: "Error syncing load balancer: no quota",
	}}
	said := map[string]string{}
	for _, s := range objects(t, "services") {
		for _, f := range v.ExplainService(s, events) {
			said[s.GetName()] += f.Reason + ": " + f.Message
			assert.NotEmpty(t, f.Next)
			assert.False(t, f.Fatal)
		}
	}
	assert.Equal(t, map[string]string{
		"app":    "NoPodSelected: Service app selects no pod: none has the labels app=ap (there are pods with app=app)",
		"public": "NoAddress: Service public of type LoadBalancer has no address yet: Error syncing load balancer: no quota",
	}, said)
}

func TestExplainService_countsReadyPodsThatAreNoEndpoints(t *testing.T) {
	v := &View{slices: []*discoveryv1.EndpointSlice{{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Labels: map[string]string{discoveryv1.LabelServiceName: "fine"}},
		Endpoints:  []discoveryv1.Endpoint{{TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: "app-1"}}},
	}}}
	for name, ready := range map[string]corev1.ConditionStatus{"app-1": "True", "app-2": "True", "app-3": "False", "app-4": "True"} {
		p := pod(name, "", map[string]string{"app": "app"})
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
		v.pods = append(v.pods, p)
		if name == "app-4" {
			p.DeletionTimestamp = &metav1.Time{Time: noon}
		}
	}
	fine := objects(t, "services")[1]
	found := v.ExplainService(fine, nil)
	require.Len(t, found, 1)
	assert.Equal(t, "EndpointsLate", found[0].Reason)
	assert.Contains(t, found[0].Message, "Service fine does not send traffic to all of its ready pods yet (missing: 1)")
	v.slices[0].Endpoints = append(v.slices[0].Endpoints, discoveryv1.Endpoint{TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: "app-2"}})
	assert.Empty(t, v.ExplainService(fine, nil))
}

func TestEventLines_mergesThoseOfSeveralPods(t *testing.T) {
	event := func(pod, message string, count int32, at time.Duration) *corev1.Event {
		return &corev1.Event{
			InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: pod, UID: types.UID("uid of " + pod)}, Type: corev1.EventTypeWarning,
			Reason: "BackOff", Message: message, Count: count,
			FirstTimestamp: metav1.NewTime(noon), LastTimestamp: metav1.NewTime(noon.Add(at)),
		}
	}
	pods := []*corev1.Pod{pod("app-a", "", nil), pod("app-b", "", nil), pod("app-c", "", nil)}
	f := Finding{Pods: []string{"app-a", "app-b"}}
	assert.Equal(t, []string{
		"BackOff: restarting the container of POD (7 times, 2 pods)",
		"BackOff: only once, in app-b",
	}, f.EventLines([]*corev1.Event{
		event("app-a", "restarting the container of app-a", 3, 9*time.Second),
		event("app-b", "only once, in app-b", 1, 5*time.Second),
		event("app-b", "restarting the container of app-b", 4, time.Second),
		event("app-c", "another pod", 1, 20*time.Second),
		nil,
	}, pods))
}

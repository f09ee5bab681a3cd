package rollout

import (
	"regexp"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// createPods catches a ReplicaSet whose pods the server does not create: after
// refusedGrace if admission refuses them for what they are, after createGrace
// if it is for want of quota or of an answer from a webhook. Both are counted
// from the newest pod or the newest ready pod: as long as any come, it is only
// slow. Except while old pods of the Deployment will make room as the new ones
// become ready.
//
// Sources: FailedCreate in kubernetes/pkg/controller/replicaset/replica_set_utils.go
// (calculateStatus: the condition's time is that of the first failure, its
// message stays that of the first, and a sync without failure removes it).
func createPods(g Group, now time.Time) *Finding {
	failure := replicaFailure(g.ReplicaSet)
	if failure == nil || len(active(g.Pods)) >= replicas(g.ReplicaSet) {
		return nil
	}
	f := &Finding{
		Reason: "FailedCreate",
		// The random end of the name of a pod that is not there says nothing.
		Message: "the pods cannot be created: " + podName.ReplaceAllString(oneLine(failure.Message), ""),
		Since:   failure.LastTransitionTime.Time,
		Next:    nextFor(failure.Message, creating),
	}
	if retried.MatchString(failure.Message) && makesRoom(g, now) {
		return f
	}
	return f.fatalFrom(latest(f.Since, newest(g.Pods)).Add(creationGrace(failure.Message)), now)
}

// createOthers is createPods for the kinds whose controllers say only by an
// event that the server does not create their pods, as long as no newer pod has
// come.
//
// Sources: FailedCreate in kubernetes/pkg/controller/statefulset/stateful_pod_control.go
// and controller_utils.go (RealPodControl, for DaemonSets and Jobs).
func createOthers(g Group, now time.Time) *Finding {
	if !g.Fewer {
		return nil
	}
	var last *corev1.Event
	for _, e := range g.Events {
		if e != nil && e.Reason == "FailedCreate" && e.InvolvedObject.Kind == g.Kind && e.InvolvedObject.Name == g.Object &&
			(last == nil || LastTime(e).After(LastTime(last))) {
			last = e
		}
	}
	if last == nil || LastTime(last).Before(newest(g.Pods)) {
		return nil
	}
	message := failedCreate.ReplaceAllString(oneLine(last.Message), "")
	f := &Finding{
		Reason:  "FailedCreate",
		Message: "the pods cannot be created: " + podName.ReplaceAllString(message, ""),
		Since:   latest(firstTime(last), newest(g.Pods)),
		Next:    nextFor(message, creating),
	}
	return f.fatalFrom(f.Since.Add(creationGrace(message)), now)
}

// failedCreate is what controllers put before the server's words.
var failedCreate = regexp.MustCompile(`^(create Pod \S+ in StatefulSet \S+ failed error|Error creating): `)

func creationGrace(message string) time.Duration {
	if retried.MatchString(message) {
		return createGrace
	}
	return refusedGrace
}

var (
	podName = regexp.MustCompile(`^pods "[^"]*" is `)
	retried = regexp.MustCompile(`exceeded quota|failed calling webhook|Internal error|timeout|timed out|connection refused`)
)

var creating = []advice{
	{"exceeded quota", "free quota in the namespace, raise it, or ask for less (maxSurge: 0 replaces pods without extra ones)"},
	{"failed quota", "set the resources that the quota asks for in the pod template"},
	{"failed calling webhook", "bring back the webhook's own pods: without it no pod is created"},
	{"serviceaccount", "add the ServiceAccount to the manifests, or correct serviceAccountName"},
	{"service account", "add the ServiceAccount to the manifests, or correct serviceAccountName"},
	{"violates PodSecurity", "change the pod template's securityContext as the message says, or the namespace's pod-security labels"},
	{"PriorityClass", "create the PriorityClass, or correct priorityClassName"},
	{"denied", "change the pod template as the policy asks for"},
	{"", "change the pod template as the message says"},
}

func replicaFailure(rs *appsv1.ReplicaSet) *appsv1.ReplicaSetCondition {
	if rs == nil {
		return nil
	}
	for i := range rs.Status.Conditions {
		c := &rs.Status.Conditions[i]
		if c.Type == appsv1.ReplicaSetReplicaFailure && c.Status == corev1.ConditionTrue && c.Reason == "FailedCreate" {
			return c
		}
	}
	return nil
}

// newest is when the last pod was created or became ready.
func newest(pods []*corev1.Pod) time.Time {
	var t time.Time
	for _, pod := range active(pods) {
		t = latest(t, pod.CreationTimestamp.Time)
		if isTrue(pod, corev1.PodReady) {
			t = latest(t, condition(pod, corev1.PodReady).LastTransitionTime.Time)
		}
	}
	return t
}

// makesRoom says that the Deployment still has old pods, and a new one on its
// way for which one of them will go.
func makesRoom(g Group, now time.Time) bool {
	if g.Deployment == nil || g.Deployment.Status.Replicas <= g.Deployment.Status.UpdatedReplicas {
		return false
	}
	return slices.ContainsFunc(active(g.Pods), func(pod *corev1.Pod) bool {
		return !isTrue(pod, corev1.PodReady) && len(podFindings(&g, pod, now)) == 0
	})
}

// createReplicaSet catches a Deployment whose newest ReplicaSet the server does
// not create, after the same grace periods as createPods.
//
// Source: FailedRSCreateReason in kubernetes/pkg/controller/deployment/sync.go.
func createReplicaSet(g Group, now time.Time) *Finding {
	if g.Deployment == nil || isStale(g) {
		return nil
	}
	for _, c := range g.Deployment.Status.Conditions {
		if c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse && c.Reason == "ReplicaSetCreateError" {
			f := &Finding{
				Reason:  c.Reason,
				Message: "the ReplicaSet cannot be created: " + oneLine(c.Message),
				Since:   c.LastTransitionTime.Time,
				Next:    nextFor(c.Message, creating),
			}
			return f.fatalFrom(f.Since.Add(creationGrace(c.Message)), now)
		}
	}
	return nil
}

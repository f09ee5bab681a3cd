package rollout

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

func TestExplain(t *testing.T) {
	for name, tt := range map[string]struct {
		files                 []string
		change                func(*Group)
		reason, message, next string
	}{
		"readiness probe, with its last failure": {files: files("readiness"), reason: "Unhealthy", next: "what the application serves",
			message: "container app has not passed its readiness probe: GET /healthz on port http, which last failed with: HTTP probe failed with statuscode: 503"},
		"pod's own address is left out of a failure": {files: files("readiness"), reason: "Unhealthy",
			change:  func(g *Group) { g.Events = g.Events[:1] },
			message: `Get "http://POD_IP:8080/healthz": dial tcp POD_IP:8080: connect: connection refused`},
		"startup probe comes first": {files: files("readiness"), reason: "Unhealthy",
			change: func(g *Group) {
				g.Pods[0].Status.ContainerStatuses[0].Started = new(false)
				g.Pods[0].Spec.Containers[0].StartupProbe = &corev1.Probe{InitialDelaySeconds: 30, ProbeHandler: corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: 9000}}}
			},
			message: "has not passed its startup probe: gRPC health check on port 9000 (first tried after 30 s: initialDelaySeconds)"},
		"missing ConfigMap of a volume": {files: files("mount"), reason: "FailedMount", next: "add the ConfigMap",
			message: `the node cannot prepare the pod: MountVolume.SetUp failed for volume "config" : configmap "app-config" not found`},
		"container that is being created": {files: files("mount"), change: func(g *Group) { g.Events = nil },
			reason: "ContainerCreating", message: "container app waits to be started"},
		"image on its way": {files: files("mount"), reason: "Pulling",
			change: func(g *Group) {
				g.Events = g.Events[:1]
				g.Events[0].Reason, g.Events[0].InvolvedObject.FieldPath = "Pulling", "spec.containers{app}"
			},
			message: "container app is still pulling its image registry.example.com/shop/app:v2"},
		"init container that runs": {files: files("init-running"), reason: "PodInitializing",
			message: "init container wait-for-db is still running: the others wait for it"},
		"kubelet that fills its cache": {files: files("cache-sync"), reason: "CreateContainerConfigError",
			message: "failed to sync secret cache: timed out waiting for the condition"},
		"scheduler that does not exist": {files: files("unschedulable"), reason: "Pending",
			change:  func(g *Group) { g.Pods[0].Status.Conditions, g.Pods[0].Spec.SchedulerName = nil, "mine" },
			message: `scheduler "mine" has not looked at the pod`},
		"readiness gate": {files: files("readiness"), reason: "ReadinessGatesNotReady",
			change: func(g *Group) {
				g.Pods[0].Status.ContainerStatuses[0].Ready = true
				g.Pods[0].Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "target-health.elbv2.k8s.aws/app"}}
			},
			message: "the pod waits for its readiness gate target-health.elbv2.k8s.aws/app"},
		"no cause to see": {files: files("readiness"), reason: "NotReady",
			change:  func(g *Group) { g.Pods[0].Spec.Containers = nil },
			message: "the pod is not ready"},
		"pod that is replaced": {files: files("evicted"), reason: "Evicted", next: "the node",
			message: "is replaced: The node was low on resource: memory."},
		"no pod yet":        {files: files("quota"), change: func(g *Group) { g.ReplicaSet.Status.Conditions = nil }, reason: "NoPods"},
		"paused Deployment": {change: func(g *Group) { g.Deployment = &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Paused: true}} }, reason: "DeploymentPaused"},
		"what Diagnose finds speaks for a pod": {files: files("unschedulable"), reason: "Unschedulable",
			message: "no node takes the pod", next: "resources.requests"},
	} {
		t.Run(name, func(t *testing.T) {
			g := load(t, tt.files...)
			if tt.change != nil {
				tt.change(&g)
			}
			found := Explain(g, noon)
			require.Len(t, found, 1)
			assert.Equal(t, tt.reason, found[0].Reason)
			assert.Contains(t, found[0].Message, tt.message)
			assert.Contains(t, found[0].Next, tt.next)
			assert.NotEmpty(t, found[0].Next)
			assert.False(t, found[0].Fatal)
		})
	}
}

func TestExplain_isSilentAboutReadyPods(t *testing.T) {
	g := load(t, "flapping")
	g.Pods[0].Status.ContainerStatuses[0].RestartCount = 0
	assert.Empty(t, Explain(g, noon))
}

func TestFinding_TextNamesAFewPods(t *testing.T) {
	f := Finding{Reason: "Unschedulable", Message: "no node takes the pod", Pods: []string{"a", "b", "c", "d"}, Since: noon.Add(-90 * time.Second)}
	assert.Equal(t, "  Unschedulable: no node takes the pod\n    4 pods: a, b, c, …, for 1m30s\n", f.Text(noon))
	assert.Equal(t, "  NoPods: none\n", Finding{Reason: "NoPods", Message: "none"}.Text(noon))
}

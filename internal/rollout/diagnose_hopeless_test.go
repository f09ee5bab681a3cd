package rollout

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestHopeless(t *testing.T) {
	deployment := func(g *Group) {
		g.Deployment = &appsv1.Deployment{}
		g.ReplicaSet = &appsv1.ReplicaSet{Spec: appsv1.ReplicaSetSpec{Replicas: new(int32(2))}}
	}
	for name, tt := range map[string]struct {
		files  []string
		change func(*Group)
		want   bool
	}{
		"all pods fatal":                    {files("crash-loop"), deployment, true},
		"one pod still works":               {files("crash-loop", "readiness"), func(g *Group) { deployment(g); g.Pods[2].Name = "other" }, false},
		"one pod still to come":             {files("image-not-found"), deployment, false},
		"evicted pods do not count":         {files("crash-loop", "evicted"), func(g *Group) { deployment(g); g.Pods[2].Name = "other" }, true},
		"only evicted pods":                 {files("evicted"), deployment, false},
		"no pods":                           {nil, deployment, false},
		"grace not over":                    {files("image-timeout"), deployment, false},
		"newest generation not seen yet":    {files("crash-loop"), func(g *Group) { deployment(g); g.Deployment.Generation = 2 }, false},
		"pods cannot be created":            {files("pod-security"), func(*Group) {}, true},
		"other kinds: one pod is enough":    {files("crash-loop", "readiness"), func(g *Group) { g.Pods[2].Name = "other" }, true},
		"other kinds: nothing fatal, fine":  {files("readiness"), func(*Group) {}, false},
		"ReplicaSet cannot be created":      {nil, replicaSetCreateError, true},
		"… of a generation that is no more": {nil, func(g *Group) { replicaSetCreateError(g); g.Deployment.Generation = 2 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := load(t, tt.files...)
			tt.change(&g)
			assert.Equal(t, tt.want, Hopeless(g, Diagnose(g, noon)))
		})
	}
}

func replicaSetCreateError(g *Group) {
	g.Deployment = &appsv1.Deployment{Status: appsv1.DeploymentStatus{Conditions: []appsv1.DeploymentCondition{{
		Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ReplicaSetCreateError",
		LastTransitionTime: metav1.NewTime(noon.Add(-time.Minute)),
		Message:            `Failed to create new replica set "app-canary-7d4b9c6f5": replicasets.apps "app-canary-7d4b9c6f5" is forbidden: exceeded quota: count, requested: count/replicasets.apps=1, used: count/replicasets.apps=5, limited: count/replicasets.apps=5`,
	}}}}
}

package rollout

import (
	"fmt"
	goruntime "runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Memory grows with the pods, but little.
func TestKeep_littleOfEachPod(t *testing.T) {
	const pods = 2000
	for name, tt := range map[string]struct {
		arrives func(i int) any
		most    uint64 // bytes
	}{
		"a pod of two containers": {func(i int) any { return runningPod(t, i) }, 2400},
		"an endpoint":             {func(i int) any { return endpoint(i) }, 800},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeeper()
			kept := make([]any, pods)
			before := heapInUse()
			for i := range kept {
				var err error
				kept[i], err = k.keep(tt.arrives(i))
				require.NoError(t, err)
			}
			each := (heapInUse() - before) / pods
			t.Logf("%d bytes", each)
			assert.LessOrEqual(t, each, tt.most)
			goruntime.KeepAlive(kept)
		})
	}
}

// The informer asks twice about what it lists: that must not make a second copy.
func TestKeep_twiceIsOnce(t *testing.T) {
	k := newKeeper()
	for _, o := range []any{runningPod(t, 1), endpoint(1)} {
		once, err := k.keep(o)
		require.NoError(t, err)
		twice, err := k.keep(once)
		require.NoError(t, err)
		assert.Same(t, once, twice)
	}
}

// What a pod's conditions say of it while it is not ready is kept.
func TestKeep_conditionsUntilReady(t *testing.T) {
	types := func(pod *corev1.Pod) []corev1.PodConditionType {
		kept, err := newKeeper().keep(pod)
		require.NoError(t, err)
		var types []corev1.PodConditionType
		for _, c := range kept.(*corev1.Pod).Status.Conditions {
			types = append(types, c.Type)
		}
		return types
	}
	pod := runningPod(t, 1)
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue})
	assert.Equal(t, []corev1.PodConditionType{corev1.PodReady, corev1.DisruptionTarget}, types(pod))
	pod.Status.Conditions[2].Status = corev1.ConditionFalse
	assert.Len(t, types(pod), 6)
}

// Every look at the view judges all pods, several times a second: those that are
// well must not add to the garbage.
func TestDiagnose_allocatesNothingForPodsThatAreWell(t *testing.T) {
	k := newKeeper()
	allocations := func(pods int) float64 {
		g := Group{Name: "Deployment app", Kind: "Deployment"}
		for i := range pods {
			kept, err := k.keep(runningPod(t, i))
			require.NoError(t, err)
			g.Pods = append(g.Pods, kept.(*corev1.Pod))
		}
		require.Empty(t, Diagnose(g, time.Now()))
		return testing.AllocsPerRun(20, func() { Diagnose(g, time.Now()) })
	}
	assert.Equal(t, allocations(10), allocations(500))
}

// runningPod is the i-th pod of a ReplicaSet.
func runningPod(t *testing.T, i int) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{}
	for _, o := range objects(t, "running-pod", "NUMBER", fmt.Sprintf("%05d", i)) {
		require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, pod))
	}
	return pod
}

func endpoint(i int) *discoveryv1.EndpointSlice {
	name := fmt.Sprintf("app-7d4b9c6f5-%05d", i)
	return &discoveryv1.EndpointSlice{Endpoints: []discoveryv1.Endpoint{{
		Addresses:  []string{fmt.Sprintf("10.1.2.%d", i)},
		Conditions: discoveryv1.EndpointConditions{Ready: new(true), Serving: new(true), Terminating: new(false)},
		NodeName:   new("node-17"), Zone: new("zone-1"),
		TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: name},
	}}}
}

func heapInUse() uint64 {
	goruntime.GC()
	goruntime.GC()
	var m goruntime.MemStats
	goruntime.ReadMemStats(&m)
	return m.HeapAlloc
}

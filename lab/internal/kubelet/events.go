package kubelet

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	clientcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/tools/reference"

	"gitlab.com/rollstep/rollstep/lab/internal/podlife"
)

// recorders records events in the name of each node's kubelet.
type recorders struct {
	client kubernetes.Interface
	mu     sync.Mutex
	byPods map[string]*recorder
}

// recorder records the events of some pods of a node.
type recorder struct {
	record.EventRecorder
	broadcaster record.EventBroadcaster
}

func newRecorders(client kubernetes.Interface) *recorders {
	return &recorders{client: client, byPods: map[string]*recorder{}}
}

func (r *recorders) shutdown() {
	for _, one := range r.byPods {
		one.broadcaster.Shutdown()
	}
}

func (r *recorders) record(pod *corev1.Pod, events []podlife.Event) {
	if len(events) == 0 {
		return
	}
	ref, err := reference.GetReference(scheme.Scheme, pod)
	if err != nil {
		return
	}
	recorder := r.of(pod)
	for _, e := range events {
		about := *ref
		about.FieldPath = e.FieldPath
		recorder.Event(&about, e.Type, e.Reason, e.Message)
	}
}

// of returns the recorder of the pod's events. Since a recorder writes one
// event after the other and drops what it cannot keep up with, each node has
// several, as if it were several nodes that share the pods of a large Deployment.
func (r *recorders) of(pod *corev1.Pod) *recorder {
	node, uid := pod.Spec.NodeName, string(pod.UID)
	shard := node + "/" + uid[len(uid)-1:]
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byPods[shard] == nil {
		// Pods fail about ten times faster here than on a real node,
		// so they may record that many more events before they are dropped.
		broadcaster := record.NewBroadcasterWithCorrelatorOptions(record.CorrelatorOptions{BurstSize: 250, QPS: 1})
		broadcaster.StartRecordingToSink(&clientcorev1.EventSinkImpl{Interface: r.client.CoreV1().Events("")})
		r.byPods[shard] = &recorder{
			EventRecorder: broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "kubelet", Host: node}),
			broadcaster:   broadcaster,
		}
	}
	return r.byPods[shard]
}

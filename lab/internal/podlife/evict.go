package podlife

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/kubelet/eviction"

	"gitlab.com/rollstep/rollstep/lab/internal/behaviour"
)

// evict ends a pod whose node is short of something, as evictPod and the pod
// killer do (pkg/kubelet/eviction/eviction_manager.go): its containers are
// killed, and the pod stays as failed.
func (l *Life) evict(s *step) {
	short := s.pod.Annotations[behaviour.AnnotationEvict]
	if short == "" || l.evicted != "" {
		return
	}
	l.evicted = fmt.Sprintf("The node was low on resource: %s. ", short)
	s.podEvent(corev1.EventTypeWarning, eviction.Reason, "%s", l.evicted)
	for _, c := range l.all() {
		if c.state.Running != nil {
			c.exit(s, 137, "Error")
		}
		c.phase = finished
	}
}

// failEvicted makes a status that of an evicted pod.
func (l *Life) failEvicted(pod *corev1.Pod, status *corev1.PodStatus, now metav1.Time) {
	status.Phase, status.Reason, status.Message = corev1.PodFailed, eviction.Reason, l.evicted
	setCondition(status, corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, ObservedGeneration: pod.Generation,
		Reason: corev1.PodReasonTerminationByKubelet, Message: l.evicted,
	}, now)
}

package podlife

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
	"k8s.io/kubernetes/pkg/kubelet/status"
	podstatus "k8s.io/kubernetes/pkg/util/pod"
)

// HostIP is the address of every node of the lab.
const HostIP = "127.0.0.1"

// Status is the pod's status after the last step. Conditions that are not the
// kubelet's are kept from old.
func (l *Life) Status(pod *corev1.Pod, old *corev1.PodStatus, now metav1.Time) corev1.PodStatus {
	l.mu.Lock()
	defer l.mu.Unlock()

	next := *old.DeepCopy()
	next.ObservedGeneration = pod.Generation
	next.StartTime = &l.started
	next.HostIP, next.HostIPs = HostIP, []corev1.HostIP{{IP: HostIP}}
	if l.mounts.done {
		next.PodIP, next.PodIPs = l.ip, []corev1.PodIP{{IP: l.ip}}
	}
	next.InitContainerStatuses = statuses(l.inits)
	next.ContainerStatuses = statuses(l.mains)
	next.Phase = l.podPhase(pod)
	if l.evicted != "" {
		l.failEvicted(pod, &next, now)
	}

	all := append(append([]corev1.ContainerStatus{}, next.InitContainerStatuses...), next.ContainerStatuses...)
	for _, condition := range []corev1.PodCondition{
		l.readyToStart(pod),
		status.GeneratePodInitializedCondition(pod, old, all, next.Phase),
		status.GeneratePodReadyCondition(pod, old, pod.Status.Conditions, all, next.Phase),
		status.GenerateContainersReadyCondition(pod, old, all, next.Phase),
	} {
		setCondition(&next, condition, now)
	}
	return next
}

func (l *Life) readyToStart(pod *corev1.Pod) corev1.PodCondition {
	condition := corev1.PodCondition{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionFalse, ObservedGeneration: pod.Generation}
	if l.mounts.done && !l.stopped {
		condition.Status = corev1.ConditionTrue
	}
	return condition
}

// setCondition keeps the time of the last transition unless the status changed.
func setCondition(s *corev1.PodStatus, condition corev1.PodCondition, now metav1.Time) {
	condition.LastTransitionTime = now
	if _, old := podutil.GetPodCondition(s, condition.Type); old != nil && old.Status == condition.Status {
		condition.LastTransitionTime = old.LastTransitionTime
		condition.LastProbeTime = old.LastProbeTime
	}
	s.Conditions = podstatus.ReplaceOrAppendPodCondition(s.Conditions, &condition)
}

func statuses(containers []*container) []corev1.ContainerStatus {
	var all []corev1.ContainerStatus
	for _, c := range containers {
		all = append(all, c.status())
	}
	return all
}

func (c *container) status() corev1.ContainerStatus {
	started := c.state.Running != nil
	s := corev1.ContainerStatus{
		Name: c.spec.Name, Image: c.spec.Image,
		State: c.state, LastTerminationState: c.last,
		Ready: c.ready, Started: &started, RestartCount: c.restarts,
		ContainerID: c.id,
	}
	if c.role == initialiser {
		s.Ready = c.initialised()
	}
	if c.id != "" {
		s.ImageID = imageID(c.spec.Image)
		s.AllocatedResources = c.spec.Resources.Requests
		s.Resources = c.spec.Resources.DeepCopy()
	}
	for _, m := range c.spec.VolumeMounts {
		mount := corev1.VolumeMountStatus{Name: m.Name, MountPath: m.MountPath, ReadOnly: m.ReadOnly}
		if m.ReadOnly {
			disabled := corev1.RecursiveReadOnlyDisabled
			mount.RecursiveReadOnly = &disabled
		}
		s.VolumeMounts = append(s.VolumeMounts, mount)
	}
	return s
}

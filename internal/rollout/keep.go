package rollout

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// keeper decides what the view keeps of the objects that one watch brings: what
// is judged, and that only once where many have the same. With thousands of pods
// memory must stay small.
type keeper struct {
	newest map[types.UID]*corev1.Pod // of each controller
	words  map[string]string
}

// keptKind marks what a keeper has made: an informer asks twice about what it lists.
const keptKind = "kept"

func newKeeper() *keeper {
	return &keeper{newest: map[types.UID]*corev1.Pod{}, words: map[string]string{}}
}

// keep is the informer's transform. What it returned once it returns as it is.
func (k *keeper) keep(o any) (any, error) {
	if o, ok := o.(runtime.Object); ok && o.GetObjectKind().GroupVersionKind().Kind == keptKind {
		return o, nil
	}
	switch o := o.(type) {
	case *corev1.Pod:
		return k.pod(o), nil
	case *discoveryv1.EndpointSlice:
		return k.slice(o), nil
	}
	if o, err := meta.Accessor(o); err == nil {
		o.SetManagedFields(nil)
	}
	return o, nil
}

func (k *keeper) pod(p *corev1.Pod) *corev1.Pod {
	kept := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{Kind: keptKind},
		ObjectMeta: metav1.ObjectMeta{
			Name: p.Name, Namespace: k.word(p.Namespace), UID: p.UID, ResourceVersion: p.ResourceVersion, Generation: p.Generation,
			CreationTimestamp: p.CreationTimestamp, DeletionTimestamp: p.DeletionTimestamp,
			Labels: p.Labels, OwnerReferences: p.OwnerReferences,
		},
		Spec: corev1.PodSpec{
			Containers:       specs(p.Spec.Containers),
			InitContainers:   specs(p.Spec.InitContainers),
			NodeName:         k.word(p.Spec.NodeName),
			RestartPolicy:    p.Spec.RestartPolicy,
			Volumes:          claimed(p.Spec.Volumes),
			ImagePullSecrets: p.Spec.ImagePullSecrets,
			ReadinessGates:   p.Spec.ReadinessGates,
			SchedulingGates:  p.Spec.SchedulingGates,
			SchedulerName:    k.word(p.Spec.SchedulerName),
		},
		Status: corev1.PodStatus{
			Phase: p.Status.Phase, Reason: p.Status.Reason, Message: p.Status.Message,
			StartTime: p.Status.StartTime, PodIP: p.Status.PodIP, HostIP: k.word(p.Status.HostIP),
			NominatedNodeName:     p.Status.NominatedNodeName,
			Conditions:            k.conditions(p),
			ContainerStatuses:     k.statuses(p.Status.ContainerStatuses),
			InitContainerStatuses: k.statuses(p.Status.InitContainerStatuses),
		},
	}
	if ref := metav1.GetControllerOfNoCopy(p); ref != nil {
		if like := k.newest[ref.UID]; like != nil {
			share(&kept.Labels, like.Labels)
			share(&kept.OwnerReferences, like.OwnerReferences)
			share(&kept.Spec.Containers, like.Spec.Containers)
			share(&kept.Spec.InitContainers, like.Spec.InitContainers)
			share(&kept.Spec.Volumes, like.Spec.Volumes)
			share(&kept.Spec.ImagePullSecrets, like.Spec.ImagePullSecrets)
			share(&kept.Spec.ReadinessGates, like.Spec.ReadinessGates)
		}
		k.newest[ref.UID] = kept
	}
	return kept
}

// share has own be other's where they are equal.
func share[T any](own *T, other T) {
	if apiequality.Semantic.DeepEqual(*own, other) {
		*own = other
	}
}

// word is text, kept once however many say it. It is for texts of which there
// are few.
func (k *keeper) word(text string) string {
	if known, ok := k.words[text]; ok {
		return known
	}
	k.words[text] = text
	return text
}

func specs(all []corev1.Container) []corev1.Container {
	kept := make([]corev1.Container, len(all))
	for i, c := range all {
		kept[i] = corev1.Container{
			Name: c.Name, Image: c.Image, RestartPolicy: c.RestartPolicy,
			ReadinessProbe: c.ReadinessProbe, LivenessProbe: c.LivenessProbe, StartupProbe: c.StartupProbe,
			Resources: corev1.ResourceRequirements{Limits: c.Resources.Limits},
		}
	}
	return kept
}

// claimed are the volumes that wait for a claim.
func claimed(volumes []corev1.Volume) []corev1.Volume {
	return slices.DeleteFunc(slices.Clone(volumes), func(v corev1.Volume) bool { return v.PersistentVolumeClaim == nil && v.Ephemeral == nil })
}

// implied are the conditions that are true of a pod before it is ready, and then
// say no more.
var implied = map[corev1.PodConditionType]bool{
	corev1.PodReadyToStartContainers: true, corev1.PodInitialized: true, corev1.ContainersReady: true, corev1.PodScheduled: true,
}

func (k *keeper) conditions(p *corev1.Pod) []corev1.PodCondition {
	all := p.Status.Conditions
	if Ready(p) {
		all = slices.DeleteFunc(slices.Clone(all), func(c corev1.PodCondition) bool { return implied[c.Type] && c.Status == corev1.ConditionTrue })
	}
	kept := make([]corev1.PodCondition, len(all))
	for i, c := range all {
		kept[i] = corev1.PodCondition{
			Type: corev1.PodConditionType(k.word(string(c.Type))), Status: corev1.ConditionStatus(k.word(string(c.Status))),
			LastTransitionTime: c.LastTransitionTime, Reason: k.word(c.Reason), Message: c.Message,
		}
	}
	return kept
}

func (k *keeper) statuses(all []corev1.ContainerStatus) []corev1.ContainerStatus {
	kept := make([]corev1.ContainerStatus, len(all))
	for i, c := range all {
		kept[i] = corev1.ContainerStatus{
			Name: k.word(c.Name), Image: k.word(c.Image), State: c.State, LastTerminationState: c.LastTerminationState,
			Ready: c.Ready, Started: c.Started, RestartCount: c.RestartCount,
		}
	}
	return kept
}

// slice keeps which pods are ready endpoints of which Service.
func (k *keeper) slice(s *discoveryv1.EndpointSlice) *discoveryv1.EndpointSlice {
	kept := &discoveryv1.EndpointSlice{
		TypeMeta:   metav1.TypeMeta{Kind: keptKind},
		ObjectMeta: metav1.ObjectMeta{Name: s.Name, Namespace: s.Namespace, UID: s.UID, ResourceVersion: s.ResourceVersion, Labels: s.Labels},
		Endpoints:  make([]discoveryv1.Endpoint, len(s.Endpoints)),
	}
	for i, e := range s.Endpoints {
		kept.Endpoints[i].Conditions.Ready = e.Conditions.Ready
		if e.TargetRef != nil {
			kept.Endpoints[i].TargetRef = &corev1.ObjectReference{Kind: k.word(e.TargetRef.Kind), Name: e.TargetRef.Name}
		}
	}
	return kept
}

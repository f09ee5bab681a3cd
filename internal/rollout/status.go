package rollout

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

// Deployment returns the live Deployment, or nil.
func (v *View) Deployment(namespace, name string) *appsv1.Deployment {
	for _, d := range v.deployments {
		if d.Namespace == namespace && d.Name == name {
			return d
		}
	}
	return nil
}

// Deployments returns the live Deployments of a namespace.
func (v *View) Deployments(namespace string) []*appsv1.Deployment {
	return slices.DeleteFunc(slices.Clone(v.deployments), func(d *appsv1.Deployment) bool { return d.Namespace != namespace })
}

// Generation is the generation of an object as seen, 0 if it is not.
func (v *View) Generation(kind, namespace, name string) int64 {
	if kind == "Deployment" {
		if d := v.Deployment(namespace, name); d != nil {
			return d.Generation
		}
		return 0
	}
	if o := v.Other(kind, namespace, name); o != nil {
		return o.GetGeneration()
	}
	return 0
}

// Other returns the live object of another watched kind, or nil.
func (v *View) Other(kind, namespace, name string) *unstructured.Unstructured {
	for _, o := range v.others {
		if o.GetKind() == kind && o.GetNamespace() == namespace && o.GetName() == name {
			return o
		}
	}
	switch kind {
	case "Pod":
		return find(v.pods, corev1.SchemeGroupVersion.WithKind(kind), namespace, name)
	case "ReplicaSet":
		return find(v.replicaSets, appsv1.SchemeGroupVersion.WithKind(kind), namespace, name)
	}
	return nil
}

func find[T metav1.Object](list []T, gvk schema.GroupVersionKind, namespace, name string) *unstructured.Unstructured {
	for _, o := range list {
		if o.GetNamespace() == namespace && o.GetName() == name {
			return untyped(o, gvk)
		}
	}
	return nil
}

// Untyped is a Deployment in the form that objects of any kind have.
func Untyped(d *appsv1.Deployment) *unstructured.Unstructured {
	return untyped(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))
}

func untyped(o metav1.Object, gvk schema.GroupVersionKind) *unstructured.Unstructured {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		panic("rollout: " + err.Error()) // it converts every type of the API
	}
	u := &unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(gvk)
	return u
}

// Pods returns the pods of a Deployment, of all its ReplicaSets.
func (v *View) Pods(d *appsv1.Deployment) []*corev1.Pod {
	sets := map[types.UID]bool{}
	for _, rs := range v.replicaSets {
		if owned(rs, d.UID) {
			sets[rs.UID] = true
		}
	}
	return v.podsOf(sets)
}

func (v *View) podsOf(owners map[types.UID]bool) []*corev1.Pod {
	var pods []*corev1.Pod
	for _, p := range v.pods {
		if ref := metav1.GetControllerOfNoCopy(p); ref != nil && owners[ref.UID] {
			pods = append(pods, p)
		}
	}
	return pods
}

func owned(o metav1.Object, by types.UID) bool {
	ref := metav1.GetControllerOfNoCopy(o)
	return ref != nil && ref.UID == by
}

// Progress is how far a workload has come.
type Progress struct {
	Wanted, Updated, Available int
	Done                       bool
	Message                    string // why it is not done: "2 of 3 pods available"
}

// Of judges a Deployment as kubectl rollout status does: the controller has
// seen it, all pods have the newest template, all are available, none is left over.
func Of(d *appsv1.Deployment) Progress {
	p := Progress{Wanted: 1, Updated: int(d.Status.UpdatedReplicas), Available: int(d.Status.AvailableReplicas)}
	if d.Spec.Replicas != nil {
		p.Wanted = int(*d.Spec.Replicas)
	}
	switch {
	case d.Status.ObservedGeneration < d.Generation:
		p.Message = "waiting for the Deployment controller"
	case p.Updated < p.Wanted:
		p.Message = fmt.Sprintf("%d of %d pods updated", p.Updated, p.Wanted)
	case int(d.Status.Replicas) > p.Updated:
		p.Message = fmt.Sprintf("old pods still to go: %d", int(d.Status.Replicas)-p.Updated)
	case p.Available < p.Wanted:
		p.Message = fmt.Sprintf("%d of %d pods available", p.Available, p.Wanted)
	case p.Available > p.Wanted:
		p.Message = fmt.Sprintf("surplus pods still to go: %d", p.Available-p.Wanted)
	default:
		p.Done = true
	}
	return p
}

// OfOther judges an object of any other kind by kstatus. doomed is the reason
// why it will never be done.
func OfOther(o *unstructured.Unstructured) (p Progress, doomed string) {
	switch o.GetKind() {
	case "Job":
		return ofJob(o), ""
	case "Pod":
		return ofPod(o), ""
	}
	result, err := status.Compute(o)
	if err != nil {
		return Progress{Message: err.Error()}, ""
	}
	switch result.Status {
	case status.CurrentStatus:
		return Progress{Done: true}, ""
	case status.FailedStatus:
		return Progress{Message: result.Message}, result.Message
	}
	return Progress{Message: result.Message}, ""
}

// Restarts counts the restarts of each container that had any by pod, so that
// later ones can be told from those there were. Pods that an earlier view had are
// left out.
func (v *View) Restarts(earlier *View) map[types.UID]map[string]int32 {
	seen := make(map[types.UID]bool, len(earlier.pods))
	for _, p := range earlier.pods {
		seen[p.UID] = true
	}
	counts := map[types.UID]map[string]int32{}
	for _, p := range v.pods {
		if seen[p.UID] {
			continue
		}
		for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
			if c.RestartCount == 0 {
				continue
			}
			if counts[p.UID] == nil {
				counts[p.UID] = map[string]int32{}
			}
			counts[p.UID][c.Name] = c.RestartCount
		}
	}
	return counts
}

// Troubled are the names of the pods of a namespace that are not ready, or whose
// containers were restarted: those about which events may tell something.
func (v *View) Troubled(namespace string) map[string]bool {
	names := map[string]bool{}
	for _, p := range v.pods {
		restarted := func(c corev1.ContainerStatus) bool { return c.RestartCount > 0 }
		if p.Namespace == namespace && (!Ready(p) || slices.ContainsFunc(p.Status.ContainerStatuses, restarted) ||
			slices.ContainsFunc(p.Status.InitContainerStatuses, restarted)) {
			names[p.Name] = true
		}
	}
	return names
}

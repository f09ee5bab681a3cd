package rollout

import (
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Serving are the ready endpoints of a Service, by the Deployment whose pods
// they are; those of no Deployment under the zero name.
type Serving struct {
	By      map[types.UID]int
	Leaving map[types.UID]int // of By: of pods that are being deleted
	Total   int
}

// Staying are a Deployment's ready endpoints but for those on their way out.
func (s Serving) Staying(d *appsv1.Deployment) int { return s.By[d.UID] - s.Leaving[d.UID] }

// Share is the part of the ready endpoints that is a Deployment's, in percent.
func (s Serving) Share(d *appsv1.Deployment) float64 {
	if s.Total == 0 || d == nil {
		return 0
	}
	return 100 * float64(s.By[d.UID]) / float64(s.Total)
}

// Serving counts the ready endpoints of a Service.
func (v *View) Serving(namespace, service string) Serving {
	key := types.NamespacedName{Namespace: namespace, Name: service}
	if s, known := v.serving[key]; known {
		return s
	}
	deployments := map[types.UID]types.UID{} // of each ReplicaSet
	for _, rs := range v.replicaSets {
		if ref := metav1.GetControllerOfNoCopy(rs); ref != nil {
			deployments[rs.UID] = ref.UID
		}
	}
	ready := v.readyPods(namespace, service)
	s := Serving{By: map[types.UID]int{}, Leaving: map[types.UID]int{}, Total: len(ready)}
	others := len(ready)
	for _, p := range v.pods {
		if p.Namespace != namespace || !ready[p.Name] {
			continue
		}
		if ref := metav1.GetControllerOfNoCopy(p); ref != nil {
			s.By[deployments[ref.UID]]++
			if p.DeletionTimestamp != nil {
				s.Leaving[deployments[ref.UID]]++
			}
			others--
		}
	}
	if others > 0 {
		s.By[""] += others
	}
	if v.serving == nil {
		v.serving = map[types.NamespacedName]Serving{}
	}
	v.serving[key] = s
	return s
}

// readyPods are the names of the pods behind a Service that get its traffic.
// With two address families a pod is in two slices, and counts once.
func (v *View) readyPods(namespace, service string) map[string]bool {
	var behind []*discoveryv1.EndpointSlice
	n := 0
	for _, slice := range v.slices {
		if slice.Namespace == namespace && slice.Labels[discoveryv1.LabelServiceName] == service {
			behind, n = append(behind, slice), n+len(slice.Endpoints)
		}
	}
	ready := make(map[string]bool, n)
	for _, slice := range behind {
		for _, e := range slice.Endpoints {
			if e.TargetRef != nil && e.TargetRef.Kind == "Pod" && (e.Conditions.Ready == nil || *e.Conditions.Ready) {
				ready[e.TargetRef.Name] = true
			}
		}
	}
	return ready
}

// ImagesServing counts a Service's ready endpoints by the images of their pods.
func (v *View) ImagesServing(namespace, service string) map[string]int {
	ready := v.readyPods(namespace, service)
	counts := map[string]int{}
	for _, p := range v.pods {
		if p.Namespace == namespace && ready[p.Name] {
			counts[images(p)]++
		}
	}
	return counts
}

func images(p *corev1.Pod) string {
	var list []string
	for _, c := range p.Spec.Containers {
		list = append(list, c.Image)
	}
	return strings.Join(list, " + ")
}

// Selects says whether a Service's selector picks pods with these labels. A
// Service without a selector picks none.
func Selects(selector, labels map[string]string) bool {
	if len(selector) == 0 {
		return false
	}
	for key, value := range selector {
		if got, ok := labels[key]; !ok || got != value {
			return false
		}
	}
	return true
}

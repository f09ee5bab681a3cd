package rollout

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

// ExplainService says at the deadline why nobody reaches a Service: its
// selector picks no pod, or no load balancer has given it an address. The first
// is no failure by itself: a Service may be there before its pods.
//
// Source: krane's kubernetes_resource/service.rb.
func (v *View) ExplainService(o *unstructured.Unstructured, events []*corev1.Event) []Finding {
	s := &corev1.Service{}
	if runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, s) != nil {
		return nil
	}
	var found []Finding
	if len(s.Spec.Selector) > 0 && !v.selectsAny(s) {
		found = append(found, Finding{
			Reason:  "NoPodSelected",
			Message: fmt.Sprintf("Service %s selects no pod: none has the labels %s%s", s.Name, labels.Set(s.Spec.Selector), v.nearest(s)),
			Next:    "correct the Service's selector, or the labels in the pod template",
		})
	}
	if s.Spec.Type == corev1.ServiceTypeLoadBalancer && len(s.Status.LoadBalancer.Ingress) == 0 {
		f := Finding{
			Reason:  "NoAddress",
			Message: fmt.Sprintf("Service %s of type LoadBalancer has no address yet", s.Name),
			Since:   s.CreationTimestamp.Time,
			Next:    "see that the cluster has load balancers; else use type ClusterIP or NodePort",
		}
		for _, e := range slices.Backward(events) {
			if e.InvolvedObject.Kind == "Service" && e.InvolvedObject.Name == s.Name && e.Type == corev1.EventTypeWarning {
				f.Message += ": " + oneLine(e.Message)
				break
			}
		}
		found = append(found, f)
	}
	return found
}

func (v *View) selectsAny(s *corev1.Service) bool {
	return slices.ContainsFunc(v.pods, func(p *corev1.Pod) bool {
		return p.Namespace == s.Namespace && Selects(s.Spec.Selector, p.Labels)
	})
}

// nearest names the labels that pods with the same keys have: often one of the
// two is misspelt.
func (v *View) nearest(s *corev1.Service) string {
	keys := slices.Sorted(maps.Keys(s.Spec.Selector))
	has := map[string]bool{}
	for _, p := range v.pods {
		own := labels.Set{}
		for _, key := range keys {
			if value, ok := p.Labels[key]; ok {
				own[key] = value
			}
		}
		if p.Namespace == s.Namespace && len(own) > 0 {
			has[own.String()] = true
		}
	}
	if len(has) == 0 {
		return ""
	}
	all := slices.Sorted(maps.Keys(has))
	return " (there are pods with " + strings.Join(all[:min(3, len(all))], "; ") + ")"
}

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

// ExplainService says at the deadline why nobody reaches a Service, or not all of
// its pods: its selector picks no pod, no load balancer has given it an address, or
// ready pods have not become endpoints. The first is no failure by itself: a
// Service may be there before its pods.
//
// Source: krane's kubernetes_resource/service.rb; the back-off of endpoints is
// maxSyncBackOff in Kubernetes' pkg/controller/endpointslice.
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
	if late := v.lateFor(s); late > 0 {
		found = append(found, Finding{
			Reason:  "EndpointsLate",
			Message: fmt.Sprintf("Service %s does not send traffic to all of its ready pods yet (missing: %d)", s.Name, late),
			Next:    fmt.Sprintf("the cluster's EndpointSlice controller is late, or backs off after many changes at once: any change of the Service makes it look again (kubectl annotate service %s looked=again)", s.Name),
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

// lateFor counts the ready pods that a Service selects and that are none of its
// endpoints.
func (v *View) lateFor(s *corev1.Service) int {
	endpoints := v.readyPods(s.Namespace, s.Name)
	late := 0
	for _, p := range v.pods {
		if p.Namespace == s.Namespace && p.DeletionTimestamp == nil && Selects(s.Spec.Selector, p.Labels) && isTrue(p, corev1.PodReady) && !endpoints[p.Name] {
			late++
		}
	}
	return late
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

package canary

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"gitlab.com/rollstep/rollstep/internal/manifest"
)

// Surroundings are the live objects of a part's namespace that share its
// traffic or act on its pods, with those of the release in their new form.
type Surroundings struct {
	Services    []*unstructured.Unstructured
	Autoscalers []*unstructured.Unstructured // HorizontalPodAutoscalers
	Budgets     []*unstructured.Unstructured // PodDisruptionBudgets of the release
	Deployments []*unstructured.Unstructured // all of the namespace
}

// Warnings says what makes replica ratios lie or collide for a part.
func (o Options) Warnings(p Part, around Surroundings) []string {
	var warnings []string
	warn := func(format string, args ...any) { warnings = append(warnings, fmt.Sprintf(format, args...)) }
	name := "Deployment " + p.Manifest.GetName()

	for _, s := range around.Services {
		for _, w := range o.serviceWarnings(p, s) {
			warn("%s", w)
		}
		others := 0
		for _, d := range around.Deployments {
			if d.GetName() != p.Manifest.GetName() && d.GetName() != Name(p.Manifest.GetName()) &&
				selects(s, PodLabels(d)) && o.reaches(p, s) && !isZero(d) {
				others++
			}
		}
		if others > 0 {
			warn("Service %s also reaches pods of %d other Deployments: the canary's share of its traffic is smaller than asked", s.GetName(), others)
		}
	}
	autoscaler := Autoscaler(p.Manifest, around.Autoscalers)
	if autoscaler != nil {
		warn("HorizontalPodAutoscaler %s decides how many stable pods there are: their count is left alone and the canary's pods come on top", autoscaler.GetName())
		if n, says := Replicas(p.Manifest); says {
			warn("the manifest of %s says replicas: %d beside the HorizontalPodAutoscaler: promote resets the count to it for a moment; leave replicas out", name, n)
		}
	}
	if stableSelects(p.Live, o.canaryLabels(p)) {
		follows := ""
		if autoscaler != nil {
			follows += fmt.Sprintf("; HorizontalPodAutoscaler %s counts canary pods too", autoscaler.GetName())
		}
		for _, b := range around.Budgets {
			if matches(b, o.canaryLabels(p)) {
				follows += fmt.Sprintf("; PodDisruptionBudget %s counts canary pods too", b.GetName())
			}
		}
		if follows != "" {
			warn("the selector of %s also matches canary pods (ReplicaSets keep them apart)%s", name, follows)
		}
	}
	if kind, _, _ := Strategy(p.Manifest); kind == "Recreate" {
		warn("%s has strategy Recreate: promote stops all stable pods before it starts new ones, and only the canary's pods serve meanwhile", name)
	}
	for _, claim := range claims(p.Manifest) {
		warn("%s mounts PersistentVolumeClaim %s: if it is ReadWriteOnce, canary pods can start only on the same node", name, claim)
	}
	return warnings
}

func (o Options) serviceWarnings(p Part, s *unstructured.Unstructured) []string {
	stable := selects(s, PodLabels(p.Live))
	if !stable && !o.reaches(p, s) {
		return nil
	}
	var warnings []string
	if stable && !o.reaches(p, s) {
		selector, _, _ := unstructured.NestedStringMap(s.Object, "spec", "selector")
		return []string{fmt.Sprintf("Service %s selects only stable pods (%s): its users never reach the canary", s.GetName(), labels.Set(selector))}
	}
	if affinity, _, _ := unstructured.NestedString(s.Object, "spec", "sessionAffinity"); affinity == "ClientIP" {
		warnings = append(warnings, fmt.Sprintf("Service %s has session affinity: a client stays with its pod, so shares hold over clients, not over requests", s.GetName()))
	}
	if ip, _, _ := unstructured.NestedString(s.Object, "spec", "clusterIP"); ip == "None" {
		warnings = append(warnings, fmt.Sprintf("Service %s is headless: clients choose among its pods themselves", s.GetName()))
	}
	distribution, _, _ := unstructured.NestedString(s.Object, "spec", "trafficDistribution")
	mode := s.GetAnnotations()["service.kubernetes.io/topology-mode"]
	if distribution != "" || (mode != "" && mode != "Disabled") {
		warnings = append(warnings, fmt.Sprintf("Service %s prefers near pods (topology-aware routing): shares differ from zone to zone", s.GetName()))
	}
	return warnings
}

// reaches says whether a Service's traffic gets to the canary's pods.
func (o Options) reaches(p Part, s *unstructured.Unstructured) bool {
	return selects(s, o.canaryLabels(p))
}

// Reaching returns the Services whose traffic gets to the canary of a part,
// without its own preview.
func (o Options) Reaching(p Part, services []*unstructured.Unstructured) []*unstructured.Unstructured {
	return slices.DeleteFunc(slices.Clone(services), func(s *unstructured.Unstructured) bool {
		return s.GetNamespace() != p.Manifest.GetNamespace() || o.Owns(s) || !o.reaches(p, s)
	})
}

func (o Options) canaryLabels(p Part) map[string]string { return o.labels(PodLabels(p.Manifest)) }

// PodLabels are the labels of a workload's pods.
func PodLabels(o *unstructured.Unstructured) map[string]string {
	template, ok := manifest.PodTemplate(o)
	if !ok {
		return nil
	}
	l, _, _ := unstructured.NestedStringMap(template, "metadata", "labels")
	return l
}

func selects(service *unstructured.Unstructured, podLabels map[string]string) bool {
	selector, _, _ := unstructured.NestedStringMap(service.Object, "spec", "selector")
	return len(selector) > 0 && labels.SelectorFromSet(selector).Matches(labels.Set(podLabels))
}

// matches evaluates spec.selector of kinds that have a full label selector.
func matches(o *unstructured.Unstructured, podLabels map[string]string) bool {
	raw, ok, _ := unstructured.NestedMap(o.Object, "spec", "selector")
	if !ok {
		return false
	}
	var s metav1.LabelSelector
	if runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &s) != nil {
		return false
	}
	selector, err := metav1.LabelSelectorAsSelector(&s)
	return err == nil && selector.Matches(labels.Set(podLabels))
}

func stableSelects(live *unstructured.Unstructured, podLabels map[string]string) bool {
	return live != nil && matches(live, podLabels)
}

func isZero(d *unstructured.Unstructured) bool {
	n, says := Replicas(d)
	return says && n == 0
}

// Autoscaler returns the HorizontalPodAutoscaler that decides a Deployment's
// replica count, or nil.
func Autoscaler(d *unstructured.Unstructured, autoscalers []*unstructured.Unstructured) *unstructured.Unstructured {
	for _, a := range autoscalers {
		target, _, _ := unstructured.NestedStringMap(a.Object, "spec", "scaleTargetRef")
		if a.GetNamespace() == d.GetNamespace() && target["kind"] == "Deployment" && target["name"] == d.GetName() &&
			strings.HasPrefix(target["apiVersion"], "apps/") {
			return a
		}
	}
	return nil
}

func claims(d *unstructured.Unstructured) []string {
	template, _ := manifest.PodTemplate(d)
	var names []string
	volumes, _, _ := unstructured.NestedSlice(template, "spec", "volumes")
	for _, v := range volumes {
		if volume, ok := v.(map[string]any); ok {
			if name, _, _ := unstructured.NestedString(volume, "persistentVolumeClaim", "claimName"); name != "" {
				names = append(names, name)
			}
		}
	}
	return names
}

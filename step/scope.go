package step

import (
	"context"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"gitlab.com/rollstep/rollstep/internal/canary"
	"gitlab.com/rollstep/rollstep/internal/cluster"
	"gitlab.com/rollstep/rollstep/internal/rollout"
)

// subjects are what a run has to do with in a namespace. They only grow. Labels
// are kept by their text, without that of the track, in which stable and canary
// differ.
type subjects struct {
	pods      map[string]labels.Set // that all pods of a workload have
	templates map[string]labels.Set // of Deployments' pods
	selectors map[string]labels.Set // of Services
	services  map[string]bool
}

// scopes are what the view must show of a namespace, beside its Deployments and
// other workloads: the ReplicaSets and pods that a workload of the release, or a
// Service that reaches one, may select; and these Services' endpoints.
func (r *run) scopes(ctx context.Context, namespace string, previews []cluster.Preview) ([]rollout.Scope, error) {
	s := r.subjects[namespace]
	if s == nil {
		s = &subjects{pods: map[string]labels.Set{}, templates: map[string]labels.Set{}, selectors: map[string]labels.Set{}, services: map[string]bool{}}
		r.subjects[namespace] = s
	}
	for _, p := range previews {
		if p.Manifest.GetNamespace() == namespace {
			r.addPreview(s, p)
		}
	}
	r.addDeployments(s, namespace)
	if len(s.pods) == 0 {
		return nil, nil
	}
	var services []*unstructured.Unstructured
	if len(s.templates) > 0 {
		var err error
		if services, err = r.services(ctx, namespace); err != nil {
			return nil, err
		}
	}
	for _, service := range services {
		if selector := selectorOf(service); len(selector) > 0 && selectsAny(r.withoutTrack(selector), s.templates) {
			r.add(s.selectors, selector)
		}
	}
	pods := rollout.Selecting(slices.Concat(slices.Collect(maps.Values(s.pods)), slices.Collect(maps.Values(s.selectors))))
	for _, service := range services {
		if rollout.MaySelect(selectorOf(service), pods) {
			r.addService(s, service.GetName())
		}
	}
	scopes := []rollout.Scope{
		{Resource: rollout.ReplicaSets, Namespace: namespace, Selector: pods.String()},
		{Resource: rollout.Pods, Namespace: namespace, Selector: pods.String()},
	}
	if len(s.services) > 0 {
		endpoints := rollout.EndpointsOf(slices.Collect(maps.Keys(s.services)))
		scopes = append(scopes, rollout.Scope{Resource: rollout.EndpointSlices, Namespace: namespace, Selector: endpoints.String()})
	}
	return scopes, nil
}

func (r *run) addPreview(s *subjects, p cluster.Preview) {
	for _, o := range []*unstructured.Unstructured{p.Live, p.Result} {
		switch {
		case o == nil:
		case p.Manifest.GetKind() == "Service":
			if selector := selectorOf(o); len(selector) > 0 {
				r.add(s.selectors, selector)
			}
			r.addService(s, o.GetName())
		case awaited(o):
			r.add(s.pods, labelsOfPods(o))
			if o.GetKind() == "ReplicaSet" { // it is seen by its own labels
				r.add(s.pods, o.GetLabels())
			}
			if canary.IsDeployment(o) {
				r.add(s.templates, canary.PodLabels(o))
			}
		}
	}
}

// addDeployments adds those in the view that are known by name: of the stages'
// timelines and of the record, and canaries that bear the release's label.
func (r *run) addDeployments(s *subjects, namespace string) {
	names := map[string]bool{}
	for _, t := range r.report.timelines {
		if t.stable.Namespace == namespace {
			names[t.stable.Name] = true
		}
	}
	if r.record.InFlight() {
		for _, w := range r.record.Rollout.Workloads {
			if w.Namespace == namespace {
				names[w.Name] = true
			}
		}
	}
	for _, d := range r.canariesIn(namespace) {
		names[d.Annotations[canary.StableAnnotation]] = true
	}
	for name := range maps.Clone(names) {
		names[canary.Name(name)] = true
	}
	for _, d := range r.watcher.View().Deployments(namespace) {
		if names[d.Name] && d.Spec.Selector != nil {
			r.add(s.pods, d.Spec.Selector.MatchLabels)
			r.add(s.templates, d.Spec.Template.Labels)
		}
	}
}

// addService adds a Service, and the preview that a canary may give it.
func (r *run) addService(s *subjects, name string) {
	s.services[name] = true
	if r.Preview != "" {
		s.services[canary.Name(name)] = true
	}
}

func (r *run) add(sets map[string]labels.Set, set labels.Set) {
	set = r.withoutTrack(set)
	sets[set.String()] = set
}

func (r *run) withoutTrack(set labels.Set) labels.Set {
	set = maps.Clone(set)
	delete(set, r.TrackLabel)
	return set
}

// labelsOfPods are labels that all pods of a workload have.
func labelsOfPods(o *unstructured.Unstructured) labels.Set {
	switch o.GetKind() {
	case "Job", "Pod": // the server chooses a Job's selector
		return canary.PodLabels(o)
	}
	selector, _, _ := unstructured.NestedStringMap(o.Object, "spec", "selector", "matchLabels")
	return selector
}

func selectorOf(service *unstructured.Unstructured) labels.Set {
	selector, _, _ := unstructured.NestedStringMap(service.Object, "spec", "selector")
	return selector
}

// selectsAny says whether a selector takes one of all; an empty one takes any.
func selectsAny(selector labels.Set, all map[string]labels.Set) bool {
	for _, set := range all {
		if labels.SelectorFromSet(selector).Matches(set) {
			return true
		}
	}
	return false
}

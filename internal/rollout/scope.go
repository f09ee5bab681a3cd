package rollout

import (
	"maps"
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
)

// Scope is what a view shows of a resource in a namespace.
type Scope struct {
	Resource  schema.GroupVersionResource
	Namespace string
	Selector  string // label selector, "" for all objects
}

// longestSelector bounds the bytes of a label selector: it is part of the URL,
// and proxies take no more than some kilobytes of it.
const longestSelector = 2000

// Selecting is a label selector that takes every object with the labels of at
// least one set, and as few others as one selector can: the keys that all sets
// have, each with their values of it. Without such a key it takes everything.
func Selecting(sets []labels.Set) labels.Selector {
	selector := labels.NewSelector()
	if len(sets) == 0 {
		return selector
	}
	for _, key := range slices.Sorted(maps.Keys(sets[0])) {
		if slices.ContainsFunc(sets, func(s labels.Set) bool { return !s.Has(key) }) {
			continue
		}
		values := make([]string, len(sets))
		for i, s := range sets {
			values[i] = s[key]
		}
		slices.Sort(values)
		r, err := labels.NewRequirement(key, selection.In, slices.Compact(values))
		if err != nil || len(selector.String())+len(r.String()) > longestSelector {
			continue // wider, then
		}
		selector = selector.Add(*r)
	}
	return selector
}

// EndpointsOf is a label selector that takes the EndpointSlices of Services.
func EndpointsOf(services []string) labels.Selector {
	var sets []labels.Set
	for _, name := range services {
		sets = append(sets, labels.Set{discoveryv1.LabelServiceName: name})
	}
	return Selecting(sets)
}

// MaySelect says whether a Service's selector may pick pods that pods takes.
func MaySelect(selector map[string]string, pods labels.Selector) bool {
	requirements, _ := pods.Requirements()
	return len(selector) > 0 && !slices.ContainsFunc(requirements, func(r labels.Requirement) bool {
		value, has := selector[r.Key()]
		return has && !slices.Contains(r.ValuesUnsorted(), value)
	})
}

package manifest

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// templatePaths are the kinds that run pods, and where they keep the template.
var templatePaths = map[schema.GroupKind][]string{
	{Group: "", Kind: "Pod"}:             {},
	{Group: "apps", Kind: "Deployment"}:  {"spec", "template"},
	{Group: "apps", Kind: "StatefulSet"}: {"spec", "template"},
	{Group: "apps", Kind: "DaemonSet"}:   {"spec", "template"},
	{Group: "apps", Kind: "ReplicaSet"}:  {"spec", "template"},
	{Group: "batch", Kind: "Job"}:        {"spec", "template"},
	{Group: "batch", Kind: "CronJob"}:    {"spec", "jobTemplate", "spec", "template"},
}

// PodTemplate returns the pod template of a workload, with its metadata and
// spec: part of the object, not a copy. Of a Pod it is the object itself.
func PodTemplate(o *unstructured.Unstructured) (map[string]any, bool) {
	path, ok := templatePaths[o.GroupVersionKind().GroupKind()]
	if !ok {
		return nil, false
	}
	template := o.Object
	for _, field := range path {
		if template, ok = template[field].(map[string]any); !ok {
			return nil, false
		}
	}
	return template, true
}

// mappings returns the mappings in a list, or nothing if it is no list.
func mappings(list any) []map[string]any {
	items, _ := list.([]any)
	var all []map[string]any
	for _, item := range items {
		if fields, ok := item.(map[string]any); ok {
			all = append(all, fields)
		}
	}
	return all
}

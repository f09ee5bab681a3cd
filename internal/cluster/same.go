package cluster

import (
	"maps"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// same says whether two states of an object differ at most in what changes by
// itself at every write. Nothing is copied but the outermost maps: releases may
// have thousands of objects.
func same(a, b map[string]any) bool {
	metadataA, _ := a["metadata"].(map[string]any)
	metadataB, _ := b["metadata"].(map[string]any)
	return equality.Semantic.DeepEqual(without(a, "metadata", "status"), without(b, "metadata", "status")) &&
		equality.Semantic.DeepEqual(
			without(metadataA, "resourceVersion", "generation", "managedFields"),
			without(metadataB, "resourceVersion", "generation", "managedFields")) &&
		equality.Semantic.DeepEqual(ours(metadataA), ours(metadataB))
}

// ours are the fields that rollstep manages, whenever it last wrote them.
func ours(metadata map[string]any) []map[string]any {
	entries, _ := metadata["managedFields"].([]any)
	var kept []map[string]any
	for _, e := range entries {
		entry, _ := e.(map[string]any)
		if _, part := entry["subresource"]; !part && entry["manager"] == Manager && entry["operation"] == string(metav1.ManagedFieldsOperationApply) {
			kept = append(kept, without(entry, "time"))
		}
	}
	return kept
}

func without(fields map[string]any, names ...string) map[string]any {
	rest := maps.Clone(fields)
	for _, name := range names {
		delete(rest, name)
	}
	return rest
}

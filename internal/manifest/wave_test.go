package manifest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestWaves(t *testing.T) {
	object := func(apiVersion, kind string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"name": kind}}}
	}
	var kinds [][]string
	for _, wave := range Waves([]*unstructured.Unstructured{
		object("autoscaling/v2", "HorizontalPodAutoscaler"),
		object("apps/v1", "Deployment"),
		object("v1", "Service"),
		object("serving.knative.dev/v1", "Service"),
		object("batch/v1", "Job"),
		object("v1", "Namespace"),
		object("v1", "ConfigMap"),
	}) {
		kinds = append(kinds, names(wave))
	}
	assert.Equal(t, [][]string{{"Namespace"}, {"Service", "ConfigMap"}, {"Deployment", "Job"}, {"HorizontalPodAutoscaler", "Service"}}, kinds)
	assert.Len(t, Waves([]*unstructured.Unstructured{object("v1", "Pod")}), 1, "no empty waves")
	assert.Empty(t, Waves(nil))
}

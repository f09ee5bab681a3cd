package faults

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"gitlab.com/rollstep/rollstep/internal/labtest"
	"gitlab.com/rollstep/rollstep/internal/record"
)

// outcome is what a stage leaves behind, without what differs from run to run:
// names of namespaces, times, addresses, who did it, and how often.
func outcome(t *testing.T, s *labtest.Space) string {
	state := map[string]string{}
	kept := 0
	for _, resource := range []labtest.Resource{labtest.Deployments, labtest.Services, labtest.ConfigMaps, labtest.Secrets} {
		for _, o := range s.List(resource) {
			if o.GetName() == "kube-root-ca.crt" {
				continue
			}
			if o.GetKind() == "Secret" && strings.HasPrefix(o.GetName(), "rollstep-") {
				kept++ // named after the hash of manifests that name the namespace
				continue
			}
			text, err := yaml.Marshal(timeless(t, &o))
			require.NoError(t, err)
			state[o.GetKind()+" "+o.GetName()] = strings.ReplaceAll(string(text), s.Name, "NAMESPACE")
		}
	}
	text := fmt.Sprintf("kept manifests: %d\n", kept)
	for _, name := range slices.Sorted(maps.Keys(state)) {
		text += name + ":\n" + state[name]
	}
	return text
}

func timeless(t *testing.T, o *unstructured.Unstructured) map[string]any {
	kept := map[string]any{"labels": o.GetLabels(), "data": o.Object["data"], "spec": o.Object["spec"]}
	spec, _ := o.Object["spec"].(map[string]any)
	for _, field := range []string{"clusterIP", "clusterIPs", "healthCheckNodePort"} {
		delete(spec, field)
	}
	if ports, ok := spec["ports"].([]any); ok {
		for _, p := range ports {
			delete(p.(map[string]any), "nodePort")
		}
	}
	annotations := map[string]string{}
	template, _, _ := unstructured.NestedStringMap(o.Object, "spec", "template", "metadata", "annotations")
	maps.Copy(annotations, template)
	if annotations["kubectl.kubernetes.io/restartedAt"] != "" {
		annotations["kubectl.kubernetes.io/restartedAt"] = "TIME"
	}
	kept["annotations"] = annotations
	unstructured.RemoveNestedField(o.Object, "spec", "template", "metadata", "annotations")
	if strings.HasPrefix(o.GetName(), "rollstep-") && o.GetKind() == "ConfigMap" {
		kept["data"] = timelessRecord(t, o)
	}
	return kept
}

func timelessRecord(t *testing.T, cm *unstructured.Unstructured) any {
	text, _, _ := unstructured.NestedString(cm.Object, "data", "record")
	r := record.Record{}
	require.NoError(t, yaml.UnmarshalStrict([]byte(text), &r))
	var history []string
	for _, e := range r.History {
		history = append(history, e.What)
	}
	var promoted []any
	for _, p := range r.Promoted {
		promoted = append(promoted, map[string]any{"images": p.Images, "pipeline": p.By.PipelineID})
	}
	kept := map[string]any{"phase": r.Phase, "promoted": promoted, "rolledBack": len(r.RolledBack), "history": slices.Compact(history)}
	if r.Rollout != nil {
		kept["rollout"] = map[string]any{
			"weight": r.Rollout.Weight, "reached": r.Rollout.Reached, "workloads": r.Rollout.Workloads,
			"created": r.Rollout.Created, "pipeline": r.Rollout.By.PipelineID,
		}
	}
	return kept
}

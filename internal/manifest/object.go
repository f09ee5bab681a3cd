package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"gitlab.com/rollstep/rollstep/internal/hint"
)

// checkObject finds what makes a document unusable as an object whatever its
// kind. The rest is for the API server's dry run to judge.
func checkObject(fields map[string]any, origin string) []error {
	if _, encrypted := fields["sops"]; encrypted {
		return []error{hint.Errorf("decrypt it in the job before rollstep runs (`sops --decrypt`), or leave it out of ROLLSTEP_MANIFESTS",
			"%s: the document is encrypted with SOPS, and rollstep has no keys", origin)}
	}
	apiVersion, kind, problems := checkType(fields, origin)
	if strings.HasPrefix(apiVersion, "kustomize.config.k8s.io/") {
		return []error{hint.Errorf("name the file kustomization.yaml and set ROLLSTEP_MANIFESTS to its directory", "%s: %s is an instruction for kustomize, no Kubernetes object", origin, kind)}
	}
	if kind == "" {
		kind = "the object"
	}
	return append(problems, checkMetadata(fields, kind, origin)...)
}

func checkType(fields map[string]any, origin string) (apiVersion, kind string, problems []error) {
	read := func(field, example string) string {
		value, isText := fields[field].(string)
		switch {
		case fields[field] == nil || isText && value == "":
			problems = append(problems, hint.Errorf("add it (e.g. "+example+"), or keep files that are no manifests elsewhere", "%s: %s is missing", origin, field))
		case !isText:
			problems = append(problems, hint.Errorf("put it in quotes", "%s: %s is no string", origin, field))
		}
		return value
	}
	apiVersion, kind = read("apiVersion", "apps/v1"), read("kind", "Deployment")
	if _, err := schema.ParseGroupVersion(apiVersion); err != nil {
		problems = append(problems, hint.Errorf("write GROUP/VERSION, e.g. apps/v1", "%s: apiVersion: %w", origin, err))
	}
	return apiVersion, kind, problems
}

func checkMetadata(fields map[string]any, kind, origin string) []error {
	metadata, isMapping := fields["metadata"].(map[string]any)
	if fields["metadata"] != nil && !isMapping {
		return []error{hint.Errorf("write it as a mapping with a name", "%s: metadata of %s is no mapping", origin, kind)}
	}
	var problems []error
	name, isText := metadata["name"].(string)
	switch {
	case name != "":
	case metadata["generateName"] != nil:
		problems = append(problems, hint.Errorf("write metadata.name instead",
			"%s: %s has generateName: every run would create one more object instead of updating it", origin, kind))
	case metadata["name"] != nil && !isText:
		problems = append(problems, hint.Errorf("put it in quotes", "%s: metadata.name of %s is no string", origin, kind))
	default:
		problems = append(problems, hint.Errorf("add it", "%s: metadata.name of %s is missing", origin, kind))
	}
	if namespace := metadata["namespace"]; namespace != nil {
		if _, isText := namespace.(string); !isText {
			problems = append(problems, hint.Errorf("put it in quotes", "%s: metadata.namespace of %s is no string", origin, kind))
		}
	}
	for _, field := range []string{"labels", "annotations"} {
		problems = append(problems, checkStrings(metadata[field], fmt.Sprintf("%s: metadata.%s of %s %s", origin, field, kind, name))...)
	}
	return problems
}

// checkStrings refuses labels and annotations such as `version: 1.0` or
// `enabled: yes`, a number and a boolean to YAML. Left alone, apimachinery
// would overlook all labels of the object.
func checkStrings(value any, at string) []error {
	values, isMapping := value.(map[string]any)
	if value != nil && !isMapping {
		return []error{hint.Errorf("write it as a mapping", "%s: no mapping", at)}
	}
	var problems []error
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if _, isText := values[key].(string); !isText && values[key] != nil {
			problems = append(problems, hint.Errorf("put the value in quotes", "%s: the value of %s is no string", at, key))
		}
	}
	return problems
}

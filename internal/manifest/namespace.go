package manifest

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"gitlab.com/rollstep/rollstep/internal/hint"
)

// FillNamespaces gives every namespaced object without a namespace the one
// given. Whether a kind is namespaced says a CustomResourceDefinition among
// the manifests, else the function, which is asked once per kind.
//
// All mistakes come back in one joined error: what the function says, objects
// of a cluster-scoped kind that have a namespace, and objects that turn out to
// be the same once they have one. Objects without a mistake are filled in all the
// same.
func (m *Manifests) FillNamespaces(namespace string, namespaced func(schema.GroupVersionKind) (bool, error)) error {
	type answer struct {
		namespaced bool
		err        error
	}
	answers := map[schema.GroupVersionKind]answer{}
	defined := definedScopes(m.Objects)
	var problems []error
	seen := map[identity]string{}
	for _, o := range m.Objects {
		gvk := o.GroupVersionKind()
		a, asked := answers[gvk]
		if scope, ok := defined[gvk.GroupKind()]; ok {
			a = answer{namespaced: scope}
		} else if !asked {
			a.namespaced, a.err = namespaced(gvk)
			answers[gvk] = a
		}
		switch {
		case a.err != nil:
			problems = append(problems, fmt.Errorf("%s: %s: %w", m.Origin(o), describe(o), a.err))
			continue
		case !a.namespaced && o.GetNamespace() != "":
			problems = append(problems, hint.Errorf("remove metadata.namespace",
				"%s: %s has a namespace, but a %s belongs to the whole cluster", m.Origin(o), describe(o), o.GetKind()))
			continue
		case a.namespaced && o.GetNamespace() == "":
			o.SetNamespace(namespace)
		}
		if first, duplicate := seen[identityOf(o)]; duplicate {
			problems = append(problems, duplicateError(o, first, m.Origin(o)))
		}
		seen[identityOf(o)] = m.Origin(o)
	}
	return errors.Join(problems...)
}

// definedScopes tells for the kinds that the manifests themselves define
// whether they are namespaced: the cluster does not know them yet.
func definedScopes(objects []*unstructured.Unstructured) map[schema.GroupKind]bool {
	scopes := map[schema.GroupKind]bool{}
	for _, o := range objects {
		if o.GroupVersionKind().GroupKind() != (schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}) {
			continue
		}
		group, _, _ := unstructured.NestedString(o.Object, "spec", "group")
		kind, _, _ := unstructured.NestedString(o.Object, "spec", "names", "kind")
		scope, _, _ := unstructured.NestedString(o.Object, "spec", "scope")
		if kind != "" && scope != "" {
			scopes[schema.GroupKind{Group: group, Kind: kind}] = scope == "Namespaced"
		}
	}
	return scopes
}

package step

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"gitlab.com/rollstep/rollstep/internal/manifest"
)

// RBAC prints the ServiceAccount and the Roles that the jobs need for the
// manifests that c names: as YAML, asking no cluster. loaded is what Load said
// of c.
func RBAC(c Config, loaded error, w io.Writer) error {
	m, err := manifest.Load(c.Manifests)
	if err := errors.Join(loaded, err); err != nil {
		return configuration(err)
	}
	home := cmp.Or(c.Namespace, "default")
	defined := definedKinds(m.Objects)
	if err := m.FillNamespaces(home, func(gvk schema.GroupVersionKind) (bool, error) { return namespaced(gvk), nil }); err != nil {
		return configuration(err)
	}
	inNamespace := map[string][]permission{home: slices.Clone(ownPermissions)}
	var ofCluster []rule
	for _, o := range m.Objects {
		resource := resourceOf(o.GroupVersionKind(), defined)
		namespace := o.GetNamespace()
		if namespace == "" {
			ofCluster = append(ofCluster, clusterRules(resource, o.GetName())...)
			continue
		}
		if inNamespace[namespace] == nil {
			inNamespace[namespace] = slices.Clone(ownPermissions)
		}
		inNamespace[namespace] = allow(inNamespace[namespace], permission{why(o), resource.Group, []string{resource.Resource}, manifestVerbs(o)})
	}
	var text strings.Builder
	text.WriteString(rbacHead)
	fmt.Fprintf(&text, "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: rollstep-ci\n  namespace: %s\n", home)
	for _, namespace := range slices.Sorted(maps.Keys(inNamespace)) {
		var rules []rule
		for _, p := range inNamespace[namespace] {
			rules = append(rules, rule{permission: p})
		}
		writeRole(&text, "Role", "rollstep-ci", namespace, home, rules)
	}
	if len(ofCluster) > 0 {
		writeRole(&text, "ClusterRole", "rollstep-ci-"+home, "", home, ofCluster)
	}
	_, err = io.WriteString(w, text.String())
	return err
}

const rbacHead = `# What the jobs may do, and no more: printed by rollstep rbac for these manifests.
# Apply it once, by hand; it is not among the manifests that rollstep applies.
`

func why(o *unstructured.Unstructured) string {
	if o.GroupVersionKind().Group == "rbac.authorization.k8s.io" {
		return "From the manifests. What these grant, the jobs must have themselves."
	}
	return "From the manifests."
}

// allow adds a permission to a list, where it is not there yet.
func allow(list []permission, p permission) []permission {
	for i, has := range list {
		if has.group != p.group || !slices.Equal(has.resources, p.resources) {
			continue
		}
		verbs := slices.Clone(has.verbs)
		for _, verb := range p.verbs {
			if !slices.Contains(verbs, verb) {
				verbs = append(verbs, verb)
			}
		}
		list[i].verbs = verbs
		return list
	}
	return append(list, p)
}

// rule is a permission as RBAC writes it, on one object if it has a name.
type rule struct {
	permission
	name string
}

// clusterRules are for one object of the whole cluster, by its name as far as
// RBAC can tell names: not for create.
func clusterRules(resource schema.GroupVersionResource, name string) []rule {
	resources := []string{resource.Resource}
	return []rule{
		{permission{"From the manifests.", resource.Group, resources, []string{"create"}}, ""},
		{permission{"", resource.Group, resources, []string{"get", "list", "watch", "update", "patch"}}, name},
	}
}

func writeRole(w *strings.Builder, kind, name, namespace, home string, rules []rule) {
	metadata := "metadata:\n  name: " + name + "\n"
	if namespace != "" {
		metadata += "  namespace: " + namespace + "\n"
	}
	fmt.Fprintf(w, "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: %s\n%srules:\n", kind, metadata)
	for _, r := range rules {
		if r.why != "" {
			fmt.Fprintf(w, "  # %s\n", r.why)
		}
		fmt.Fprintf(w, "  - apiGroups: [%s]\n    resources: [%s]\n", cmp.Or(r.group, `""`), strings.Join(r.resources, ", "))
		if r.name != "" {
			fmt.Fprintf(w, "    resourceNames: [%s]\n", r.name)
		}
		fmt.Fprintf(w, "    verbs: [%s]\n", strings.Join(r.verbs, ", "))
	}
	fmt.Fprintf(w, `---
apiVersion: rbac.authorization.k8s.io/v1
kind: %[1]sBinding
%[2]sroleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: %[1]s
  name: %[3]s
subjects:
  - kind: ServiceAccount
    name: rollstep-ci
    namespace: %[4]s
`, kind, metadata, name, home)
}

// clusterKinds are Kubernetes' own kinds that belong to no namespace, of those that
// manifests contain. (A schema to ask without a cluster weighs 13 MB.)
var clusterKinds = map[string][]string{
	"":                             {"Namespace", "Node", "PersistentVolume"},
	"admissionregistration.k8s.io": {"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding", "MutatingWebhookConfiguration", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration"},
	"apiextensions.k8s.io":         {"CustomResourceDefinition"},
	"apiregistration.k8s.io":       {"APIService"},
	"flowcontrol.apiserver.k8s.io": {"FlowSchema", "PriorityLevelConfiguration"},
	"gateway.networking.k8s.io":    {"GatewayClass"},
	"networking.k8s.io":            {"IngressClass"},
	"node.k8s.io":                  {"RuntimeClass"},
	"rbac.authorization.k8s.io":    {"ClusterRole", "ClusterRoleBinding"},
	"scheduling.k8s.io":            {"PriorityClass"},
	"storage.k8s.io":               {"CSIDriver", "CSINode", "StorageClass", "VolumeAttributesClass"},
}

// namespaced says whether a kind is namespaced: of kinds that are not
// Kubernetes' own, nearly all are.
func namespaced(gvk schema.GroupVersionKind) bool {
	return !slices.Contains(clusterKinds[gvk.Group], gvk.Kind)
}

// definedKinds are the kinds that the manifests define, and their resources.
func definedKinds(objects []*unstructured.Unstructured) map[schema.GroupKind]string {
	plural := map[schema.GroupKind]string{}
	for _, o := range objects {
		if o.GetKind() == "CustomResourceDefinition" {
			group, _, _ := unstructured.NestedString(o.Object, "spec", "group")
			kind, _, _ := unstructured.NestedString(o.Object, "spec", "names", "kind")
			plural[schema.GroupKind{Group: group, Kind: kind}], _, _ = unstructured.NestedString(o.Object, "spec", "names", "plural")
		}
	}
	return plural
}

func resourceOf(gvk schema.GroupVersionKind, defined map[schema.GroupKind]string) schema.GroupVersionResource {
	resource, _ := meta.UnsafeGuessKindToResource(gvk)
	if plural := defined[gvk.GroupKind()]; plural != "" {
		resource.Resource = plural
	}
	return resource
}

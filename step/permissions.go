package step

import (
	"context"
	"fmt"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"gitlab.com/rollstep/rollstep/internal/cluster"
)

// permission is one resource and what must be allowed on it.
type permission struct {
	group, resource string
	verbs           []string
}

// ownPermissions are what the stages need besides the manifests' own kinds.
var ownPermissions = []permission{
	{"apps", "deployments", []string{"get", "list", "watch", "create", "patch", "delete"}},
	{"apps", "replicasets", []string{"list", "watch"}},
	{"", "pods", []string{"list", "watch"}},
	{"", "pods/log", []string{"get"}},
	{"", "events", []string{"list"}},
	{"", "services", []string{"get", "list", "create", "patch", "delete"}},
	{"", "configmaps", []string{"get", "list", "create", "update", "patch", "delete"}},
	{"", "secrets", []string{"get", "list", "create", "patch", "delete"}},
	{"discovery.k8s.io", "endpointslices", []string{"list", "watch"}},
	{"coordination.k8s.io", "leases", []string{"get", "create", "update"}},
	{"autoscaling", "horizontalpodautoscalers", []string{"list"}},
}

var selfSubjectRulesReviews = authorizationv1.SchemeGroupVersion.WithResource("selfsubjectrulesreviews")

// missingPermissions lists what the identity in KUBECONFIG may not do in the
// namespaces of the release, as far as the cluster can tell.
func (r *run) missingPermissions(ctx context.Context, rel *release) ([]string, error) {
	needed := map[string][]permission{r.namespace: slices.Clone(ownPermissions)}
	for _, namespace := range rel.namespaces() {
		needed[namespace] = slices.Clone(ownPermissions)
	}
	for _, p := range rel.previews {
		resource, err := r.cluster.Resource(ctx, p.Manifest.GroupVersionKind())
		if err != nil {
			return nil, err
		}
		if !resource.Namespaced {
			continue // a dry run has shown it
		}
		namespace := p.Manifest.GetNamespace()
		needed[namespace] = append(needed[namespace], permission{resource.Group, resource.Resource, []string{"get", "create", "patch"}})
	}
	var missing []string
	for namespace, permissions := range needed {
		rules, err := r.rules(ctx, namespace)
		if err != nil {
			return nil, err
		}
		for _, p := range permissions {
			if verbs := p.without(rules); len(verbs) > 0 {
				line := fmt.Sprintf("namespace %s: %s on %s", namespace, strings.Join(verbs, ", "), strings.TrimSuffix(p.resource+"."+p.group, "."))
				if !slices.Contains(missing, line) {
					missing = append(missing, line)
				}
			}
		}
	}
	slices.Sort(missing)
	return missing, nil
}

func (r *run) rules(ctx context.Context, namespace string) ([]authorizationv1.ResourceRule, error) {
	review := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "authorization.k8s.io/v1",
		"kind":       "SelfSubjectRulesReview",
		"spec":       map[string]any{"namespace": namespace},
	}}
	answer, err := r.cluster.Dynamic.Resource(selfSubjectRulesReviews).Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return nil, cluster.Explain(err)
	}
	var typed authorizationv1.SelfSubjectRulesReview
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(answer.Object, &typed); err != nil {
		return nil, err
	}
	return typed.Status.ResourceRules, nil
}

// without are the verbs that no rule allows on all objects of the resource.
func (p permission) without(rules []authorizationv1.ResourceRule) []string {
	has := func(list []string, s string) bool { return slices.Contains(list, s) || slices.Contains(list, "*") }
	return slices.DeleteFunc(slices.Clone(p.verbs), func(verb string) bool {
		return slices.ContainsFunc(rules, func(rule authorizationv1.ResourceRule) bool {
			return len(rule.ResourceNames) == 0 && has(rule.APIGroups, p.group) && has(rule.Resources, p.resource) && has(rule.Verbs, verb)
		})
	})
}

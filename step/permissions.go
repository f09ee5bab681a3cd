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

// permission is what must be allowed on some resources, and what for.
type permission struct {
	why       string
	group     string
	resources []string
	verbs     []string
}

// ownPermissions are what the stages need besides the manifests' own kinds.
var ownPermissions = []permission{
	{"The tracks.", "apps", []string{"deployments"}, []string{"get", "list", "watch", "create", "update", "patch", "delete"}},
	{"The canary's preview, and which Services reach it.", "", []string{"services"}, []string{"get", "list", "watch", "create", "update", "patch", "delete"}},
	{"The record, and the canary's copies of configuration.", "", []string{"configmaps"}, []string{"get", "list", "create", "update", "patch", "delete"}},
	{"Past releases, and the canary's copies of configuration.", "", []string{"secrets"}, []string{"get", "list", "create", "update", "patch", "delete"}},
	{"To watch a rollout, and to measure the share that each version serves.", "", []string{"pods"}, []string{"list", "watch"}},
	{"", "apps", []string{"replicasets"}, []string{"list", "watch"}},
	{"", "discovery.k8s.io", []string{"endpointslices"}, []string{"list", "watch"}},
	{"To explain a failure.", "", []string{"events"}, []string{"list"}},
	{"", "", []string{"pods/log"}, []string{"get"}},
	{"The lock: one job at a time.", "coordination.k8s.io", []string{"leases"}, []string{"get", "create", "update"}},
	{"Whether the replica count is an autoscaler's.", "autoscaling", []string{"horizontalpodautoscalers"}, []string{"list"}},
}

// manifestVerbs are what the stages do with an object that the manifests
// contain: update takes it over from kubectl apply, list reads many at once.
// Workloads and autoscalers are watched besides.
func manifestVerbs(o *unstructured.Unstructured) []string {
	if isWorkload(o) || isAutoscaler(o) {
		return []string{"get", "list", "watch", "create", "update", "patch", "delete"}
	}
	return []string{"get", "list", "create", "update", "patch", "delete"}
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
		needed[namespace] = append(needed[namespace], permission{"", resource.Group, []string{resource.Resource}, manifestVerbs(p.Manifest)})
	}
	var missing []string
	for namespace, permissions := range needed {
		rules, err := r.rules(ctx, namespace)
		if err != nil {
			return nil, err
		}
		for _, p := range permissions {
			for _, resource := range p.resources {
				if verbs := p.without(resource, rules); len(verbs) > 0 {
					missing = append(missing, fmt.Sprintf("namespace %s: %s on %s", namespace, strings.Join(verbs, ", "), strings.TrimSuffix(resource+"."+p.group, ".")))
				}
			}
		}
	}
	slices.Sort(missing)
	return slices.Compact(missing), nil
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

// without are the verbs that no rule allows on all objects of a resource.
func (p permission) without(resource string, rules []authorizationv1.ResourceRule) []string {
	has := func(list []string, s string) bool { return slices.Contains(list, s) || slices.Contains(list, "*") }
	return slices.DeleteFunc(slices.Clone(p.verbs), func(verb string) bool {
		return slices.ContainsFunc(rules, func(rule authorizationv1.ResourceRule) bool {
			return len(rule.ResourceNames) == 0 && has(rule.APIGroups, p.group) && has(rule.Resources, resource) && has(rule.Verbs, verb)
		})
	})
}

package step

import (
	"context"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"gitlab.com/rollstep/rollstep/internal/canary"
	"gitlab.com/rollstep/rollstep/internal/cluster"
	"gitlab.com/rollstep/rollstep/internal/rollout"
)

var (
	services    = corev1.SchemeGroupVersion.WithResource("services")
	deployments = appsv1.SchemeGroupVersion.WithResource("deployments")
	autoscalers = autoscalingv2.SchemeGroupVersion.WithResource("horizontalpodautoscalers")
)

// list returns the objects of a resource in a namespace.
func (r *run) list(ctx context.Context, resource schema.GroupVersionResource, namespace, selector string) ([]*unstructured.Unstructured, error) {
	list, err := r.cluster.Dynamic.Resource(resource).Namespace(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, cluster.Explain(err)
	}
	objects := make([]*unstructured.Unstructured, len(list.Items))
	for i := range list.Items {
		objects[i] = &list.Items[i]
	}
	return objects, nil
}

// services are the live Services of a namespace, listed once: what this run
// writes since, sawService tells.
func (r *run) services(ctx context.Context, namespace string) ([]*unstructured.Unstructured, error) {
	if list, known := r.servicesIn[namespace]; known {
		return list, nil
	}
	list, err := r.list(ctx, services, namespace, "")
	if err == nil {
		r.servicesIn[namespace] = list
	}
	return list, err
}

// deployments are the live Deployments of a namespace: those in view, if it is.
func (r *run) deployments(ctx context.Context, namespace string) ([]*unstructured.Unstructured, error) {
	if !r.viewed[namespace] {
		return r.list(ctx, deployments, namespace, "")
	}
	var live []*unstructured.Unstructured
	for _, d := range r.watcher.View().Deployments(namespace) {
		live = append(live, rollout.Untyped(d))
	}
	return live, nil
}

// sawService puts a Service that this run wrote into the list of its namespace,
// if there is one; nil takes it out.
func (r *run) sawService(namespace, name string, service *unstructured.Unstructured) {
	list, known := r.servicesIn[namespace]
	if !known {
		return
	}
	list = slices.DeleteFunc(slices.Clone(list), func(s *unstructured.Unstructured) bool { return s.GetName() == name })
	if service != nil {
		list = append(list, service)
	}
	r.servicesIn[namespace] = list
}

// surroundings are the objects of a namespace that a canary in it has to do
// with: those that are live, which a canary leaves as they are, and those that
// the release brings.
func (r *run) surroundings(ctx context.Context, rel *release, namespace string) (canary.Surroundings, error) {
	var around canary.Surroundings
	var err error
	if around.Services, err = r.services(ctx, namespace); err != nil {
		return around, err
	}
	if around.Deployments, err = r.deployments(ctx, namespace); err != nil {
		return around, err
	}
	around.Autoscalers, err = r.list(ctx, autoscalers, namespace, "")
	if err != nil {
		return around, err
	}
	around.Services = withNew(around.Services, rel, "Service", namespace)
	around.Autoscalers = withNew(around.Autoscalers, rel, "HorizontalPodAutoscaler", namespace)
	around.Budgets = withNew(nil, rel, "PodDisruptionBudget", namespace)
	return around, nil
}

// withNew adds to live objects those of a kind that the release brings.
func withNew(live []*unstructured.Unstructured, rel *release, kind, namespace string) []*unstructured.Unstructured {
	all := slices.Clone(live)
	for _, p := range rel.previews {
		named := func(o *unstructured.Unstructured) bool { return o.GetName() == p.Manifest.GetName() }
		if p.Manifest.GetKind() == kind && p.Manifest.GetNamespace() == namespace && !slices.ContainsFunc(live, named) {
			all = append(all, p.Result)
		}
	}
	return all
}

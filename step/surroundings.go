package step

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"gitlab.com/rollstep/rollstep/internal/canary"
	"gitlab.com/rollstep/rollstep/internal/cluster"
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

// services are the live Services of a namespace.
func (r *run) services(ctx context.Context, namespace string) ([]*unstructured.Unstructured, error) {
	return r.list(ctx, services, namespace, "")
}

// surroundings are the live objects of a namespace that a canary in it has to
// do with, those of the release in their new form.
func (r *run) surroundings(ctx context.Context, rel *release, namespace string) (canary.Surroundings, error) {
	var around canary.Surroundings
	var err error
	if around.Services, err = r.services(ctx, namespace); err != nil {
		return around, err
	}
	if around.Deployments, err = r.list(ctx, deployments, namespace, ""); err != nil {
		return around, err
	}
	around.Autoscalers, err = r.list(ctx, autoscalers, namespace, "")
	if errors.IsForbidden(err) {
		r.log.Note("HorizontalPodAutoscalers cannot be listed, only those in the manifests are known: %v", err)
	} else if err != nil {
		return around, err
	}
	around.Services = overlay(around.Services, rel, "Service", namespace)
	around.Autoscalers = overlay(around.Autoscalers, rel, "HorizontalPodAutoscaler", namespace)
	around.Budgets = overlay(nil, rel, "PodDisruptionBudget", namespace)
	return around, nil
}

// overlay replaces live objects by what the release makes of them, and adds
// those that it brings.
func overlay(live []*unstructured.Unstructured, rel *release, kind, namespace string) []*unstructured.Unstructured {
	byName := map[string]int{}
	for i, o := range live {
		byName[o.GetName()] = i
	}
	for _, p := range rel.previews {
		if p.Manifest.GetKind() != kind || p.Manifest.GetNamespace() != namespace {
			continue
		}
		if i, known := byName[p.Manifest.GetName()]; known {
			live[i] = p.Result
		} else {
			live = append(live, p.Result)
		}
	}
	return live
}

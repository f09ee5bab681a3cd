package labtest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"
)

// Resource is a kind of objects.
type Resource = schema.GroupVersionResource

// What tests look at.
var (
	Namespaces          = Resource{Version: "v1", Resource: "namespaces"}
	ServiceAccounts     = Resource{Version: "v1", Resource: "serviceaccounts"}
	ConfigMaps          = Resource{Version: "v1", Resource: "configmaps"}
	Secrets             = Resource{Version: "v1", Resource: "secrets"}
	Services            = Resource{Version: "v1", Resource: "services"}
	Pods                = Resource{Version: "v1", Resource: "pods"}
	Nodes               = Resource{Version: "v1", Resource: "nodes"}
	Volumes             = Resource{Version: "v1", Resource: "persistentvolumes"}
	Claims              = Resource{Version: "v1", Resource: "persistentvolumeclaims"}
	Quotas              = Resource{Version: "v1", Resource: "resourcequotas"}
	Events              = Resource{Version: "v1", Resource: "events"}
	Deployments         = Resource{Group: "apps", Version: "v1", Resource: "deployments"}
	ReplicaSets         = Resource{Group: "apps", Version: "v1", Resource: "replicasets"}
	EndpointSlices      = Resource{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"}
	Leases              = Resource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}
	Autoscalers         = Resource{Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers"}
	Roles               = Resource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"}
	RoleBindings        = Resource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"}
	ClusterRoles        = Resource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"}
	ClusterRoleBindings = Resource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings"}
	PriorityClasses     = Resource{Group: "scheduling.k8s.io", Version: "v1", Resource: "priorityclasses"}
	Definitions         = Resource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	AdmissionPolicies   = Resource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicies"}
	AdmissionBindings   = Resource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicybindings"}
)

// of returns the objects of a resource in the space, or in the cluster if
// objects of that kind belong to no namespace.
func (s *Space) of(resource Resource) dynamic.ResourceInterface {
	switch resource {
	case Namespaces, Nodes, Volumes, ClusterRoles, ClusterRoleBindings, Definitions, PriorityClasses, AdmissionPolicies, AdmissionBindings:
		return s.lab.admin.Resource(resource)
	}
	return s.lab.admin.Resource(resource).Namespace(s.Name)
}

// Get returns an object, nil if there is none.
func (s *Space) Get(resource Resource, name string) *unstructured.Unstructured {
	s.t.Helper()
	o, err := s.of(resource).Get(s.context(), name, metav1.GetOptions{})
	if errors.IsNotFound(err) {
		return nil
	}
	require.NoError(s.t, err)
	return o
}

// Deployment returns a Deployment, nil if there is none.
func (s *Space) Deployment(name string) *appsv1.Deployment {
	s.t.Helper()
	o := s.Get(Deployments, name)
	if o == nil {
		return nil
	}
	d := &appsv1.Deployment{}
	require.NoError(s.t, runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, d))
	return d
}

// Replicas is the number of pods that a Deployment asks for, -1 if there is none.
func (s *Space) Replicas(deployment string) int {
	s.t.Helper()
	d := s.Deployment(deployment)
	if d == nil {
		return -1
	}
	return int(*d.Spec.Replicas)
}

// Image is the image of a Deployment's first container.
func (s *Space) Image(deployment string) string {
	s.t.Helper()
	d := s.Deployment(deployment)
	require.NotNil(s.t, d, "Deployment %s", deployment)
	return d.Spec.Template.Spec.Containers[0].Image
}

// Data is the content of a ConfigMap.
func (s *Space) Data(configMap string) map[string]string {
	s.t.Helper()
	o := s.Get(ConfigMaps, configMap)
	require.NotNil(s.t, o, "ConfigMap %s", configMap)
	data, _, err := unstructured.NestedStringMap(o.Object, "data")
	require.NoError(s.t, err)
	return data
}

// List returns the objects of a resource, sorted by name.
func (s *Space) List(resource Resource) []unstructured.Unstructured {
	s.t.Helper()
	list, err := s.of(resource).List(s.context(), metav1.ListOptions{})
	require.NoError(s.t, err)
	slices.SortFunc(list.Items, func(a, b unstructured.Unstructured) int { return strings.Compare(a.GetName(), b.GetName()) })
	return list.Items
}

// PodsOf are the names of a Deployment's pods that are not on their way out.
func (s *Space) PodsOf(deployment string) []string {
	s.t.Helper()
	var names []string
	for _, pod := range s.List(Pods) {
		if pod.GetDeletionTimestamp() == nil && podsOf(deployment).MatchString(pod.GetName()) {
			names = append(names, pod.GetName())
		}
	}
	return names
}

// Create creates an object from YAML, as the administrator.
func (s *Space) Create(resource Resource, text string) *unstructured.Unstructured {
	s.t.Helper()
	o := &unstructured.Unstructured{}
	require.NoError(s.t, yaml.Unmarshal([]byte(text), &o.Object))
	created, err := s.of(resource).Create(s.context(), o, metav1.CreateOptions{FieldManager: "administrator"})
	require.NoError(s.t, err)
	return created
}

// KubectlApply creates or replaces an object as client-side kubectl apply does
// the first time: with its annotation, and under its field manager.
func (s *Space) KubectlApply(resource Resource, text string) {
	s.t.Helper()
	o := &unstructured.Unstructured{}
	require.NoError(s.t, yaml.Unmarshal([]byte(text), &o.Object))
	last, err := json.Marshal(o.Object)
	require.NoError(s.t, err)
	annotations := o.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations["kubectl.kubernetes.io/last-applied-configuration"] = string(last) + "\n"
	o.SetAnnotations(annotations)
	_, err = s.of(resource).Create(s.context(), o, metav1.CreateOptions{FieldManager: "kubectl-client-side-apply"})
	require.NoError(s.t, err)
}

// Patch merges JSON into an object, as the administrator.
func (s *Space) Patch(resource Resource, name, patch string) {
	s.t.Helper()
	_, err := s.of(resource).Patch(s.context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "administrator"})
	require.NoError(s.t, err)
}

// Delete removes an object, as the administrator.
func (s *Space) Delete(resource Resource, name string) {
	s.t.Helper()
	background := metav1.DeletePropagationBackground
	require.NoError(s.t, s.of(resource).Delete(s.context(), name, metav1.DeleteOptions{PropagationPolicy: &background}))
}

// Discard removes an object at the end of a test, if it is there.
func (s *Space) Discard(resource Resource, name string) {
	_ = s.of(resource).Delete(context.Background(), name, metav1.DeleteOptions{})
}

// Await waits until an object fulfils a condition, nil if it is not there.
func (s *Space) Await(resource Resource, name string, fulfils func(*unstructured.Unstructured) bool) {
	s.t.Helper()
	one := metav1.ListOptions{FieldSelector: "metadata.name=" + name}
	var last *unstructured.Unstructured
	err := s.follow(resource, one, func(objects map[string]*unstructured.Unstructured) bool {
		last = objects[name]
		return fulfils(last)
	})
	require.NoError(s.t, err, "waiting for %s %s; it is now %s", resource.Resource, name, show(last))
}

// AwaitReplicas waits until a Deployment has so many available pods and no others.
func (s *Space) AwaitReplicas(deployment string, n int) {
	s.t.Helper()
	s.Await(Deployments, deployment, func(o *unstructured.Unstructured) bool {
		if o == nil {
			return false
		}
		d := &appsv1.Deployment{}
		if runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, d) != nil {
			return false
		}
		return d.Status.ObservedGeneration >= d.Generation && int(*d.Spec.Replicas) == n &&
			int(d.Status.AvailableReplicas) == n && int(d.Status.UpdatedReplicas) == n && int(d.Status.Replicas) == n
	})
}

func show(o *unstructured.Unstructured) string {
	if o == nil {
		return "not there"
	}
	text, err := json.Marshal(o.Object)
	return fmt.Sprintf("%s %v", text, err)
}

// follow shows look every state of some objects in turn, by name, until it says done.
func (s *Space) follow(resource Resource, some metav1.ListOptions, look func(map[string]*unstructured.Unstructured) (done bool)) error {
	ctx, cancel := context.WithTimeout(s.context(), hangGuard)
	defer cancel()
	return follow(ctx, s.of(resource), some, look)
}

func follow(ctx context.Context, ri dynamic.ResourceInterface, some metav1.ListOptions, look func(map[string]*unstructured.Unstructured) (done bool)) error {
	list, err := ri.List(ctx, some)
	if err != nil {
		return err
	}
	objects := map[string]*unstructured.Unstructured{}
	for i := range list.Items {
		objects[list.Items[i].GetName()] = &list.Items[i]
	}
	if look(objects) {
		return nil
	}
	some.ResourceVersion = list.GetResourceVersion()
	w, err := ri.Watch(ctx, some)
	if err != nil {
		return err
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		o, ok := event.Object.(*unstructured.Unstructured)
		switch {
		case !ok || event.Type == watch.Error:
			return errors.FromObject(event.Object)
		case event.Type == watch.Deleted:
			delete(objects, o.GetName())
		default:
			objects[o.GetName()] = o
		}
		if look(objects) {
			return nil
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("the server ended the watch")
}

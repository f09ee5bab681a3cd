package cluster

import (
	"context"
	"fmt"
	"net/http"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// typed are the kinds that there are many of. They are read as protobuf, which
// takes a fraction of the time and memory that JSON does.
var typed = map[schema.GroupVersionResource][]runtime.Object{
	corev1.SchemeGroupVersion.WithResource("pods"): {&corev1.Pod{}, &corev1.PodList{}},
	events: {&corev1.Event{}, &corev1.EventList{}},
	appsv1.SchemeGroupVersion.WithResource("replicasets"):         {&appsv1.ReplicaSet{}, &appsv1.ReplicaSetList{}},
	appsv1.SchemeGroupVersion.WithResource("deployments"):         {&appsv1.Deployment{}, &appsv1.DeploymentList{}},
	discoveryv1.SchemeGroupVersion.WithResource("endpointslices"): {&discoveryv1.EndpointSlice{}, &discoveryv1.EndpointSliceList{}},
}

var events = corev1.SchemeGroupVersion.WithResource("events")

// typedClients returns a client for each group and version of typed.
func typedClients(config *rest.Config, client *http.Client) (map[schema.GroupVersion]rest.Interface, error) {
	scheme := runtime.NewScheme()
	config = rest.CopyConfig(config)
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	clients := map[schema.GroupVersion]rest.Interface{}
	for resource, objects := range typed {
		gv := resource.GroupVersion()
		scheme.AddKnownTypes(gv, objects...)
		if clients[gv] != nil {
			continue
		}
		metav1.AddToGroupVersion(scheme, gv)
		config.GroupVersion = &gv
		config.APIPath = "/apis"
		if gv.Group == "" {
			config.APIPath = "/api"
		}
		var err error
		if clients[gv], err = rest.RESTClientForConfigAndClient(config, client); err != nil {
			return nil, err
		}
	}
	return clients, nil
}

// ListWatch lists and watches the objects of a resource in a namespace that a
// label selector takes, "" for all: Deployments, ReplicaSets, Pods, EndpointSlices
// and Events with their Go types, all others unstructured.
func (c *Client) ListWatch(resource schema.GroupVersionResource, namespace, selector string) *cache.ListWatch {
	if typed[resource] != nil {
		return cache.NewFilteredListWatchFromClient(c.typed[resource.GroupVersion()], resource.Resource, namespace,
			func(o *metav1.ListOptions) { o.LabelSelector = selector })
	}
	ri := c.Dynamic.Resource(resource).Namespace(namespace)
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = selector
			return ri.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = selector
			return ri.Watch(ctx, o)
		},
	}
}

// eventsAtOnce and eventsMost bound how many events are read in one request, and
// in all.
const (
	eventsAtOnce = 500
	eventsMost   = 10_000
)

// Events returns the wanted ones of the events of a namespace that a field
// selector takes. Where there are more than are read, it returns an error beside
// those that were.
func (c *Client) Events(ctx context.Context, namespace, selector string, wanted func(*corev1.Event) bool) ([]*corev1.Event, error) {
	lw := c.ListWatch(events, namespace, "")
	options := metav1.ListOptions{FieldSelector: selector, Limit: eventsAtOnce}
	var all []*corev1.Event
	for read := 0; ; {
		answer, err := lw.ListWithContext(ctx, options)
		if err != nil {
			return all, Explain(err)
		}
		page, ok := answer.(*corev1.EventList)
		if !ok {
			return all, fmt.Errorf("the API server answers a list of events with a %T", answer)
		}
		for _, e := range page.Items { // a copy, which does not hold the page
			if wanted(&e) {
				e.ManagedFields = nil
				all = append(all, &e)
			}
		}
		if options.Continue = page.Continue; page.Continue == "" {
			return all, nil
		}
		if read += len(page.Items); read >= eventsMost {
			return all, fmt.Errorf("namespace %s has more than the %d that are read", namespace, eventsMost)
		}
	}
}

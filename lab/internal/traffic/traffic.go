// Package traffic is the lab's way to Services: it picks an endpoint as
// kube-proxy does and answers as the pod behind it would.
package traffic

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
)

// Traffic answers requests to the Services of a lab.
type Traffic struct {
	// Restart restarts the API server.
	Restart func(context.Context) error

	client   kubernetes.Interface
	slice    *Slice
	services corelisters.ServiceLister
	pods     corelisters.PodLister
	slices   cache.Indexer
	podsByIP cache.Indexer
	kubelet  string // its address
	counts   counts
	log      *slog.Logger

	broadcaster record.EventBroadcaster
	events      record.EventRecorder
	queue       workqueue.TypedDelayingInterface[types.NamespacedName]
	fronts      map[types.NamespacedName]*front
	addresses   map[string]bool
}

// Indexes: of EndpointSlices by the "namespace/name" of their Service, of pods by their address.
const (
	byService = "service"
	byIP      = "ip"
)

// New registers what is watched with the factory, which the caller starts.
// kubelet is the address that the API server may reach through here.
func New(client kubernetes.Interface, factory informers.SharedInformerFactory, slice *Slice, kubelet string, log *slog.Logger) *Traffic {
	slices := factory.Discovery().V1().EndpointSlices().Informer()
	_ = slices.AddIndexers(cache.Indexers{byService: func(object any) ([]string, error) {
		s := object.(*discoveryv1.EndpointSlice)
		return []string{s.Namespace + "/" + s.Labels[discoveryv1.LabelServiceName]}, nil
	}})
	pods := factory.Core().V1().Pods().Informer()
	_ = pods.AddIndexers(cache.Indexers{byIP: func(object any) ([]string, error) {
		return []string{object.(*corev1.Pod).Status.PodIP}, nil
	}})
	t := &Traffic{
		client: client, slice: slice, kubelet: kubelet, log: log,
		services:  factory.Core().V1().Services().Lister(),
		pods:      factory.Core().V1().Pods().Lister(),
		slices:    slices.GetIndexer(),
		podsByIP:  pods.GetIndexer(),
		queue:     workqueue.NewTypedDelayingQueue[types.NamespacedName](),
		fronts:    map[types.NamespacedName]*front{},
		addresses: map[string]bool{},
	}
	t.broadcaster, t.events = newRecorder(client)
	enqueue := func(object any) {
		if key, err := cache.DeletionHandlingObjectToName(object); err == nil {
			t.queue.Add(types.NamespacedName{Namespace: key.Namespace, Name: key.Name})
		}
	}
	_, _ = factory.Core().V1().Services().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    enqueue,
		UpdateFunc: func(_, object any) { enqueue(object) },
		DeleteFunc: enqueue,
	})
	return t
}

// Run serves until ctx ends. The factory's caches must have synced.
func (t *Traffic) Run(ctx context.Context) {
	server := &http.Server{Handler: t.handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(t.slice.listener) }()
	go func() {
		<-ctx.Done()
		_ = server.Close()
		t.queue.ShutDown()
	}()
	t.openFronts(ctx)
	t.broadcaster.Shutdown()
}

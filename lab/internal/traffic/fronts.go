package traffic

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	clientcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
)

// retry is when a port that was taken is tried again.
const retry = 5 * time.Second

// front is where a Service is reached from outside the cluster.
type front struct {
	uid     types.UID
	address string // of its own, for type LoadBalancer
	open    map[string]*http.Server
}

func newRecorder(client kubernetes.Interface) (record.EventBroadcaster, record.EventRecorder) {
	broadcaster := record.NewBroadcaster()
	broadcaster.StartRecordingToSink(&clientcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	return broadcaster, broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "lab-load-balancer"})
}

// openFronts opens and closes listeners as Services come, change and go.
func (t *Traffic) openFronts(ctx context.Context) {
	for {
		key, shutdown := t.queue.Get()
		if shutdown {
			break
		}
		if err := t.reconcile(ctx, key); err != nil && ctx.Err() == nil {
			t.log.Warn("service not served, will retry", "service", key, "err", err)
			t.queue.AddAfter(key, retry)
		}
		t.queue.Done(key)
	}
	for _, f := range t.fronts {
		f.listenOn(nil)
	}
}

func (t *Traffic) reconcile(ctx context.Context, key types.NamespacedName) error {
	service, err := t.services.Services(key.Namespace).Get(key.Name)
	f := t.fronts[key]
	if apierrors.IsNotFound(err) || f != nil && service != nil && f.uid != service.UID {
		t.close(key)
		f = nil
	}
	if err != nil {
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	if f == nil {
		f = &front{uid: service.UID, open: map[string]*http.Server{}}
		t.fronts[key] = f
	}
	return t.serve(ctx, service, f)
}

// serve listens where the Service is to be reached and writes its address into its status.
func (t *Traffic) serve(ctx context.Context, service *corev1.Service, f *front) error {
	wanted := map[string]corev1.ServicePort{}
	for _, port := range service.Spec.Ports {
		if port.NodePort != 0 {
			wanted[fmt.Sprintf("127.0.0.1:%d", port.NodePort)] = port
		}
	}
	balanced := service.Spec.Type == corev1.ServiceTypeLoadBalancer && service.Spec.LoadBalancerClass == nil
	if balanced {
		if f.address == "" {
			f.address = t.takeAddress()
		}
		for _, port := range service.Spec.Ports {
			wanted[fmt.Sprintf("%s:%d", f.address, port.Port)] = port
		}
	} else {
		t.freeAddress(f)
	}
	failed := f.listenOn(slices.Collect(maps.Keys(wanted)))
	for listen, server := range f.open {
		server.Handler.(*portHandler).set(t, service, wanted[listen])
	}
	ip := ""
	if balanced {
		ip = f.address
	}
	var first error
	for listen, err := range failed {
		if host, _, _ := net.SplitHostPort(listen); balanced && host == f.address {
			ip = "127.0.0.1"
			t.events.Eventf(service, corev1.EventTypeWarning, "LoadBalancerAddress", "cannot listen on %s (%v): the Service is reached on 127.0.0.1 at its node port %d instead", listen, err, wanted[listen].NodePort)
			continue
		}
		t.events.Eventf(service, corev1.EventTypeWarning, "NodePort", "cannot listen on %s: %v", listen, err)
		first = err
	}
	if err := t.writeAddress(ctx, service, ip); err != nil {
		return err
	}
	return first
}

// writeAddress makes the status say how the Service is reached, ip "" for not at all.
func (t *Traffic) writeAddress(ctx context.Context, service *corev1.Service, ip string) error {
	patch := `{"status":{"loadBalancer":{"ingress":null}}}`
	is := ""
	if ingress := service.Status.LoadBalancer.Ingress; len(ingress) > 0 {
		is = ingress[0].IP
	}
	if is == ip {
		return nil
	}
	if ip != "" {
		patch = fmt.Sprintf(`{"status":{"loadBalancer":{"ingress":[{"ip":%q}]}}}`, ip)
	}
	return t.patchStatus(ctx, service, patch)
}

func (t *Traffic) close(key types.NamespacedName) {
	if f := t.fronts[key]; f != nil {
		f.listenOn(nil)
		t.freeAddress(f)
		delete(t.fronts, key)
	}
}

func (t *Traffic) takeAddress() string {
	for n := 0; ; n++ {
		if address := t.slice.address(n); !t.addresses[address] {
			t.addresses[address] = true
			return address
		}
	}
}

func (t *Traffic) freeAddress(f *front) {
	delete(t.addresses, f.address)
	f.address = ""
}

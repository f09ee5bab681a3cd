// Package rollout says how far workloads have come and what holds them up. It
// keeps a live view of a release's namespaces; all judgements on that view are
// pure functions.
package rollout

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// Watcher keeps a live view of the workloads, pods and endpoints of some
// namespaces. It lists and watches each kind once per namespace.
type Watcher struct {
	// Each, if set, is called with every view that Until looks at.
	Each func(*View)

	changed chan struct{}
	stores  []cache.Store
	stop    context.CancelCauseFunc

	mu     sync.Mutex
	failed error
}

// Resources every rollout needs to see.
var (
	Deployments    = appsv1.SchemeGroupVersion.WithResource("deployments")
	ReplicaSets    = appsv1.SchemeGroupVersion.WithResource("replicasets")
	StatefulSets   = appsv1.SchemeGroupVersion.WithResource("statefulsets")
	DaemonSets     = appsv1.SchemeGroupVersion.WithResource("daemonsets")
	Pods           = corev1.SchemeGroupVersion.WithResource("pods")
	EndpointSlices = discoveryv1.SchemeGroupVersion.WithResource("endpointslices")
)

var always = []schema.GroupVersionResource{Deployments, ReplicaSets, Pods, EndpointSlices}

// Source is a cluster's lists and watches of a resource in a namespace: those of
// Deployments, ReplicaSets, Pods and EndpointSlices with their Go types, all
// others unstructured.
type Source interface {
	ListWatch(schema.GroupVersionResource, string) *cache.ListWatch
}

// Watch begins to view namespaces until ctx ends, and returns when the view is
// complete. more are resources to see besides those of every rollout.
func Watch(ctx context.Context, source Source, namespaces []string, more ...schema.GroupVersionResource) (*Watcher, error) {
	ctx, stop := context.WithCancelCause(ctx)
	w := &Watcher{changed: make(chan struct{}, 1), stop: stop}
	var synced []cache.DoneChecker
	for _, namespace := range namespaces {
		for _, resource := range append(append([]schema.GroupVersionResource{}, always...), more...) {
			informer, err := w.informer(source.ListWatch(resource, namespace), resource, namespace)
			if err != nil {
				stop(err)
				return nil, err
			}
			synced = append(synced, informer.HasSyncedChecker())
			go informer.RunWithContext(ctx)
		}
	}
	if err := complete(ctx, synced); err != nil {
		stop(err)
		return nil, err
	}
	return w, nil
}

func (w *Watcher) informer(lw *cache.ListWatch, resource schema.GroupVersionResource, namespace string) (cache.SharedIndexInformer, error) {
	begin := lw.WatchFuncWithContext
	lw.WatchFuncWithContext = func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
		w, err := begin(ctx, o)
		if err != nil {
			return nil, err
		}
		return beginning(w, o), nil
	}
	informer := cache.NewSharedIndexInformer(lw, nil, 0, cache.Indexers{})
	if err := informer.SetTransform(newKeeper().keep); err != nil {
		return nil, err
	}
	refused := refusals{}
	err := informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
		// Everything else heals: the reflector lists and watches again.
		if !errors.IsForbidden(err) && !errors.IsUnauthorized(err) && !errors.IsNotFound(err) {
			return
		}
		if informer.HasSynced() && !refused.last(time.Now()) {
			return
		}
		err = fmt.Errorf("watching %s in namespace %s: %w", resource.Resource, namespace, err)
		w.fail(err)
		w.stop(err)
	})
	if err != nil {
		return nil, err
	}
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { w.notify() },
		UpdateFunc: func(any, any) { w.notify() },
		DeleteFunc: func(any) { w.notify() },
	})
	w.stores = append(w.stores, informer.GetStore())
	return informer, err
}

// Stop ends the view.
func (w *Watcher) Stop() { w.stop(context.Canceled) }

func (w *Watcher) notify() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

func (w *Watcher) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed == nil {
		w.failed = err
	}
	w.notify()
}

// Changes are gathered before they are looked at, a pod's start alone makes
// several: for settleView, and where a look takes long for longer, up to
// settleMost.
const (
	settleView = 20 * time.Millisecond
	settleMost = 250 * time.Millisecond
)

// Until looks at the view whenever it changed, and at the latest after the time
// that the last look asked for, until a look says done or fails.
func (w *Watcher) Until(ctx context.Context, look func(*View) (done bool, again time.Duration, err error)) error {
	for {
		w.mu.Lock()
		failed := w.failed
		w.mu.Unlock()
		if failed != nil {
			return failed
		}
		began := time.Now()
		v := w.View()
		if w.Each != nil {
			w.Each(v)
		}
		done, again, err := look(v)
		took := time.Since(began)
		if done || err != nil {
			return err
		}
		timer := time.NewTimer(again)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		case <-w.changed:
			timer.Stop()
			select {
			case <-ctx.Done():
			case <-time.After(max(settleView, min(4*took, settleMost))):
			}
		}
	}
}

// View is the state of the watched namespaces at one moment. It is for one
// goroutine.
type View struct {
	deployments []*appsv1.Deployment
	replicaSets []*appsv1.ReplicaSet
	pods        []*corev1.Pod
	slices      []*discoveryv1.EndpointSlice
	others      []*unstructured.Unstructured

	serving map[types.NamespacedName]Serving // as far as it was asked for
}

// View returns what is known now.
func (w *Watcher) View() *View {
	v := &View{}
	for _, store := range w.stores {
		for _, o := range store.List() {
			v.add(o)
		}
	}
	return v
}

func (v *View) add(o any) {
	switch o := o.(type) {
	case *appsv1.Deployment:
		v.deployments = append(v.deployments, o)
	case *appsv1.ReplicaSet:
		v.replicaSets = append(v.replicaSets, o)
	case *corev1.Pod:
		v.pods = append(v.pods, o)
	case *discoveryv1.EndpointSlice:
		v.slices = append(v.slices, o)
	case *unstructured.Unstructured:
		v.others = append(v.others, o)
	default:
		panic("rollout: unexpected " + reflect.TypeOf(o).String())
	}
}

// Always says whether a resource is part of every view.
func Always(resource schema.GroupVersionResource) bool { return slices.Contains(always, resource) }

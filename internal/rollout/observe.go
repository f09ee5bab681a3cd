// Package rollout says how far workloads have come and what holds them up. It
// keeps a live view of a release's namespaces; all judgements on that view are
// pure functions.
package rollout

import (
	"context"
	"fmt"
	"reflect"
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
// namespaces, each kind by one watch per namespace.
type Watcher struct {
	// Each, if set, is called with every view that Until looks at.
	Each func(*View)

	source   Source
	lifetime context.Context
	stop     context.CancelCauseFunc
	changed  chan struct{}
	watches  map[watched]watching

	mu     sync.Mutex
	failed error
}

// watched are the objects of a resource in a namespace.
type watched struct {
	schema.GroupVersionResource
	namespace string
}

// watching is the watch of some objects.
type watching struct {
	selector string
	store    cache.Store
	stop     context.CancelFunc
}

func (w watching) shows(s Scope) bool { return w.store != nil && w.selector == s.Selector }

// Resources that rollouts need to see.
var (
	Deployments    = appsv1.SchemeGroupVersion.WithResource("deployments")
	ReplicaSets    = appsv1.SchemeGroupVersion.WithResource("replicasets")
	Pods           = corev1.SchemeGroupVersion.WithResource("pods")
	EndpointSlices = discoveryv1.SchemeGroupVersion.WithResource("endpointslices")
)

// Source is a cluster's lists and watches of the objects of a resource in a
// namespace that a label selector takes: of Deployments, ReplicaSets, Pods and
// EndpointSlices with their Go types, of all others unstructured.
type Source interface {
	ListWatch(resource schema.GroupVersionResource, namespace, selector string) *cache.ListWatch
}

// NewWatcher returns a Watcher that sees nothing yet. It ends with ctx.
func NewWatcher(ctx context.Context, source Source) *Watcher {
	w := &Watcher{source: source, changed: make(chan struct{}, 1), watches: map[watched]watching{}}
	w.lifetime, w.stop = context.WithCancelCause(ctx)
	return w
}

// See brings what scopes show into the view, and returns when the view has it.
// What another scope showed of a resource in the same namespace is replaced. If it
// fails, the Watcher ends.
func (w *Watcher) See(scopes ...Scope) error {
	begun := map[watched]watching{}
	var synced []cache.DoneChecker
	for _, s := range scopes {
		key := watched{s.Resource, s.Namespace}
		if w.watches[key].shows(s) || begun[key].shows(s) {
			continue
		}
		informer, err := w.informer(s)
		if err != nil {
			w.stop(err)
			return err
		}
		ctx, stop := context.WithCancel(w.lifetime)
		begun[key] = watching{selector: s.Selector, store: informer.GetStore(), stop: stop}
		synced = append(synced, informer.HasSyncedChecker())
		go informer.RunWithContext(ctx)
	}
	if err := complete(w.lifetime, synced); err != nil {
		w.stop(err)
		return err
	}
	for key, watch := range begun {
		if old, has := w.watches[key]; has {
			old.stop()
		}
		w.watches[key] = watch
	}
	return nil
}

func (w *Watcher) informer(s Scope) (cache.SharedIndexInformer, error) {
	lw := w.source.ListWatch(s.Resource, s.Namespace, s.Selector)
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
		err = fmt.Errorf("watching %s in namespace %s: %w", s.Resource.Resource, s.Namespace, err)
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

// View is the state of what is watched at one moment. It is for one goroutine.
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
	for _, watch := range w.watches {
		for _, o := range watch.store.List() {
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

package main

import (
	"context"
	"errors"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// follower watches a namespace, and notes when its pods are what its
// Deployments ask for and when they are not: the pods' own time.
type follower struct {
	stop    context.CancelFunc
	factory informers.SharedInformerFactory

	mu      sync.Mutex
	settled bool
	turns   []turn
	bad     map[string]time.Time // when a container's reason to wait was first seen
}

// turn is when the pods began or ceased to be what is asked for.
type turn struct {
	at      time.Time
	settled bool
}

func (b *bench) follow(ctx context.Context, namespace string) (*follower, error) {
	ctx, stop := context.WithCancel(ctx)
	f := &follower{
		stop: stop, settled: true, bad: map[string]time.Time{},
		factory: informers.NewSharedInformerFactoryWithOptions(b.client, 0, informers.WithNamespace(namespace)),
	}
	all := []cache.SharedIndexInformer{
		f.factory.Apps().V1().Deployments().Informer(), f.factory.Apps().V1().ReplicaSets().Informer(),
		f.factory.Core().V1().Pods().Informer(), f.factory.Core().V1().Services().Informer(),
		f.factory.Discovery().V1().EndpointSlices().Informer(),
	}
	for _, informer := range all {
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    f.look,
			UpdateFunc: func(_, o any) { f.look(o) },
			DeleteFunc: f.look,
		})
		if err != nil {
			stop()
			return nil, err
		}
	}
	f.factory.Start(ctx.Done())
	for _, ok := range f.factory.WaitForCacheSync(ctx.Done()) {
		if !ok {
			stop()
			return nil, errors.New("the namespace cannot be watched")
		}
	}
	return f, nil
}

func (f *follower) look(o any) {
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if pod, ok := o.(*corev1.Pod); ok {
		for _, c := range pod.Status.ContainerStatuses {
			if w := c.State.Waiting; w != nil && f.bad[w.Reason].IsZero() {
				f.bad[w.Reason] = now
			}
		}
	}
	if settled := f.judge(); settled != f.settled {
		f.settled = settled
		f.turns = append(f.turns, turn{now, settled})
	}
}

// unsettled is for how long, from a time to another, the pods were not what is
// asked for.
func (f *follower) unsettled(from, to time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	var sum time.Duration
	settled, since := true, from
	for _, t := range append(f.turns[:len(f.turns):len(f.turns)], turn{at: to}) {
		at := t.at
		if at.Before(from) {
			at = from
		}
		if at.After(to) {
			at = to
		}
		if !settled {
			sum += at.Sub(since)
		}
		settled, since = t.settled, at
	}
	return sum
}

// since is when the first of the reasons was seen.
func (f *follower) since(reasons ...string) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	var first time.Time
	for _, r := range reasons {
		if at := f.bad[r]; !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

// judge says whether each Deployment has the pods that it asks for, with its
// newest template and no others, and each Service has them as ready endpoints.
func (f *follower) judge() bool {
	owner := f.owners()
	for _, o := range f.factory.Apps().V1().Deployments().Informer().GetStore().List() {
		d := o.(*appsv1.Deployment)
		if d.Status.ObservedGeneration < d.Generation || d.Status.UpdatedReplicas != *d.Spec.Replicas {
			return false
		}
		for _, o := range f.factory.Core().V1().Services().Informer().GetStore().List() {
			s := o.(*corev1.Service)
			if len(s.Spec.Selector) == 0 || !labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(d.Spec.Template.Labels)) {
				continue
			}
			newest, any := f.serving(s.Name, d, owner)
			if newest != *d.Spec.Replicas || any != newest {
				return false
			}
		}
	}
	return true
}

// ownership is what a pod belongs to.
type ownership struct {
	deployment, revision string
}

func (f *follower) owners() map[string]ownership {
	sets := map[string]ownership{}
	for _, o := range f.factory.Apps().V1().ReplicaSets().Informer().GetStore().List() {
		rs := o.(*appsv1.ReplicaSet)
		if c := metav1.GetControllerOf(rs); c != nil {
			sets[rs.Name] = ownership{c.Name, rs.Annotations["deployment.kubernetes.io/revision"]}
		}
	}
	pods := map[string]ownership{}
	for _, o := range f.factory.Core().V1().Pods().Informer().GetStore().List() {
		pod := o.(*corev1.Pod)
		if c := metav1.GetControllerOf(pod); c != nil {
			pods[pod.Name] = sets[c.Name]
		}
	}
	return pods
}

// serving counts a Deployment's pods among a Service's ready endpoints.
func (f *follower) serving(service string, d *appsv1.Deployment, owner map[string]ownership) (newest, any int32) {
	for _, o := range f.factory.Discovery().V1().EndpointSlices().Informer().GetStore().List() {
		slice := o.(*discoveryv1.EndpointSlice)
		if slice.Labels[discoveryv1.LabelServiceName] != service {
			continue
		}
		for _, e := range slice.Endpoints {
			if e.TargetRef == nil || e.Conditions.Ready != nil && !*e.Conditions.Ready || owner[e.TargetRef.Name].deployment != d.Name {
				continue
			}
			any++
			if owner[e.TargetRef.Name].revision == d.Annotations["deployment.kubernetes.io/revision"] {
				newest++
			}
		}
	}
	return newest, any
}

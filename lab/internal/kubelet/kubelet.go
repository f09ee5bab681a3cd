// Package kubelet plays the kubelet of all nodes of the lab: it leads every pod
// that is bound to a node through its life, reports status and events, and
// serves container logs.
package kubelet

import (
	"context"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	podstatus "k8s.io/kubernetes/pkg/util/pod"

	"gitlab.com/rollstep/rollstep/lab/internal/podlife"
)

// workers is how many pods are stepped at the same time; a step is mostly one API call.
const workers = 16

// Kubelet leads the pods of all nodes.
type Kubelet struct {
	client  kubernetes.Interface
	pods    corelisters.PodLister
	objects objects
	events  *recorders
	queue   workqueue.TypedDelayingInterface[types.NamespacedName]
	log     *slog.Logger

	mu    sync.Mutex
	lives map[types.NamespacedName]*resident
	ips   addresses
}

// resident is a pod that lives on a node.
type resident struct {
	uid    types.UID
	ip     string
	life   *podlife.Life
	status *corev1.PodStatus // as last written; nil before
	gone   bool              // its removal was asked for
}

// New registers what the kubelet watches with the factory, which the caller starts.
func New(client kubernetes.Interface, factory informers.SharedInformerFactory, log *slog.Logger) *Kubelet {
	k := &Kubelet{
		client: client,
		pods:   factory.Core().V1().Pods().Lister(),
		objects: objects{
			configMaps: factory.Core().V1().ConfigMaps().Lister(),
			secrets:    factory.Core().V1().Secrets().Lister(),
		},
		events: newRecorders(client),
		queue:  workqueue.NewTypedDelayingQueue[types.NamespacedName](),
		log:    log,
		lives:  map[types.NamespacedName]*resident{},
	}
	enqueue := func(object any) {
		if pod, ok := object.(*corev1.Pod); ok && pod.Spec.NodeName != "" {
			k.queue.Add(types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name})
		}
	}
	_, _ = factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    enqueue,
		UpdateFunc: func(_, object any) { enqueue(object) },
		DeleteFunc: func(object any) {
			if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = last.Obj
			}
			enqueue(object)
		},
	})
	return k
}

// Run leads the pods until ctx ends. The factory's caches must have synced.
func (k *Kubelet) Run(ctx context.Context) {
	defer k.events.shutdown()
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			for k.next(ctx) {
			}
		})
	}
	<-ctx.Done()
	k.queue.ShutDown()
	wait.Wait()
}

func (k *Kubelet) next(ctx context.Context) bool {
	key, shutdown := k.queue.Get()
	if shutdown {
		return false
	}
	defer k.queue.Done(key)
	again, err := k.step(ctx, key)
	if err != nil && ctx.Err() == nil {
		k.log.Warn("pod not stepped, will retry", "pod", key, "err", err)
		again = 200 * time.Millisecond
	}
	if again > 0 {
		k.queue.AddAfter(key, again)
	}
	return true
}

// step brings one pod to the present; it returns after how long to do so again, 0 for not.
func (k *Kubelet) step(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	pod, err := k.pods.Pods(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		k.forget(key)
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	r := k.resident(key, pod)
	if r == nil || r.gone {
		return 0, nil
	}
	events, next := r.life.Step(pod, k.objects, time.Now())
	k.events.record(pod, events)
	if err := k.report(ctx, pod, r); err != nil {
		return 0, err
	}
	if r.life.Stopped() {
		return 0, k.remove(ctx, pod, r)
	}
	if next.IsZero() {
		return 0, nil
	}
	return max(time.Until(next), time.Millisecond), nil
}

// report writes the pod's status if it differs from what was last written.
func (k *Kubelet) report(ctx context.Context, pod *corev1.Pod, r *resident) error {
	old := r.status
	if old == nil {
		old = &pod.Status
	}
	status := r.life.Status(pod, old, metav1.Now())
	_, _, _, err := podstatus.PatchPodStatus(ctx, k.client, pod.Namespace, pod.Name, pod.UID, *old, status)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // gone, or replaced by another of the same name
	}
	if err != nil {
		return err
	}
	r.status = &status
	return nil
}

func (k *Kubelet) remove(ctx context.Context, pod *corev1.Pod, r *resident) error {
	now := int64(0)
	err := k.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now,
		Preconditions:      &metav1.Preconditions{UID: &pod.UID},
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return err
	}
	r.gone = true
	return nil
}

// resident returns the pod's place on its node, which it gets when first seen;
// nil for a pod that had ended before.
func (k *Kubelet) resident(key types.NamespacedName, pod *corev1.Pod) *resident {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r, ok := k.lives[key]; ok {
		if r.uid == pod.UID {
			return r
		}
		k.ips.free(r.ip)
	}
	ip := k.ips.take()
	r := &resident{uid: pod.UID, ip: ip, life: podlife.New(pod, ip, time.Now())}
	k.lives[key] = r
	return r
}

func (k *Kubelet) forget(key types.NamespacedName) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r, ok := k.lives[key]; ok {
		k.ips.free(r.ip)
		delete(k.lives, key)
	}
}

func (k *Kubelet) life(key types.NamespacedName) *podlife.Life {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r, ok := k.lives[key]; ok {
		return r.life
	}
	return nil
}

package step

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"gitlab.com/rollstep/rollstep/internal/canary"
	"gitlab.com/rollstep/rollstep/internal/cluster"
	"gitlab.com/rollstep/rollstep/internal/hint"
	"gitlab.com/rollstep/rollstep/internal/record"
	"gitlab.com/rollstep/rollstep/internal/split"
)

// inFlight are the workloads of the rollout, by the record and by the labels of
// the canaries that are in view, each with the way back as its goal.
func (r *run) inFlight(ctx context.Context) ([]track, error) {
	known := map[record.Object]record.Workload{}
	if r.record.InFlight() {
		for _, w := range r.record.Rollout.Workloads {
			known[w.Object] = w
		}
	}
	namespaces := r.searched()
	if err := r.watch(ctx, nil, namespaces...); err != nil {
		return nil, err
	}
	for _, namespace := range namespaces {
		hpas := []*unstructured.Unstructured(nil)
		for _, d := range r.canariesIn(namespace) {
			stable := record.Object{APIVersion: "apps/v1", Kind: "Deployment", Namespace: namespace, Name: d.Annotations[canary.StableAnnotation]}
			if _, has := known[stable]; has || stable.Name == "" {
				continue
			}
			if hpas == nil {
				var err error
				if hpas, err = r.list(ctx, autoscalers, namespace, ""); err != nil {
					r.log.Note("HorizontalPodAutoscalers cannot be listed: %v", err)
				}
			}
			was, err := strconv.Atoi(d.Annotations[canary.WasAnnotation])
			if err != nil {
				r.warn(fmt.Sprintf("Deployment %s does not say how many stable pods there were: their count is left alone", d.Name))
			}
			known[stable] = record.Workload{Object: stable, Was: was, Autoscaled: canary.Autoscaler(emptyObject(stable), hpas) != nil}
		}
	}
	var tracks []track
	for _, w := range known {
		t, err := r.wayBack(ctx, w)
		if err != nil {
			return nil, err
		}
		r.expect(t, nil)
		tracks = append(tracks, t)
	}
	slices.SortFunc(tracks, func(a, b track) int { return cmpObjects(a.stable, b.stable) })
	return tracks, nil
}

// canariesIn are the release's canary Deployments in a namespace that is in view.
func (r *run) canariesIn(namespace string) []*appsv1.Deployment {
	return slices.DeleteFunc(r.watcher.View().Deployments(namespace), func(d *appsv1.Deployment) bool {
		return d.Labels[canary.ReleaseLabel] != r.Release
	})
}

// wayBack is the track of a workload that goes back to its stable pods. The
// stable's count is never lowered by it.
func (r *run) wayBack(ctx context.Context, w record.Workload) (track, error) {
	t := track{stable: w.Object, canary: w.Object, was: w.Was, autoscaled: w.Autoscaled}
	t.canary.Name = canary.Name(w.Name)
	var err error
	if t.now, err = r.counts(ctx, t); err != nil {
		return t, err
	}
	t.goal = split.Counts{Stable: max(t.now.Stable, w.Was)}
	if w.Autoscaled {
		t.goal.Stable = t.now.Stable
	}
	t.wanted = t.goal.Stable
	surge, unavailable := "", ""
	services, err := r.services(ctx, w.Namespace)
	if err != nil {
		return t, err
	}
	v := r.watcher.View()
	d := v.Deployment(w.Namespace, w.Name)
	if d != nil {
		t.stableServices = selecting(services, d.Spec.Template.Labels)
		if u := d.Spec.Strategy.RollingUpdate; u != nil && u.MaxSurge != nil && u.MaxUnavailable != nil {
			surge, unavailable = u.MaxSurge.String(), u.MaxUnavailable.String()
		}
	} else if t.goal.Stable = 0; t.now.Canary > 0 {
		return t, hint.Errorf("Apply the stable Deployment again, then run rollback",
			"Deployment %s is gone and the record knows no release that brings it back: its canary is all that serves", w.Name)
	}
	if c := v.Deployment(t.canary.Namespace, t.canary.Name); c != nil {
		t.canaryServices = selecting(services, c.Spec.Template.Labels)
	}
	t.limits, err = split.Bounds(t.wanted, surge, unavailable)
	if t.autoscaled {
		t.limits = split.Limits{Most: t.now.Total()}
	}
	return t, err
}

// retire brings tracks back to their stable pods and deletes their canary
// Deployments. Canary pods that serve nobody go at once; they may be what
// stands in the way.
func (r *run) retire(ctx context.Context, tracks []track) error {
	v := r.watcher.View()
	for i := range tracks {
		t := &tracks[i]
		c := v.Deployment(t.canary.Namespace, t.canary.Name)
		if c == nil {
			continue
		}
		if ready := int(c.Status.ReadyReplicas); ready < t.now.Canary {
			r.log.Printf("%s: canary pods that are not ready go first (%d)", t.stable.Name, t.now.Canary-ready)
			if _, err := r.ask(ctx, t, split.Counts{Stable: t.now.Stable, Canary: ready}); err != nil {
				return err
			}
		}
	}
	err := r.move(ctx, tracks, r.end)
	if _, full := errors.AsType[noRoom](err); full {
		r.log.Note("there is no room for more pods: canary pods make room for stable ones, one by one")
		err = r.swap(ctx, tracks)
	}
	if err != nil {
		return err
	}
	for _, t := range tracks {
		r.forget(t.canary)
		if err := r.delete(ctx, t.canary); err != nil {
			return err
		}
	}
	return nil
}

// swap is retire's move where no pod can be created before another one goes: it
// asks only for as many stable pods as there are, and goes on without surge.
func (r *run) swap(ctx context.Context, tracks []track) error {
	for i := range tracks {
		t := &tracks[i]
		d := r.watcher.View().Deployment(t.stable.Namespace, t.stable.Name)
		if d == nil || t.autoscaled {
			continue
		}
		there := min(t.now.Stable, int(d.Status.Replicas))
		if _, err := r.ask(ctx, t, split.Counts{Stable: there, Canary: t.now.Canary}); err != nil {
			return err
		}
		t.limits, t.noRoom = split.Limits{Most: t.now.Total(), Least: max(0, t.now.Total()-1)}, true
	}
	return r.move(ctx, tracks, r.end)
}

// ofCanaries are the resources of what is created for canaries.
var ofCanaries = []schema.GroupVersionResource{deployments, services,
	corev1.SchemeGroupVersion.WithResource("configmaps"), corev1.SchemeGroupVersion.WithResource("secrets")}

// remove deletes what was created for the canaries of the release, found by its
// label, and the objects given.
func (r *run) remove(ctx context.Context, created []record.Object) error {
	refs := slices.Clone(created)
	for _, namespace := range r.searched() {
		found := make([][]*unstructured.Unstructured, len(ofCanaries))
		errs := cluster.Each(len(ofCanaries), func(i int) (err error) {
			found[i], err = r.list(ctx, ofCanaries[i], namespace, canary.ReleaseLabel+"="+r.Release)
			return err
		})
		if err := cmp.Or(errs...); err != nil { // one says it all
			return err
		}
		for _, o := range slices.Concat(found...) {
			refs = append(refs, objectOf(o))
		}
	}
	for _, ref := range refs {
		r.forget(ref)
	}
	errs := cluster.Each(len(refs), func(i int) error { return r.delete(ctx, refs[i]) })
	return errors.Join(errs...)
}

// forget what this run knows of an object that it deletes.
func (r *run) forget(ref record.Object) {
	delete(r.generations, ref)
	if ref.Kind == "Service" {
		r.sawService(ref.Namespace, ref.Name, nil)
	}
}

func (r *run) delete(ctx context.Context, ref record.Object) error {
	if err := r.cluster.Delete(ctx, emptyObject(ref)); err != nil {
		return fmt.Errorf("deleting %s %s: %w", ref.Kind, ref.Name, err)
	}
	return nil
}

func cmpObjects(a, b record.Object) int {
	return slices.Compare([]string{a.Namespace, a.Kind, a.Name}, []string{b.Namespace, b.Kind, b.Name})
}

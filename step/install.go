package step

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"gitlab.com/rollstep/rollstep/internal/canary"
	"gitlab.com/rollstep/rollstep/internal/cluster"
	"gitlab.com/rollstep/rollstep/internal/manifest"
	"gitlab.com/rollstep/rollstep/internal/record"
)

// install makes live what the previews say, wave after wave, and waits until
// the workloads are ready. Workloads whose replica count falls come after those
// that rise or change. restart are the Deployments to restart for changed
// configuration.
func (r *run) install(ctx context.Context, rel *release, restart []record.Workload, at *time.Time) error {
	if err := r.watch(ctx, rel.previews); err != nil {
		return err
	}
	byObject := map[*unstructured.Unstructured]cluster.Preview{}
	for _, p := range rel.previews {
		byObject[p.Manifest] = p
	}
	for _, wave := range manifest.Waves(rel.objects) {
		var previews []cluster.Preview
		for _, o := range wave {
			previews = append(previews, byObject[o])
		}
		if !slices.ContainsFunc(wave, isWorkload) {
			if err := r.applyAll(ctx, previews); err != nil {
				return err
			}
			if err := r.awaitAutoscalers(ctx, previews); err != nil {
				return err
			}
			continue
		}
		if err := r.installWorkloads(ctx, previews, restart, at); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) installWorkloads(ctx context.Context, previews []cluster.Preview, restart []record.Workload, at *time.Time) error {
	rest := slices.DeleteFunc(slices.Clone(previews), falls)
	falling := slices.DeleteFunc(slices.Clone(previews), func(p cluster.Preview) bool { return !falls(p) })
	for _, group := range [][]cluster.Preview{rest, falling} {
		if len(group) == 0 {
			continue
		}
		if err := r.applyAll(ctx, group); err != nil {
			return err
		}
		for _, w := range restart {
			if slices.ContainsFunc(group, func(p cluster.Preview) bool { return sameObject(p.Manifest, w.Object) }) {
				if err := r.restart(ctx, w.Object, *at); err != nil {
					return err
				}
			}
		}
		targets, err := r.targets(ctx, group)
		if err != nil {
			return err
		}
		began := time.Now()
		if err := r.await(ctx, targets); err != nil {
			return err
		}
		for _, t := range targets {
			r.checked(t.String()+" is ready", "", time.Since(began))
		}
	}
	return nil
}

// falls says whether applying lowers the replica count of a live workload.
func falls(p cluster.Preview) bool {
	wanted, says := canary.Replicas(p.Result)
	live, has := canary.Replicas(p.Live)
	return says && has && wanted < live
}

// applyAll applies what is changed and waits until new kinds can be used.
func (r *run) applyAll(ctx context.Context, previews []cluster.Preview) error {
	changed := slices.DeleteFunc(slices.Clone(previews), func(p cluster.Preview) bool { return !p.Changed() })
	applied := make([]*unstructured.Unstructured, len(changed))
	errs := cluster.Each(len(changed), func(i int) (err error) {
		applied[i], err = r.cluster.Apply(ctx, changed[i])
		if err != nil {
			return fmt.Errorf("%s: %w", cluster.Name(changed[i].Manifest), err)
		}
		return nil
	})
	var did []string
	for i, p := range changed {
		switch {
		case p.Manifest.GetKind() != "Service":
		case errs[i] != nil: // it may have been written all the same
			delete(r.servicesIn, p.Manifest.GetNamespace())
		default:
			r.sawService(p.Manifest.GetNamespace(), p.Manifest.GetName(), applied[i])
		}
		if errs[i] == nil {
			r.wrote(objectOf(p.Manifest), applied[i])
			did = append(did, verb(p)+" "+r.named(cluster.Name(p.Manifest), p.Manifest.GetNamespace()))
		}
	}
	r.say(did)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, p := range changed {
		if cluster.IsCRD(p.Manifest) {
			err := r.cluster.AwaitServed(ctx, p.Manifest)
			if errors.Is(err, cluster.ErrNames) {
				return failed(err)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func verb(p cluster.Preview) string {
	if p.Live == nil {
		return "created"
	}
	return "changed"
}

// named is an object's name, with its namespace where that is not the release's.
func (r *run) named(object, namespace string) string {
	if namespace != "" && namespace != r.namespace {
		return object + " in namespace " + namespace
	}
	return object
}

// shownLines bounds how many lines say what was applied at once.
const shownLines = 20

func (r *run) say(lines []string) {
	for _, line := range lines[:min(len(lines), shownLines)] {
		r.log.Printf("%s", line)
	}
	if more := len(lines) - shownLines; more > 0 {
		r.log.Printf("and %d more", more)
	}
}

func sameObject(o *unstructured.Unstructured, ref record.Object) bool {
	return o.GetKind() == ref.Kind && o.GetNamespace() == ref.Namespace && o.GetName() == ref.Name
}

func objectOf(o *unstructured.Unstructured) record.Object {
	return record.Object{APIVersion: o.GetAPIVersion(), Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName()}
}

func emptyObject(ref record.Object) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetAPIVersion(ref.APIVersion)
	o.SetKind(ref.Kind)
	o.SetNamespace(ref.Namespace)
	o.SetName(ref.Name)
	return o
}

// restart replaces a workload's pods as kubectl rollout restart does. The time
// comes from the record: doing it twice replaces them once.
func (r *run) restart(ctx context.Context, w record.Object, at time.Time) error {
	patch := fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":%q}}}}}`, at.Format(time.RFC3339Nano))
	return r.patch(ctx, w, patch)
}

// scale asks for a replica count.
func (r *run) scale(ctx context.Context, w record.Object, replicas int) error {
	return r.patch(ctx, w, fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicas))
}

func (r *run) patch(ctx context.Context, w record.Object, patch string) error {
	ri, err := r.cluster.For(ctx, emptyObject(w))
	if err != nil {
		return err
	}
	patched, err := ri.Patch(ctx, w.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: cluster.Manager})
	if err != nil {
		return cluster.Explain(err)
	}
	r.wrote(w, patched)
	return nil
}

// wrote remembers which generation of an object this run made: what is seen of
// earlier ones says nothing about it.
func (r *run) wrote(ref record.Object, o *unstructured.Unstructured) {
	r.generations[ref], r.written[ref] = o.GetGeneration(), time.Now()
}

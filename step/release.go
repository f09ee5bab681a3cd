package step

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"gitlab.com/rollstep/rollstep/internal/canary"
	"gitlab.com/rollstep/rollstep/internal/cluster"
	"gitlab.com/rollstep/rollstep/internal/hint"
	"gitlab.com/rollstep/rollstep/internal/manifest"
	"gitlab.com/rollstep/rollstep/internal/record"
)

// release is what the manifests render to, and what the server would make of it.
type release struct {
	hash     string
	objects  []*unstructured.Unstructured
	previews []cluster.Preview
}

// load renders the manifests and asks the server, by dry run, what it would
// make of them.
func (r *run) load(ctx context.Context) (*release, error) {
	r.check("the cluster accepts every object of the release (dry run)")
	r.cluster.Declare(r.manifests.Objects)
	unknown := map[schema.GroupVersionKind]bool{}
	mistakes := r.manifests.FillNamespaces(r.namespace, func(gvk schema.GroupVersionKind) (bool, error) {
		resource, err := r.cluster.Resource(ctx, gvk)
		unknown[gvk] = err != nil
		return resource.Namespaced, err
	})
	known := slices.DeleteFunc(slices.Clone(r.manifests.Objects), func(o *unstructured.Unstructured) bool { return unknown[o.GroupVersionKind()] })
	rel, err := r.preview(ctx, known, func(p cluster.Preview, err error) error {
		if err == nil {
			return nil
		}
		return hint.With(fmt.Errorf("%s: %s: %w", r.manifests.Origin(p.Manifest), cluster.Name(p.Manifest), err), "Correct the manifest")
	})
	if err := errors.Join(mistakes, err); err != nil {
		return nil, preflight(err)
	}
	for _, p := range rel.previews {
		r.follow(objectOf(p.Manifest))
	}
	if r.changes {
		// Whatever cannot be watched had better show before anything is changed.
		return rel, preflight(r.watch(ctx, rel.previews, r.searched()...))
	}
	return rel, nil
}

// preview asks the server what it would make of objects. judge says what is
// wrong with one, given the server's error, if any.
func (r *run) preview(ctx context.Context, objects []*unstructured.Unstructured, judge func(cluster.Preview, error) error) (*release, error) {
	previews, errs := r.cluster.PreviewAll(ctx, objects)
	for i, err := range errs {
		errs[i] = judge(previews[i], err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &release{hash: manifest.Hash(objects), objects: objects, previews: previews}, nil
}

// first says whether none of the release's workloads is live yet.
func (rel *release) first() bool {
	return !slices.ContainsFunc(rel.previews, func(p cluster.Preview) bool { return isWorkload(p.Manifest) && p.Live != nil })
}

// serves says whether a Deployment of the release has available pods.
func (rel *release) serves() bool {
	return slices.ContainsFunc(rel.previews, func(p cluster.Preview) bool {
		if p.Live == nil || !canary.IsDeployment(p.Manifest) {
			return false
		}
		available, _, _ := unstructured.NestedInt64(p.Live.Object, "status", "availableReplicas")
		return available > 0
	})
}

// changed says whether the release is anything but what is live.
func (rel *release) changed() bool { return slices.ContainsFunc(rel.previews, cluster.Preview.Changed) }

func (rel *release) images() []string {
	set := map[string]bool{}
	for _, p := range rel.previews {
		for _, image := range canary.Images(p.Manifest) {
			set[image] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// namespaces of the release's workloads.
func (rel *release) namespaces() []string {
	set := map[string]bool{}
	for _, p := range rel.previews {
		if isWorkload(p.Manifest) {
			set[p.Manifest.GetNamespace()] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

func isWorkload(o *unstructured.Unstructured) bool {
	_, has := manifest.PodTemplate(o)
	return has
}

// baseline keeps what is live of the release as a promoted one before rollstep
// changes it for the first time, so that there is something to go back to.
func (r *run) baseline(ctx context.Context, rel *release) error {
	if len(r.record.Promoted) > 0 || rel.first() {
		return nil
	}
	var live []*unstructured.Unstructured
	images := map[string]bool{}
	for _, p := range rel.previews {
		if p.Live == nil || !restorable(p.Live) {
			continue
		}
		o := cluster.Restorable(p.Live)
		if canary.IsDeployment(o) {
			if err := r.restoreReplicas(ctx, p, o); err != nil {
				return err
			}
		}
		for _, image := range canary.Images(o) {
			images[image] = true
		}
		live = append(live, o)
	}
	packed, err := manifest.Pack(live)
	if err != nil {
		return err
	}
	hash := manifest.Hash(live)
	p := record.Promotion{Hash: hash, Images: slices.Sorted(maps.Keys(images)), At: now(), Adopted: true}
	if p.Manifests, err = r.store.Keep(ctx, p, "", packed); err != nil {
		return err
	}
	r.record.Adopt(p)
	return nil
}

// restoreReplicas gives a live Deployment, in the form of a manifest, the replica
// count to go back to: none where the manifest leaves it to others; that from
// before the rollout where a canary is there whose record was lost.
func (r *run) restoreReplicas(ctx context.Context, p cluster.Preview, o *unstructured.Unstructured) error {
	if !declaresReplicas(p.Manifest) {
		unstructured.RemoveNestedField(o.Object, "spec", "replicas")
		return nil
	}
	ref := objectOf(o)
	ref.Name = canary.Name(ref.Name)
	existing, err := r.cluster.Get(ctx, emptyObject(ref))
	if err != nil || existing == nil || !r.options.Owns(existing) {
		return err
	}
	live, _ := canary.Replicas(o)
	return unstructured.SetNestedField(o.Object, int64(r.wasReplicas(objectOf(o), existing, live)), "spec", "replicas")
}

// restorable says whether a live object can be applied again as it is: most of
// these others cannot be changed once they are there.
func restorable(o *unstructured.Unstructured) bool {
	switch o.GetKind() {
	case "Namespace", "CustomResourceDefinition", "PersistentVolume", "PersistentVolumeClaim", "Pod", "Job":
		return false
	}
	return true
}

func declaresReplicas(o *unstructured.Unstructured) bool {
	_, says := canary.Replicas(o)
	return says
}

// keep stores the manifests of a release that is about to be promoted.
func (r *run) keep(ctx context.Context, rel *release) (record.Promotion, error) {
	p := record.Promotion{Hash: rel.hash, Images: rel.images(), At: now(), By: r.by}
	packed, err := manifest.Pack(rel.objects)
	if err != nil {
		return p, err
	}
	before := ""
	if live := r.record.Live(); live != nil {
		before = live.Hash
	}
	p.Manifests, err = r.store.Keep(ctx, p, before, packed)
	return p, cluster.Explain(err)
}

// kept reads the manifests of a promoted release again.
func (r *run) kept(ctx context.Context, p record.Promotion) ([]*unstructured.Unstructured, error) {
	packed, err := r.store.Kept(ctx, p)
	if err != nil {
		return nil, cluster.Explain(err)
	}
	return manifest.Unpack(packed)
}

// restore asks the server what it would make now of a release promoted before.
func (r *run) restore(ctx context.Context, p record.Promotion) (*release, error) {
	objects, err := r.kept(ctx, p)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		r.follow(objectOf(o))
	}
	return r.preview(ctx, objects, func(preview cluster.Preview, err error) error {
		if err == nil {
			return nil
		}
		return fmt.Errorf("%s of release %s: %w", cluster.Name(preview.Manifest), record.Short(p.Hash), err)
	})
}

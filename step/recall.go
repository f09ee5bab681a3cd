package step

import (
	"context"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"gitlab.com/rollstep/rollstep/internal/canary"
	"gitlab.com/rollstep/rollstep/internal/cluster"
	"gitlab.com/rollstep/rollstep/internal/record"
)

// recall fills a record that was lost from the releases whose manifests are
// kept, and says in which namespaces these have workloads.
func (r *run) recall(ctx context.Context) error {
	if !r.record.IsNew() {
		return nil
	}
	promoted, err := r.store.Recall(ctx)
	if err != nil {
		return cluster.Explain(err)
	}
	if len(promoted) == 0 {
		return nil
	}
	r.log.Note("the record is lost: what was promoted is known from the Secrets that keep it")
	r.recalled = map[string]bool{}
	for _, p := range promoted {
		objects, err := r.kept(ctx, p)
		if err != nil {
			return err
		}
		for _, o := range objects {
			if isWorkload(o) {
				r.recalled[o.GetNamespace()] = true
			}
		}
	}
	r.record.Phase, r.record.Promoted = record.Promoted, promoted
	return nil
}

// searched are the namespaces in which canaries of the release may be: that of
// the record, and those of the rollout in flight and of recalled releases.
func (r *run) searched() []string {
	set := map[string]bool{r.namespace: true}
	maps.Copy(set, r.recalled)
	if r.record.InFlight() {
		for _, w := range r.record.Rollout.Workloads {
			set[w.Namespace] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// lostCanaries are the canary Deployments of the release that the record does
// not know.
func (r *run) lostCanaries(ctx context.Context) ([]*unstructured.Unstructured, error) {
	var lost []*unstructured.Unstructured
	for _, namespace := range r.searched() {
		list, err := r.list(ctx, deployments, namespace, canary.ReleaseLabel+"="+r.Release)
		if err != nil {
			return nil, err
		}
		lost = append(lost, list...)
	}
	return lost, nil
}

// resume makes lost canaries a rollout to roll back, and says whether the
// release that was live before is known. If the stable track is not that
// release any more, a promotion was under way: it is brought back.
func (r *run) resume(ctx context.Context, lost []*unstructured.Unstructured) (known bool, err error) {
	ro := &record.Rollout{Started: now(), By: r.by}
	r.record.Rollout = ro
	var before *record.Promotion
	for _, d := range lost {
		if p := r.record.Find(d.GetAnnotations()[canary.BeforeAnnotation]); p != nil {
			before = p
		}
	}
	if before == nil {
		return false, nil
	}
	rel, err := r.restore(ctx, *before)
	if err != nil {
		return false, err
	}
	if len(canary.Parts(rel.previews)) > 0 {
		ro.Hash, ro.To = r.record.Live().Hash, before.Hash
	}
	return true, nil
}

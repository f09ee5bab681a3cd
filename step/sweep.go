package step

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"gitlab.com/rollstep/rollstep/internal/canary"
	"gitlab.com/rollstep/rollstep/internal/cluster"
	"gitlab.com/rollstep/rollstep/internal/hint"
	"gitlab.com/rollstep/rollstep/internal/record"
)

// sweep rolls back rollouts that nobody has worked on for long, and removes
// canaries and kept manifests that no record knows, of all releases in the
// namespace.
func sweep(ctx context.Context, r *run) error {
	reasons, err := r.abandoned(ctx)
	if err != nil {
		return err
	}
	var mistakes []error
	for _, release := range slices.Sorted(maps.Keys(reasons)) {
		if r.DryRun {
			r.log.Printf("would roll back release %s: %s", release, reasons[release])
			continue
		}
		r.log.Printf("release %s: %s", release, reasons[release])
		if err := r.of(release).sweepRelease(ctx); err != nil {
			mistakes = append(mistakes, fmt.Errorf("release %s: %w", release, err))
		}
	}
	removed, err := r.sweepManifests(ctx)
	if err := errors.Join(append(mistakes, err)...); err != nil {
		return err
	}
	switch n := len(reasons) + removed; {
	case n == 0:
		r.nothing("", "nothing to sweep")
	case r.DryRun:
		r.verdict("", "nothing was changed (ROLLSTEP_DRY_RUN); without it %d releases would be rolled back and %d kept manifests removed", len(reasons), removed)
	default:
		r.verdict("", "swept: %d releases rolled back, %d kept manifests removed", len(reasons), removed)
	}
	return nil
}

// abandoned are the releases of the namespace that need a rollback, and why.
func (r *run) abandoned(ctx context.Context) (map[string]string, error) {
	reasons := map[string]string{}
	inFlight := map[string]bool{}
	records, err := r.list(ctx, corev1.SchemeGroupVersion.WithResource("configmaps"), r.namespace, record.Label)
	if err != nil {
		return nil, err
	}
	for _, cm := range records {
		release := cm.GetLabels()[record.Label]
		rec, err := r.of(release).store.Read(ctx)
		if err != nil {
			r.log.Warn("%v\n  → %s", err, hint.Of(err))
			inFlight[release] = true // it may be
			continue
		}
		if !rec.InFlight() {
			continue
		}
		inFlight[release] = true
		if age := time.Since(rec.Rollout.Updated); age > r.MaxAge {
			reasons[release] = fmt.Sprintf("its rollout by %s (%s, %d %%) was last worked on %s ago", rec.Rollout.By, rec.Phase, rec.Rollout.Weight, age.Round(time.Second))
		}
	}
	canaries, err := r.list(ctx, deployments, r.namespace, canary.ReleaseLabel)
	if err != nil {
		return nil, err
	}
	for _, d := range canaries {
		home := d.GetAnnotations()[canary.RecordAnnotation]
		if release := d.GetLabels()[canary.ReleaseLabel]; !inFlight[release] && (home == "" || home == r.namespace) {
			reasons[release] = fmt.Sprintf("no record knows its %s", cluster.Name(d))
		}
	}
	return reasons, nil
}

// of is the same run for another release of the namespace.
func (r *run) of(release string) *run {
	other := *r
	other.Release = release
	other.options.Release = release
	other.store = record.NewStore(r.cluster.Dynamic, r.namespace, release)
	other.watcher, other.viewed, other.subjects, other.before = nil, map[string]bool{}, map[string]*subjects{}, restarts{}
	other.generations, other.written = map[record.Object]int64{}, map[record.Object]time.Time{}
	other.servicesIn = map[string][]*unstructured.Unstructured{}
	return &other
}

func (r *run) sweepRelease(ctx context.Context) error {
	held, unlock, err := r.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if r.record, err = r.store.Read(held); err != nil {
		return cluster.Explain(err)
	}
	if r.record.InFlight() && time.Since(r.record.Rollout.Updated) <= r.MaxAge {
		r.log.Note("release %s is worked on again", r.Release)
		return nil
	}
	if err := r.undo(held); err != nil {
		return err
	}
	r.watcher.Stop()
	return nil
}

// sweepManifests removes the manifests of releases whose record is gone, and
// returns how many there are.
func (r *run) sweepManifests(ctx context.Context) (int, error) {
	secrets, err := r.list(ctx, corev1.SchemeGroupVersion.WithResource("secrets"), r.namespace, record.Label)
	if err != nil {
		return 0, err
	}
	records, err := r.list(ctx, corev1.SchemeGroupVersion.WithResource("configmaps"), r.namespace, record.Label)
	if err != nil {
		return 0, err
	}
	known := map[string]bool{}
	for _, cm := range records {
		known[cm.GetLabels()[record.Label]] = true
	}
	removed := 0
	for _, s := range secrets {
		if known[s.GetLabels()[record.Label]] {
			continue
		}
		removed++
		if r.DryRun {
			r.log.Printf("would remove %s: the record of release %s is gone", cluster.Name(s), s.GetLabels()[record.Label])
			continue
		}
		r.log.Printf("removing %s: the record of release %s is gone", cluster.Name(s), s.GetLabels()[record.Label])
		if err := r.delete(ctx, objectOf(s)); err != nil {
			return removed, err
		}
	}
	return removed, nil
}

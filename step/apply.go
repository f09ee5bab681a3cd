package step

import (
	"context"

	"gitlab.com/rollstep/rollstep/internal/record"
)

// apply brings everything in the manifests live: each step of the canary is
// spelled out in Git.
func apply(ctx context.Context, r *run) error {
	rel, err := r.load(ctx)
	if err != nil {
		return err
	}
	r.check("no canary of the release is in flight")
	if err := r.record.AllowApply(); err != nil {
		return err
	}
	if lost := r.canariesIn(r.namespace); len(lost) > 0 {
		return record.Refuse("Run rollback, which removes it, or canary to go on",
			"there is a canary of this release that the record does not know (Deployment %s)", lost[0].Name)
	}
	return r.release(ctx, rel, "applied")
}

// firstRelease says whether there is nothing that a canary could stand beside:
// nothing was ever promoted, and no workload is live, or those that are live
// come from a first release that did not come to its end.
func (r *run) firstRelease(rel *release) bool {
	if r.record.InFlight() || len(r.record.Promoted) > 0 {
		return false
	}
	begun := r.record.Phase == record.Releasing
	return rel.first() || begun && (r.record.Releasing == rel.hash || !rel.serves())
}

// release applies a release in full, without a canary.
func (r *run) release(ctx context.Context, rel *release, did string) error {
	if r.firstRelease(rel) {
		r.together = true
		r.record.Phase, r.record.Releasing = record.Releasing, rel.hash
		r.log.Printf("the first release: applied in full, without a canary")
		if err := r.write(ctx); err != nil {
			return err
		}
	} else if err := r.baseline(ctx, rel); err != nil {
		return err
	}
	if err := r.announce(rel.previews); err != nil {
		return err
	}
	p, err := r.keep(ctx, rel)
	if err != nil {
		return err
	}
	r.check("everything is applied and ready")
	end := r.log.Section("apply", "apply", false)
	err = r.install(ctx, rel, nil, nil)
	end()
	if err != nil {
		r.reportServing()
		return err
	}
	if live := r.record.Live(); !rel.changed() && live != nil && live.Hash == rel.hash && r.record.Phase == record.Promoted {
		r.prune(ctx)
		r.reportServing()
		r.nothing("", "nothing to apply: live is what the manifests say")
		return nil
	}
	return r.finish(ctx, p, did)
}

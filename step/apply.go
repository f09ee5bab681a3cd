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
	if err := r.record.AllowApply(); err != nil {
		return err
	}
	return r.release(ctx, rel, "applied")
}

// release applies a release in full, without a canary.
func (r *run) release(ctx context.Context, rel *release, did string) error {
	if err := r.baseline(ctx, rel); err != nil {
		return err
	}
	end := r.log.Section("apply", "apply", false)
	err := r.install(ctx, rel, nil, nil)
	end()
	if err != nil {
		r.reportServing()
		return err
	}
	if live := r.record.Live(); !rel.changed() && live != nil && live.Hash == rel.hash && r.record.Phase == record.Promoted {
		r.reportServing()
		r.verdict("nothing to apply: live is what the manifests say")
		return nil
	}
	return r.finish(ctx, rel, did)
}

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

// firstRelease says whether there is nothing to compare a canary with: none of
// the release's Deployments is live, or the first release was begun and did not
// come to its end.
func (r *run) firstRelease(rel *release) bool {
	return rel.first() && !r.record.InFlight() || r.record.Phase == record.Releasing
}

// release applies a release in full, without a canary.
func (r *run) release(ctx context.Context, rel *release, did string) error {
	if r.firstRelease(rel) {
		r.together = true
		r.record.Phase = record.Releasing
		r.log.Printf("the first release: applied in full, without a canary")
		if err := r.write(ctx); err != nil {
			return err
		}
	} else if err := r.baseline(ctx, rel); err != nil {
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

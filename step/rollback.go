package step

import (
	"context"

	"gitlab.com/rollstep/rollstep/internal/record"
)

// rollback goes back to stable: from a canary in flight to the release before
// it, from a promoted release to the one promoted before.
func rollback(ctx context.Context, r *run) error {
	r.check("the record allows a rollback by this pipeline")
	if err := r.recall(ctx); err != nil {
		return err
	}
	nothing, err := r.record.AllowRollback(r.by)
	if err != nil {
		return err
	}
	known := true
	if !r.record.InFlight() {
		lost, err := r.lostCanaries(ctx)
		switch {
		case err != nil:
			return err
		case len(lost) > 0:
			r.log.Note("the record knows no rollout, but there is a canary of this release: it is rolled back")
			if known, err = r.resume(ctx, lost); err != nil {
				return err
			}
		case nothing != "":
			r.prune(ctx) // a job that was cancelled at its end may have left this
			r.nothing("", "nothing to roll back: %s", nothing)
			return nil
		default:
			live := r.record.Live()
			r.record.Rollout = &record.Rollout{Hash: live.Hash, To: r.record.Promoted[1].Hash, Started: now(), By: r.by}
		}
	}
	if err := r.undo(ctx); err != nil {
		return err
	}
	r.reportServing()
	live := r.record.Live()
	switch {
	case !known:
		r.verdict("", "the canary is removed; the stable pods are as they were found: without the record nobody knows which release was live before")
	case live != nil:
		r.verdict("", "rolled back to release %s", describePromotion(*live))
	default:
		r.verdict("", "rolled back")
	}
	return nil
}

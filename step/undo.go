package step

import (
	"context"
	"fmt"
	"slices"

	"gitlab.com/rollstep/rollstep/internal/canary"
	"gitlab.com/rollstep/rollstep/internal/hint"
	"gitlab.com/rollstep/rollstep/internal/record"
)

// recover ends a stage whose rollout failed: it restores what was serving, or
// holds everything for inspection. Whatever else went wrong is left as it is:
// every state in between serves, and the next run continues from it.
func (r *run) recover(ctx context.Context, failure error) error {
	if context.Cause(ctx) != nil {
		return failure
	}
	if ExitCode(failure) != ExitFailed {
		r.reportServing()
		return failure
	}
	if r.OnFailure == Hold {
		r.record.Rollout.Reached = nil // it is not to be promoted
		if err := r.write(ctx); err != nil {
			r.log.Note("%v", err)
		}
		r.reportServing()
		return hint.Errorf("Look at the pods, then run rollback (ROLLSTEP_ON_FAILURE=hold left everything in place)", "%w", failure)
	}
	if err := r.undo(ctx); err != nil {
		return failed(hint.Errorf("Run the rollback job", "%w; restoring what was serving failed too: %w", failure, err))
	}
	r.reportServing()
	return hint.Errorf(hint.Of(failure), "%w; rolled back", failure)
}

// undo ends the rollout in flight by going back: the release before comes live
// again if the stable track may have changed, the stable gets its pods back,
// then everything that the rollout brought goes. It never waits for the canary.
func (r *run) undo(ctx context.Context) error {
	if r.Stage == "rollback" {
		r.check("the stable track is back and the canary goes")
	}
	end := r.log.Section("rollback", "rollback", false)
	defer end()
	r.work = r.end // going back needs what was kept of the time
	ro := r.record.Rollout
	if ro == nil { // the record is lost: what the labels say is rolled back
		ro = &record.Rollout{Started: now(), By: r.by}
		r.record.Rollout = ro
	}
	gone, err := r.stableGone(ctx, ro)
	if err != nil {
		return err
	}
	if live := r.record.Live(); live != nil && ro.To == "" && (gone || r.record.Phase == record.Promoting) {
		ro.To = live.Hash
	}
	if r.record.Phase != record.RollingBack {
		ro.RestartedAt = restartTime()
	}
	r.record.Phase, ro.Reached, ro.Updated, ro.By = record.RollingBack, nil, now(), r.by
	if err := r.write(ctx); err != nil {
		return err
	}
	var back []record.Object
	if ro.To != "" {
		if back, err = r.bringBack(ctx, ro); err != nil {
			return err
		}
	}
	tracks, err := r.inFlight(ctx)
	if err != nil {
		return err
	}
	if err := r.retire(ctx, tracks); err != nil {
		return err
	}
	if err := r.remove(ctx, slices.DeleteFunc(slices.Clone(ro.Created), func(o record.Object) bool { return slices.Contains(back, o) })); err != nil {
		return err
	}
	for ro.To != "" && len(r.record.Promoted) > 1 && r.record.Promoted[0].Hash != ro.To {
		r.record.Promoted = r.record.Promoted[1:]
	}
	r.record.Note(now(), r.by, ro.Hash, "rolled back")
	r.record.GiveUp(ro.Hash)
	if err := r.write(ctx); err != nil {
		return err
	}
	r.prune(ctx)
	return nil
}

// stableGone says whether somebody deleted the stable Deployment of a workload.
func (r *run) stableGone(ctx context.Context, ro *record.Rollout) (bool, error) {
	for _, w := range ro.Workloads {
		live, err := r.cluster.Get(ctx, emptyObject(w.Object))
		if err != nil {
			return false, err
		}
		if live == nil {
			r.log.Note("%s %s is gone: it is brought back from the record", w.Kind, w.Name)
			return true, nil
		}
	}
	return false, nil
}

// bringBack applies a release that was promoted before, and returns its objects.
func (r *run) bringBack(ctx context.Context, ro *record.Rollout) ([]record.Object, error) {
	to := r.record.Find(ro.To)
	if to == nil {
		return nil, hint.Errorf("Promote an earlier commit by its own pipeline", "the record no longer has release %s", record.Short(ro.To))
	}
	r.log.Printf("bringing back release %s", describePromotion(*to))
	rel, err := r.restore(ctx, *to)
	if err != nil {
		return nil, err
	}
	var back []record.Object
	for _, p := range rel.previews {
		back = append(back, objectOf(p.Manifest))
	}
	// A quota or a policy of the release that is given up may be in the way.
	for _, ref := range ro.Created {
		if actsOnLive[ref.Kind] && !slices.Contains(back, ref) {
			if err := r.delete(ctx, ref); err != nil {
				return nil, err
			}
		}
	}
	for _, p := range canary.Parts(rel.previews) {
		if p.Restart() && !slices.ContainsFunc(ro.Workloads, func(w record.Workload) bool { return w.Restart && sameObject(p.Manifest, w.Object) }) {
			was, _ := canary.Replicas(p.Live)
			ro.Workloads = append(ro.Workloads, record.Workload{Object: objectOf(p.Manifest), Was: was, Restart: true})
		}
	}
	if err := r.write(ctx); err != nil {
		return nil, err
	}
	return back, r.install(ctx, rel, restarting(ro.Workloads), ro.RestartedAt)
}

func restarting(workloads []record.Workload) []record.Workload {
	return slices.DeleteFunc(slices.Clone(workloads), func(w record.Workload) bool { return !w.Restart })
}

func describePromotion(p record.Promotion) string {
	text := record.Short(p.Hash)
	if len(p.Images) > 0 {
		text += fmt.Sprintf(" (%s", p.Images[0])
		if len(p.Images) > 1 {
			text += fmt.Sprintf(" and %d more images", len(p.Images)-1)
		}
		text += ")"
	}
	if p.Adopted {
		return text + ", live before rollstep came"
	}
	return text + ", promoted " + p.At.Format("2006-01-02 15:04 UTC")
}

package step

import (
	"context"
	"fmt"
	"slices"

	"gitlab.com/rollstep/rollstep/internal/canary"
	"gitlab.com/rollstep/rollstep/internal/manifest"
	"gitlab.com/rollstep/rollstep/internal/record"
)

// canaryStage brings the new version to the weight asked for. It creates what
// is new and changes nothing that is live but the stable's replica count.
func canaryStage(ctx context.Context, r *run) error {
	rel, err := r.load(ctx)
	if err != nil {
		return err
	}
	r.check("the record allows a canary of this pipeline")
	if err := r.record.AllowCanary(r.by); err != nil {
		return err
	}
	if r.firstRelease(rel) {
		return r.release(ctx, rel, "released")
	}
	if err := r.refuseWithoutStable(rel); err != nil {
		return err
	}
	r.check("the cluster accepts every object of the canary (dry run)")
	c, err := r.design(ctx, rel)
	if err != nil {
		return preflight(err)
	}
	if len(c.tracks) == 0 {
		return r.nothingToCanary(ctx, rel)
	}
	for _, w := range c.warnings {
		r.warn(w)
	}
	for _, t := range c.tracks {
		r.expect(t, r.asked(t))
	}
	if err := r.announce(slices.Concat(c.created.previews, c.objects.previews)); err != nil {
		return err
	}
	settled := r.settled(rel) && arrived(c)
	if err := r.begin(ctx, rel, c); err != nil {
		return err
	}
	if err := r.bring(ctx, c, settled); err != nil {
		return r.recover(ctx, err)
	}
	r.record.Rollout.Updated = now()
	if slices.ContainsFunc(c.tracks, func(t track) bool { return t.goal.Canary > 0 }) {
		weight := int(r.Weight)
		r.record.Rollout.Reached = &weight
	}
	if err := r.write(ctx); err != nil {
		return err
	}
	r.checkRestarts(c.tracks)
	r.reportShares(ctx, c.tracks)
	return nil
}

// refuseWithoutStable refuses a canary beside nothing: somebody deleted the
// stable Deployment in the middle of the rollout.
func (r *run) refuseWithoutStable(rel *release) error {
	if !r.record.InFlight() {
		return nil
	}
	for _, w := range r.record.Rollout.Workloads {
		for _, p := range rel.previews {
			if sameObject(p.Manifest, w.Object) && p.Live == nil {
				return record.Refuse("Run rollback, which brings it back, or promote",
					"Deployment %s was deleted by somebody else: there is no stable track for the canary to stand beside", w.Name)
			}
		}
	}
	return nil
}

// settled says whether the canary of this release was already seen healthy at
// the weight that is asked for.
func (r *run) settled(rel *release) bool {
	ro := r.record.Rollout
	return ro != nil && ro.Hash == rel.hash && ro.Reached != nil && *ro.Reached == int(r.Weight) && ro.Weight == int(r.Weight) && r.Replicas == nil
}

// begin writes down what is about to be done, before anything is.
func (r *run) begin(ctx context.Context, rel *release, c design) error {
	if err := r.baseline(ctx, rel); err != nil {
		return err
	}
	if live := r.record.Live(); live != nil && r.options.Before == "" { // just adopted
		r.options.Before = live.Hash
		for _, o := range c.objects.objects {
			if canary.IsDeployment(o) {
				r.options.Mark(o)
			}
		}
	}
	old := r.record.Rollout
	if old != nil && old.By.PipelineID != r.by.PipelineID {
		r.log.Note("taking over the rollout of %s", old.By)
	}
	next := &record.Rollout{Hash: rel.hash, Weight: int(r.Weight), Started: now(), Updated: now(), By: r.by}
	if old != nil {
		next.Created = old.Created
		if old.Hash == rel.hash && old.By.PipelineID == r.by.PipelineID {
			next.Started, next.Reached = old.Started, old.Reached
		}
	}
	for _, t := range c.tracks {
		next.Workloads = append(next.Workloads, record.Workload{
			Object: t.stable, Was: t.was, Autoscaled: t.autoscaled, Restart: t.part.Restart(), Images: canary.Images(t.part.Manifest),
		})
	}
	next.Workloads = append(next.Workloads, r.retired(old, c)...)
	for _, p := range c.created.previews {
		if ref := objectOf(p.Manifest); removedByRollback[ref.Kind] && !slices.Contains(next.Created, ref) {
			next.Created = append(next.Created, ref)
		}
	}
	if old == nil || old.Hash != rel.hash || old.Weight != next.Weight || r.record.Phase != record.Canary {
		r.record.Note(now(), r.by, rel.hash, "canary %s", r.goalText())
	}
	r.record.Phase, r.record.Rollout = record.Canary, next
	return r.write(ctx)
}

// retired are workloads of the rollout before that no longer take part.
func (r *run) retired(old *record.Rollout, c design) []record.Workload {
	if old == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(old.Workloads), func(w record.Workload) bool {
		return slices.ContainsFunc(c.tracks, func(t track) bool { return t.stable == w.Object })
	})
}

// bring brings the canary to its goal and sees it stay healthy.
func (r *run) bring(ctx context.Context, c design, settled bool) error {
	r.check("the canary's pods become ready and serve")
	end := r.log.Section("canary", fmt.Sprintf("canary: %s", r.goalText()), false)
	defer end()
	if err := r.retireOthers(ctx, c); err != nil {
		return err
	}
	var tooMany []track
	for _, t := range c.tracks {
		if t.now.Canary > t.goal.Canary {
			tooMany = append(tooMany, t)
		}
	}
	if err := r.move(ctx, tooMany, r.work); err != nil {
		return err
	}
	if err := r.install(ctx, c.created, nil, nil); err != nil {
		return err
	}
	for _, wave := range manifest.Waves(c.objects.objects) {
		if err := r.applyAll(ctx, c.objects.of(wave)); err != nil {
			return err
		}
	}
	for i := range c.tracks {
		t := &c.tracks[i]
		t.now.Canary = min(t.now.Canary, t.goal.Canary)
		if moved := slices.IndexFunc(tooMany, func(m track) bool { return m.stable == t.stable }); moved >= 0 {
			t.now = tooMany[moved].now
		}
	}
	if err := r.awaitCanaries(ctx, c.tracks); err != nil {
		return err
	}
	if err := r.move(ctx, c.tracks, r.work); err != nil {
		return err
	}
	if settled {
		return nil
	}
	return r.settle(ctx, c.tracks)
}

// retireOthers removes the canaries of workloads that no longer take part.
func (r *run) retireOthers(ctx context.Context, c design) error {
	var gone []track
	for _, w := range r.retired(r.record.Rollout, c) {
		t, err := r.wayBack(ctx, w)
		if err != nil {
			return err
		}
		gone = append(gone, t)
	}
	if len(gone) == 0 {
		return nil
	}
	return r.retire(ctx, gone)
}

// awaitCanaries waits until the view has the canaries with their new template,
// ready as far as they have pods.
func (r *run) awaitCanaries(ctx context.Context, tracks []track) error {
	var targets []target
	for _, t := range tracks {
		target := t.canaryTarget(t.now.Canary)
		target.replicas = nil // somebody may scale it: the move sees to that
		targets = append(targets, target)
	}
	return r.await(ctx, targets)
}

// asked is the share asked for, in percent: what the weight says, or what an
// exact number of pods makes.
func (r *run) asked(t track) *float64 {
	share := float64(r.Weight)
	if r.Replicas != nil {
		share = t.expected()
	}
	return &share
}

func (r *run) goalText() string {
	if r.Replicas != nil {
		return fmt.Sprintf("%d pods", *r.Replicas)
	}
	return fmt.Sprintf("%d %%", r.Weight)
}

// nothingToCanary ends a canary stage whose release changes no pod. What an
// older rollout left is undone: the newest pipeline wins.
func (r *run) nothingToCanary(ctx context.Context, rel *release) error {
	if r.record.InFlight() {
		r.log.Note("the canary of %s is removed: this release's pods are the stable ones", r.record.Rollout.By)
		if err := r.undo(ctx); err != nil {
			return err
		}
	}
	if rel.changed() {
		r.nothing("promote", "nothing to canary: no Deployment's pods change; promote brings the rest of the changes")
		return nil
	}
	r.nothing("", "nothing to canary: live is what the manifests say")
	return nil
}

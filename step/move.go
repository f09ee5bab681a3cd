package step

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"gitlab.com/rollstep/rollstep/internal/rollout"
	"gitlab.com/rollstep/rollstep/internal/split"
)

// errMoved: somebody else changed a count that was just asked for.
var errMoved = errors.New("the replica count was changed by somebody else meanwhile")

// maxRestarts bounds how often a move starts over because of errMoved.
const maxRestarts = 10

// move brings all tracks to their goals: what grows first, in the steps that
// each workload's limits allow, and nothing is lowered before what was raised
// serves. It can be interrupted at any point and starts from what it finds.
func (r *run) move(ctx context.Context, tracks []track, until time.Time) error {
	for range maxRestarts {
		err := r.moveOnce(ctx, tracks, until)
		if !errors.Is(err, errMoved) {
			return err
		}
		r.log.Note("%v; starting again from what is there", err)
		for i := range tracks {
			if tracks[i].now, err = r.counts(ctx, tracks[i]); err != nil {
				return err
			}
			if tracks[i].autoscaled {
				tracks[i].goal.Stable = tracks[i].now.Stable
			}
		}
	}
	return failed(fmt.Errorf("gave up after %d tries: %w", maxRestarts, errMoved))
}

// counts are the pods asked for on both tracks, as seen since this run's last
// write to them.
func (r *run) counts(ctx context.Context, t track) (split.Counts, error) {
	if err := r.caughtUp(ctx, t.stable, t.canary); err != nil {
		return split.Counts{}, err
	}
	v := r.watcher.View()
	count := func(name string) int {
		if d := v.Deployment(t.stable.Namespace, name); d != nil && d.Spec.Replicas != nil {
			return int(*d.Spec.Replicas)
		}
		return 0
	}
	return split.Counts{Stable: count(t.stable.Name), Canary: count(t.canary.Name)}, nil
}

func (r *run) moveOnce(ctx context.Context, tracks []track, until time.Time) error {
	for {
		nexts := make([]split.Counts, len(tracks))
		var needed []target
		moved := false
		for i, t := range tracks {
			nexts[i] = split.Next(t.now, t.goal, t.limits)
			moved = moved || nexts[i] != t.now
			needed = append(needed, neededBy(t, nexts[i])...)
		}
		if !moved {
			return r.awaitUntil(ctx, r.atGoal(tracks), until)
		}
		// What was raised, perhaps by a job that was killed since, must serve
		// before anything is lowered.
		if err := r.awaitUntil(ctx, needed, until); err != nil {
			return err
		}
		var raised []target
		for i := range tracks {
			if nexts[i] == tracks[i].now {
				continue
			}
			if err := r.awaitRoom(ctx, tracks[i], nexts[i], until); err != nil {
				return err
			}
			r.log.Printf("%s: %d stable + %d canary pods", tracks[i].stable.Name, nexts[i].Stable, nexts[i].Canary)
			grown, err := r.ask(ctx, &tracks[i], nexts[i])
			if err != nil {
				return err
			}
			if tracks[i].noRoom && len(grown) > 0 {
				if err := r.insist(ctx, tracks[i], until); err != nil {
					return err
				}
			}
			raised = append(raised, grown...)
		}
		if err := r.awaitUntil(ctx, raised, until); err != nil {
			return err
		}
	}
}

// awaitRoom waits, where there is no room for more pods, until those on their way
// out are gone.
func (r *run) awaitRoom(ctx context.Context, t track, next split.Counts, until time.Time) error {
	if !t.noRoom || next.Stable <= t.now.Stable && next.Canary <= t.now.Canary {
		return nil
	}
	ctx, cancel := context.WithDeadlineCause(ctx, until, errOutOfTime)
	defer cancel()
	progress := r.progress()
	return r.watcher.Until(ctx, func(v *rollout.View) (bool, time.Duration, error) {
		leaving := 0
		for _, name := range []string{t.stable.Name, t.canary.Name} {
			if d := v.Deployment(t.stable.Namespace, name); d != nil {
				pods := v.Pods(d)
				leaving += len(pods) - len(alive(pods))
			}
		}
		if leaving == 0 {
			return true, 0, nil
		}
		return false, progress.say([]string{fmt.Sprintf("%s: %d pods on their way out", t.stable.Name, leaving)}), nil
	})
}

// insists bounds how often stable pods that are not created are asked for again,
// after a second first, and after heartbeats in the end.
const insists = 7

// insist waits until the stable pods that t asks for are there, and asks again
// while they are not: quotas learn late of pods that have gone, and a ReplicaSet
// that could not create a pod tries again ever less often, but at once when its
// count changes. What does not come at all is for the wait that follows to explain.
func (r *run) insist(ctx context.Context, t track, until time.Time) error {
	ctx, cancel := context.WithDeadlineCause(ctx, until, errOutOfTime)
	defer cancel()
	wanted := t.now.Stable
	there := func(d *appsv1.Deployment) bool { return int(d.Status.Replicas) >= wanted }
	for pause, tries := time.Second, 0; ; pause, tries = min(2*pause, heartbeat), tries+1 {
		done, err := r.stableIs(ctx, t, pause, there)
		if done || err != nil || tries == insists {
			return err
		}
		d := r.watcher.View().Deployment(t.stable.Namespace, t.stable.Name)
		if d == nil {
			return nil
		}
		r.log.Printf("  %s: %d of %d pods were created, asking again", t.stable.Name, d.Status.Replicas, wanted)
		if err := r.scale(ctx, t.stable, int(d.Status.Replicas)); err != nil {
			return err
		}
		// The two changes of the count must not become none.
		if _, err := r.stableIs(ctx, t, heartbeat, func(*appsv1.Deployment) bool { return true }); err != nil {
			return err
		}
		if err := r.scale(ctx, t.stable, wanted); err != nil {
			return err
		}
	}
}

// stableIs waits at most for a time until its controller has seen this run's last
// write to the stable Deployment, and it is as said.
func (r *run) stableIs(ctx context.Context, t track, most time.Duration, as func(*appsv1.Deployment) bool) (done bool, err error) {
	end := time.Now().Add(most)
	err = r.watcher.Until(ctx, func(v *rollout.View) (bool, time.Duration, error) {
		d := v.Deployment(t.stable.Namespace, t.stable.Name)
		done = d != nil && d.Status.ObservedGeneration >= r.generations[t.stable] && as(d)
		left := time.Until(end)
		return done || left <= 0, left, nil
	})
	return done, err
}

// neededBy are the pods that must serve before a track is lowered: those of the
// other side. Of the side that is lowered, pods that are not ready go first.
func neededBy(t track, next split.Counts) []target {
	switch {
	case next.Stable < t.now.Stable && t.now.Canary > 0:
		return []target{t.canaryTarget(t.now.Canary)}
	case next.Canary < t.now.Canary && !t.autoscaled:
		return []target{t.stableTarget(t.now.Stable)}
	}
	return nil
}

// ask scales a track's Deployments to next and returns those that grew.
func (r *run) ask(ctx context.Context, t *track, next split.Counts) ([]target, error) {
	var grown []target
	if next.Canary != t.now.Canary {
		if err := r.scale(ctx, t.canary, next.Canary); err != nil {
			return nil, err
		}
		if next.Canary > t.now.Canary {
			grown = append(grown, t.canaryTarget(next.Canary))
		}
	}
	if next.Stable != t.now.Stable {
		if err := r.scale(ctx, t.stable, next.Stable); err != nil {
			return nil, err
		}
		if next.Stable > t.now.Stable {
			grown = append(grown, t.stableTarget(next.Stable))
		}
	}
	t.now = next
	return grown, nil
}

// atGoal are the targets of a move that has arrived: the canary serves in full,
// and no stable pod serves that should not. The stable's own health is not the
// canary's matter: the canary may be its repair.
func (r *run) atGoal(tracks []track) []target {
	var targets []target
	for _, t := range tracks {
		stable := t.stableTarget(t.goal.Stable)
		stable.atMost = true
		if t.autoscaled {
			stable.replicas = nil
		}
		targets = append(targets, stable)
		if t.goal.Canary > 0 || r.generations[t.canary] > 0 {
			canary := t.canaryTarget(t.goal.Canary)
			canary.atMost = t.goal.Canary == 0
			targets = append(targets, canary)
		}
	}
	return targets
}

package step

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"gitlab.com/rollstep/rollstep/internal/canary"
	"gitlab.com/rollstep/rollstep/internal/cluster"
	"gitlab.com/rollstep/rollstep/internal/record"
	"gitlab.com/rollstep/rollstep/internal/split"
)

// plan prints what the later stages would do. It changes nothing.
func plan(ctx context.Context, r *run) error {
	rel, err := r.load(ctx)
	if err != nil {
		return err
	}
	if err := r.planChanges(rel); err != nil {
		return err
	}
	missing, err := r.missingPermissions(ctx, rel)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		r.warn("the identity in KUBECONFIG lacks permissions that the stages need (rollstep rbac prints a Role that gives them):\n  " + strings.Join(missing, "\n  "))
	}
	var c design
	if !r.firstRelease(rel) {
		switch c, err = r.design(ctx, rel); {
		case apierrors.IsForbidden(err) && len(missing) > 0:
			r.log.Verdict(false, "plan: what canary would do cannot be told before these permissions are given")
			return nil
		case err != nil:
			return preflight(err)
		}
		r.planCanary(rel, c)
	}
	if r.record.InFlight() {
		r.log.Note("a rollout by %s is in flight (%s, %d %%)", r.record.Rollout.By, r.record.Phase, r.record.Rollout.Weight)
	}
	r.planVerdict(rel, c, r.firstRelease(rel))
	return nil
}

// planChanges prints what changes live once all stages are done.
func (r *run) planChanges(rel *release) error {
	if err := r.announce(rel.previews); err != nil {
		return err
	}
	r.log.Printf("objects that change: %d, that stay as they are: %d", len(r.report.Changes), r.report.Unchanged)
	r.planDiffs()
	return nil
}

// shownDiffs bounds the bytes of diffs in the log; the report has them all.
const shownDiffs = 40_000

func (r *run) planDiffs() {
	shown, more := 0, 0
	var diffs []string
	for _, c := range r.report.Changes {
		switch {
		case c.Diff == "":
		case shown+len(c.Diff) > shownDiffs:
			more++
		default:
			shown += len(c.Diff)
			diffs = append(diffs, r.named(c.Object, c.Namespace)+"\n"+c.Diff)
		}
	}
	if more > 0 {
		diffs = append(diffs, fmt.Sprintf("and the changes of %d more objects, all in the report", more))
	}
	if len(diffs) > 0 {
		end := r.log.Section("changes", "changes in full", true)
		defer end()
		r.log.Printf("%s", strings.Join(diffs, "\n"))
	}
}

func change(p cluster.Preview) string {
	switch {
	case p.Unchecked:
		return "created, unchecked: its namespace or kind comes with this release"
	case p.Live == nil:
		return "created"
	case p.Adopts:
		return "changed, and taken over from kubectl apply"
	}
	return "changed"
}

// planCanary prints which workloads take part, and the pods for each weight.
func (r *run) planCanary(rel *release, c design) {
	for _, t := range c.tracks {
		r.log.Printf("Deployment %s takes part in the canary: its %s changes", t.stable.Name, t.part.Why())
		rows := [][]string{{"WEIGHT", "STABLE PODS", "CANARY PODS", "SHARE"}}
		weights := []int{10, 25, 50, int(r.Weight)}
		slices.Sort(weights)
		for _, weight := range slices.Compact(weights) {
			goal := split.Goal(t.wanted, split.Canary(t.wanted, weight), weight == 100)
			if t.autoscaled {
				goal.Stable = t.now.Stable
			}
			at := track{goal: goal}
			rows = append(rows, []string{fmt.Sprintf("%d %%", weight), fmt.Sprint(goal.Stable), fmt.Sprint(goal.Canary), fmt.Sprintf("%.1f %%", at.expected())})
		}
		if r.Replicas != nil {
			rows = append(rows, []string{r.goalText(), fmt.Sprint(t.goal.Stable), fmt.Sprint(t.goal.Canary), fmt.Sprintf("%.1f %%", t.expected())})
		}
		r.log.Table(rows)
	}
	for _, p := range rel.previews {
		if kind := p.Manifest.GetKind(); isWorkload(p.Manifest) && kind != "Deployment" && p.Changed() {
			r.log.Note("%s takes no part in the canary: only promote changes it", cluster.Name(p.Manifest))
		}
	}
	if len(c.tracks) > 0 && len(c.left) > 0 {
		var names []string
		for _, p := range c.left {
			names = append(names, cluster.Name(p.Manifest))
		}
		r.log.Note("only promote creates what acts on live pods: %s", strings.Join(names, ", "))
	}
	for _, w := range c.warnings {
		r.warn(w)
	}
}

func (r *run) planVerdict(rel *release, c design, first bool) {
	switch {
	case first:
		r.verdict("", "plan: the first release: canary, promote or apply brings it live in full")
	case len(c.tracks) > 0:
		var names []string
		for _, t := range c.tracks {
			names = append(names, canary.Name(t.stable.Name))
		}
		r.verdict("", "plan: canary creates %s; promote brings release %s to everyone", strings.Join(names, ", "), record.Short(rel.hash))
	case rel.changed():
		r.verdict("", "plan: nothing to canary; promote brings the changes")
	default:
		r.verdict("", "plan: nothing changes: live is what the manifests say")
	}
}

package step

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"gitlab.com/rollstep/rollstep/internal/canary"
	"gitlab.com/rollstep/rollstep/internal/record"
	"gitlab.com/rollstep/rollstep/internal/rollout"
)

// status prints where the release stands. It changes nothing.
func status(ctx context.Context, r *run) error {
	tracks, err := r.inFlight(ctx)
	if err != nil {
		return err
	}
	r.statusRecord()
	if len(tracks) == 0 {
		if tracks, err = r.promoted(ctx); err != nil {
			return err
		}
	}
	r.statusTracks(tracks)
	r.statusShares(tracks)
	r.reportServing()
	if ro := r.record.Rollout; ro != nil {
		r.reportEvidence(ctx, tracks, ro.Started)
		if ctx.Err() != nil { // the evidence is not complete
			return context.Cause(ctx)
		}
		r.reportNext(tracks)
	}
	r.statusHistory()
	standing, next := r.standing(len(tracks))
	r.verdict(next, "%s", standing)
	return nil
}

func (r *run) statusRecord() {
	if ro := r.record.Rollout; ro != nil {
		r.log.Printf("rollout of release %s: %s at %d %%, since %s, by %s", record.Short(ro.Hash), r.record.Phase, ro.Weight, when(ro.Started), ro.By)
		switch {
		case ro.Reached != nil && *ro.Reached == ro.Weight:
			r.log.Printf("the canary was seen healthy at %d %%", *ro.Reached)
		case ro.Reached != nil:
			r.log.Printf("the canary was seen healthy at %d %%, not yet at %d %%", *ro.Reached, ro.Weight)
		default:
			r.log.Printf("the canary has not been seen healthy")
		}
	}
	for i, p := range r.record.Promoted {
		name := "promoted before"
		if i == 0 {
			name = "promoted"
		}
		by := ""
		if p.By != (record.By{}) {
			by = ", by " + p.By.String()
		}
		r.log.Printf("%s: release %s%s", name, describePromotion(p), by)
	}
}

// promoted are the Deployments of the newest promoted release.
func (r *run) promoted(ctx context.Context) ([]track, error) {
	live := r.record.Live()
	if live == nil {
		return nil, nil
	}
	objects, err := r.kept(ctx, *live)
	if err != nil {
		r.log.Note("%v", err)
		return nil, nil
	}
	var tracks []track
	var namespaces []string
	for _, o := range objects {
		if canary.IsDeployment(o) {
			r.follow(objectOf(o))
			tracks = append(tracks, track{stable: objectOf(o)})
			namespaces = append(namespaces, o.GetNamespace())
		}
	}
	return tracks, r.watch(ctx, nil, namespaces...)
}

func (r *run) statusTracks(tracks []track) {
	v := r.watcher.View()
	rows := [][]string{{"DEPLOYMENT", "TRACK", "READY", "RESTARTS", "IMAGES"}}
	for _, t := range tracks {
		rows = append(rows, row(v, v.Deployment(t.stable.Namespace, t.stable.Name), t.stable.Name, "stable"))
		if t.canary.Name == "" {
			continue
		}
		if d := v.Deployment(t.canary.Namespace, t.canary.Name); d != nil {
			rows = append(rows, row(v, d, t.canary.Name, "canary"))
		}
	}
	if len(rows) > 1 {
		r.log.Table(rows)
	}
}

func row(v *rollout.View, d *appsv1.Deployment, name, track string) []string {
	if d == nil {
		return []string{name, track, "is not there"}
	}
	var images []string
	for _, c := range d.Spec.Template.Spec.Containers {
		images = append(images, c.Image)
	}
	restarts := restartsOf(v.Pods(d), nil)
	return []string{name, track, fmt.Sprintf("%d/%d", d.Status.ReadyReplicas, rollout.Of(d).Wanted), fmt.Sprint(restarts), strings.Join(images, ", ")}
}

// statusShares prints which part of each Service's ready endpoints is the
// canary's: images do not tell it where only the configuration changes.
func (r *run) statusShares(tracks []track) {
	v := r.watcher.View()
	rows := [][]string{{"SERVICE", "ACHIEVED SHARE", "STABLE", "CANARY"}}
	for _, t := range tracks {
		stable, preview := v.Deployment(t.stable.Namespace, t.stable.Name), v.Deployment(t.canary.Namespace, t.canary.Name)
		if stable == nil || preview == nil {
			continue
		}
		for _, s := range t.canaryServices {
			if !slices.Contains(t.stableServices, s) {
				continue // the preview
			}
			serving := v.Serving(t.stable.Namespace, s)
			rows = append(rows, []string{s, fmt.Sprintf("%.1f %%", serving.Share(preview)), podsOf(v, stable, serving), podsOf(v, preview, serving)})
		}
	}
	if len(rows) > 1 {
		r.log.Table(rows)
	}
}

func (r *run) statusHistory() {
	if len(r.record.History) == 0 {
		return
	}
	end := r.log.Section("history", "history", true)
	defer end()
	rows := [][]string{{"WHEN", "WHAT", "RELEASE", "BY"}}
	for _, e := range slices.Backward(r.record.History) {
		rows = append(rows, []string{e.At.Format("2006-01-02 15:04 UTC"), e.What, e.Hash, e.By.String()})
	}
	r.log.Table(rows)
}

// standing says where the release stands, and what to do next.
func (r *run) standing(tracks int) (standing, next string) {
	switch live := r.record.Live(); {
	case r.record.Phase == record.Canary:
		return fmt.Sprintf("a canary is in flight at %d %%", r.record.Rollout.Weight), "promote, another weight, or rollback"
	case r.record.InFlight():
		return fmt.Sprintf("%s has not finished", r.record.Phase), "run its job again, or rollback"
	case live == nil && tracks > 0:
		return "the record knows nothing, but there is a canary", "rollback, which removes it"
	case live == nil:
		return "nothing was released yet", ""
	case r.record.Phase == record.RolledBack:
		return "the last rollout was rolled back; live is release " + describePromotion(*live), ""
	default:
		return "no rollout is in flight; release " + describePromotion(*live), ""
	}
}

// when tells a time and how long it is past.
func when(t time.Time) string {
	return fmt.Sprintf("%s (%s ago)", t.UTC().Format("15:04 UTC"), time.Since(t).Round(time.Second))
}

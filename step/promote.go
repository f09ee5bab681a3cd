package step

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gitlab.com/rollstep/rollstep/internal/canary"
	"gitlab.com/rollstep/rollstep/internal/cluster"
	"gitlab.com/rollstep/rollstep/internal/record"
	"gitlab.com/rollstep/rollstep/internal/rollout"
)

// promote gives everyone what the canary tested: live becomes what Git says.
func promote(ctx context.Context, r *run) error {
	rel, err := r.load(ctx)
	if err != nil {
		return err
	}
	parts := canary.Parts(rel.previews)
	first := r.firstRelease(rel)
	without := r.SkipCanary || first || (!r.record.InFlight() && len(parts) == 0)
	r.check("the record allows a promotion by this pipeline")
	if err := r.record.AllowPromote(r.by, rel.hash, without); err != nil {
		return err
	}
	live := r.record.Live()
	if !r.record.InFlight() && !rel.changed() && live != nil && live.Hash == rel.hash && r.record.Phase == record.Promoted {
		r.prune(ctx)
		r.nothing("", "nothing to promote: live is what the manifests say")
		return nil
	}
	if first {
		return r.release(ctx, rel, "promoted")
	}
	if err := r.announce(rel.previews); err != nil {
		return err
	}
	p, err := r.keep(ctx, rel)
	if err != nil {
		return err
	}
	if err := r.beginPromotion(ctx, rel, parts); err != nil {
		return err
	}
	if err := r.replaceStable(ctx, rel); err != nil {
		return r.recover(ctx, err)
	}
	return r.finish(ctx, p, "promoted")
}

// beginPromotion writes down that the stable track is about to change, and
// which workloads only a restart gives their new configuration.
func (r *run) beginPromotion(ctx context.Context, rel *release, parts []canary.Part) error {
	if err := r.baseline(ctx, rel); err != nil {
		return err
	}
	ro := r.record.Rollout
	if ro == nil {
		ro = &record.Rollout{Hash: rel.hash, Weight: 100, Started: now(), By: r.by}
		for _, p := range parts {
			was, _ := canary.Replicas(p.Live)
			ro.Workloads = append(ro.Workloads, record.Workload{
				Object: objectOf(p.Manifest), Was: was, Restart: p.Restart(), Images: canary.Images(p.Manifest),
				Autoscaled: !declaresReplicas(p.Manifest),
			})
		}
	}
	if ro.Hash != rel.hash || r.record.Phase != record.Promoting {
		// ROLLSTEP_SKIP_CANARY may bring a fix over a rollout of something else.
		ro.Hash, ro.To, ro.RestartedAt = rel.hash, "", restartTime()
	}
	_, acting := rel.fresh()
	for _, p := range acting {
		if ref := objectOf(p.Manifest); !slices.Contains(ro.Created, ref) {
			ro.Created = append(ro.Created, ref)
		}
	}
	ro.By, ro.Updated = r.by, now()
	r.record.Phase, r.record.Rollout = record.Promoting, ro
	return r.write(ctx)
}

// replaceStable applies the whole release while the canary keeps serving, and
// removes the canary once the stable is complete.
func (r *run) replaceStable(ctx context.Context, rel *release) error {
	r.check("the stable track gets the new version")
	end := r.log.Section("promote", "promote: the stable track gets the new version", false)
	defer end()
	ro := r.record.Rollout
	if err := r.install(ctx, rel, restarting(ro.Workloads), ro.RestartedAt); err != nil {
		return err
	}
	r.check("the canary goes")
	tracks, err := r.inFlight(ctx)
	if err != nil {
		return err
	}
	for i := range tracks {
		// The manifest decides the count, where it says one.
		if declared(rel, tracks[i].stable) {
			tracks[i].goal.Stable = tracks[i].now.Stable
		}
	}
	if err := r.retire(ctx, tracks); err != nil {
		return err
	}
	return r.remove(ctx, overtaken(ro.Created, rel))
}

// overtaken are the objects that an earlier release of the rollout brought and
// the one that is promoted does not have.
func overtaken(created []record.Object, rel *release) []record.Object {
	return slices.DeleteFunc(slices.Clone(created), func(o record.Object) bool {
		return slices.ContainsFunc(rel.previews, func(p cluster.Preview) bool { return sameObject(p.Manifest, o) })
	})
}

func declared(rel *release, ref record.Object) bool {
	return slices.ContainsFunc(rel.previews, func(p cluster.Preview) bool {
		return sameObject(p.Manifest, ref) && declaresReplicas(p.Manifest)
	})
}

// finish records a release as promoted and says what serves.
func (r *run) finish(ctx context.Context, p record.Promotion, did string) error {
	p.At = now()
	r.record.Note(p.At, r.by, p.Hash, "%s", did)
	r.record.Promote(p)
	if err := r.write(ctx); err != nil {
		return err
	}
	r.prune(ctx)
	r.reportServing()
	r.verdict("", "%s release %s (%s)", did, record.Short(p.Hash), versions(p.Images))
	return nil
}

// versions names what images people know by their tags: "v2, and 3 more".
func versions(images []string) string {
	var names []string
	for _, image := range images {
		if v := rollout.Version(image); !slices.Contains(names, v) {
			names = append(names, v)
		}
	}
	if more := len(names) - 3; more > 0 {
		return fmt.Sprintf("%s, and %d more", strings.Join(names[:3], ", "), more)
	}
	return cmp.Or(strings.Join(names, ", "), "no image")
}

// prune removes manifests that the record no longer knows; the next run does
// what this one cannot.
func (r *run) prune(ctx context.Context) {
	if err := r.store.Prune(ctx, r.record); err != nil {
		r.log.Note("manifests of old releases could not be removed: %v", cluster.Explain(err))
	}
}

// restartTime is what a restart writes into a pod template: never the same
// twice, so that each restart is one.
func restartTime() *time.Time {
	at := time.Now().UTC()
	return &at
}

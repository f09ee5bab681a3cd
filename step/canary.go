package step

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"gitlab.com/rollstep/rollstep/internal/canary"
	"gitlab.com/rollstep/rollstep/internal/cluster"
	"gitlab.com/rollstep/rollstep/internal/hint"
	"gitlab.com/rollstep/rollstep/internal/manifest"
	"gitlab.com/rollstep/rollstep/internal/record"
	"gitlab.com/rollstep/rollstep/internal/rollout"
)

// canaryStage brings the new version to the weight asked for. It creates what
// is new and changes nothing that is live but the stable's replica count.
func canaryStage(ctx context.Context, r *run) error {
	rel, err := r.load(ctx)
	if err != nil {
		return err
	}
	if err := r.record.AllowCanary(r.by); err != nil {
		return err
	}
	if r.firstRelease(rel) {
		return r.release(ctx, rel, "released")
	}
	if err := r.refuseWithoutStable(rel); err != nil {
		return err
	}
	c, err := r.design(ctx, rel)
	if err != nil {
		return preflight(err)
	}
	if len(c.tracks) == 0 {
		return r.nothingToCanary(ctx, rel)
	}
	for _, w := range c.warnings {
		r.log.Warn("%s", w)
	}
	settled := r.settled(rel) && arrived(c)
	if err := r.begin(ctx, rel, c); err != nil {
		return err
	}
	if err := r.bring(ctx, rel, c, settled); err != nil {
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
	r.reportShares(c.tracks)
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

// design is what a canary of the release consists of.
type design struct {
	tracks   []track
	objects  *release          // the canary's own objects
	created  *release          // what is new in the release itself
	left     []cluster.Preview // new, but acting on what is live: left to promote
	warnings []string
}

// design decides what the canary consists of, and has the server check it.
func (r *run) design(ctx context.Context, rel *release) (design, error) {
	var d design
	parts := canary.Parts(rel.previews)
	around := map[string]canary.Surroundings{}
	var mistakes []error
	var objects []*unstructured.Unstructured
	for _, p := range parts {
		namespace := p.Manifest.GetNamespace()
		if _, known := around[namespace]; !known {
			s, err := r.surroundings(ctx, rel, namespace)
			if err != nil {
				return d, err
			}
			around[namespace] = s
		}
		t, err := r.track(p, around[namespace])
		mistakes = append(mistakes, err, declaredCanary(rel, t.canary))
		d.tracks = append(d.tracks, t)
		d.warnings = append(d.warnings, r.options.Warnings(p, around[namespace])...)
		objects = append(objects, r.derive(rel, t, around[namespace])...)
	}
	if err := errors.Join(mistakes...); err != nil {
		return d, configuration(err)
	}
	var err error
	d.objects, err = r.preview(ctx, distinct(objects), func(p cluster.Preview, err error) error {
		if p.Live != nil && !r.options.Owns(p.Live) {
			return foreignObject(p.Live)
		}
		if err != nil {
			return fmt.Errorf("%s, derived for the canary: %w", cluster.Name(p.Manifest), err)
		}
		return nil
	})
	if err != nil {
		return d, err
	}
	d.created, d.left = rel.fresh()
	return d, nil
}

func foreignObject(live *unstructured.Unstructured) error {
	return hint.Errorf(fmt.Sprintf("Rename it or, if nothing needs it, remove it: kubectl -n %s delete %s %s",
		live.GetNamespace(), strings.ToLower(live.GetKind()), live.GetName()),
		"%s exists and is not rollstep's: the canary needs that name", cluster.Name(live))
}

func declaredCanary(rel *release, ref record.Object) error {
	for _, p := range rel.previews {
		if sameObject(p.Manifest, ref) {
			return hint.Errorf("Remove it from the manifests: canary derives it; or keep it and use rollstep apply, where Git spells out each step",
				"the manifests declare %s %s themselves", ref.Kind, ref.Name)
		}
	}
	return nil
}

// derive returns the canary's own objects of a track.
func (r *run) derive(rel *release, t track, around canary.Surroundings) []*unstructured.Unstructured {
	var objects, copies []*unstructured.Unstructured
	for _, ref := range t.part.Config {
		for _, p := range rel.previews {
			if p.Manifest.GetKind() == ref.Kind && p.Manifest.GetName() == ref.Name && p.Manifest.GetNamespace() == t.stable.Namespace {
				copies = append(copies, r.options.Copy(p.Manifest))
			}
		}
	}
	objects = append(objects, copies...)
	if r.Preview != "" {
		for _, s := range r.options.Reaching(t.part, around.Services) {
			objects = append(objects, r.options.Preview(s, string(r.Preview)))
		}
	}
	// A canary that is there keeps its count until the move, but never shows
	// a new version to more than the goal.
	count := min(t.now.Canary, t.goal.Canary)
	return append(objects, r.options.Deployment(t.part, count, t.was, copies))
}

func distinct(objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	seen := map[record.Object]bool{}
	return slices.DeleteFunc(objects, func(o *unstructured.Unstructured) bool {
		ref := objectOf(o)
		defer func() { seen[ref] = true }()
		return seen[ref]
	})
}

// actsOnLive are kinds whose new objects act on what is live already.
var actsOnLive = map[string]bool{
	"HorizontalPodAutoscaler": true, "PodDisruptionBudget": true, "NetworkPolicy": true,
	"ResourceQuota": true, "LimitRange": true, "Ingress": true, "APIService": true,
	"HTTPRoute": true, "GRPCRoute": true, "TCPRoute": true, "TLSRoute": true, "IngressRoute": true,
	"VirtualService": true, "DestinationRule": true, "AuthorizationPolicy": true, "CiliumNetworkPolicy": true,
	"ScaledObject": true, "VerticalPodAutoscaler": true,
	"MutatingWebhookConfiguration": true, "ValidatingWebhookConfiguration": true,
	"ValidatingAdmissionPolicy": true, "ValidatingAdmissionPolicyBinding": true,
	"MutatingAdmissionPolicy": true, "MutatingAdmissionPolicyBinding": true,
}

// fresh are the objects of the release that are not live yet: those that a
// canary may need, and those that are left to promote.
func (rel *release) fresh() (created *release, left []cluster.Preview) {
	created = &release{hash: rel.hash}
	for _, p := range rel.previews {
		switch {
		case p.Live != nil:
		case actsOnLive[p.Manifest.GetKind()]:
			left = append(left, p)
		default:
			created.objects = append(created.objects, p.Manifest)
			created.previews = append(created.previews, p)
		}
	}
	return created, left
}

// removedByRollback are the kinds that a rollback removes again if the rollout
// brought them. What holds data, or what others may have come to rely on, stays.
var removedByRollback = map[string]bool{
	"ConfigMap": true, "Secret": true, "Service": true, "ServiceAccount": true, "Role": true, "RoleBinding": true,
	"Deployment": true, "DaemonSet": true, "Job": true, "CronJob": true,
}

// begin writes down what is about to be done, before anything is.
func (r *run) begin(ctx context.Context, rel *release, c design) error {
	if err := r.baseline(ctx, rel); err != nil {
		return err
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
func (r *run) bring(ctx context.Context, rel *release, c design, settled bool) error {
	end := r.log.Section("canary", fmt.Sprintf("canary: %s", r.goalText()), false)
	defer end()
	if err := r.watch(ctx, rel.previews, namespacesOf(c.tracks)...); err != nil {
		return err
	}
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

func (rel *release) of(wave []*unstructured.Unstructured) []cluster.Preview {
	var previews []cluster.Preview
	for _, p := range rel.previews {
		if slices.Contains(wave, p.Manifest) {
			previews = append(previews, p)
		}
	}
	return previews
}

func namespacesOf(tracks []track) []string {
	var list []string
	for _, t := range tracks {
		list = append(list, t.stable.Namespace)
	}
	return list
}

func (r *run) goalText() string {
	if r.Replicas != nil {
		return fmt.Sprintf("%d pods", *r.Replicas)
	}
	return fmt.Sprintf("%d %%", r.Weight)
}

// arrived says whether there is nothing left to do for the canary.
func arrived(c design) bool {
	for _, t := range c.tracks {
		if t.now != t.goal {
			return false
		}
	}
	return !slices.ContainsFunc(c.objects.previews, cluster.Preview.Changed)
}

// settle sees the canary stay healthy for a while: longer than a crash takes
// that only shows after the start.
func (r *run) settle(ctx context.Context, tracks []track) error {
	hold := time.Duration(0)
	for _, t := range tracks {
		minReady, _, _ := unstructured.NestedInt64(t.part.Manifest.Object, "spec", "minReadySeconds")
		hold = max(hold, r.Settle+time.Duration(minReady)*time.Second)
	}
	targets := slices.DeleteFunc(r.atGoal(tracks), func(t target) bool { return t.atMost })
	if hold == 0 || len(targets) == 0 {
		return nil
	}
	r.log.Printf("watching the canary for %s", hold)
	for {
		broke, err := r.breaks(ctx, targets, hold)
		if err != nil || !broke {
			return err
		}
		r.log.Printf("  a canary pod was not ready or restarted: watching anew")
		if err := r.await(ctx, targets); err != nil {
			return err
		}
	}
}

// breaks watches targets for a while and says whether one was not ready or
// restarted a container meanwhile.
func (r *run) breaks(ctx context.Context, targets []target, hold time.Duration) (broke bool, err error) {
	ctx, cancel := context.WithDeadlineCause(ctx, r.work, errOutOfTime)
	defer cancel()
	since, said := time.Now(), time.Now()
	restarts := countRestarts(r.watcher.View(), targets)
	err = r.watcher.Until(ctx, func(v *rollout.View) (bool, time.Duration, error) {
		broke = countRestarts(v, targets) != restarts
		for _, t := range targets {
			message, err := r.look(v, t)
			if err != nil {
				return false, 0, err
			}
			broke = broke || message != ""
		}
		left := hold - time.Since(since)
		if left > 0 && time.Since(said) >= heartbeat {
			r.log.Printf("  healthy so far, %s to go", left.Round(time.Second))
			said = time.Now()
		}
		return broke || left <= 0, max(min(left, heartbeat), time.Millisecond), nil
	})
	if err == errOutOfTime {
		err = failed(hint.Errorf(hint.Of(err), "the canary did not stay healthy for %s in time", hold))
	}
	return broke, err
}

func countRestarts(v *rollout.View, targets []target) int {
	n := 0
	for _, t := range targets {
		d := v.Deployment(t.Namespace, t.Name)
		if d == nil {
			continue
		}
		for _, p := range v.Pods(d) {
			for _, c := range p.Status.ContainerStatuses {
				n += int(c.RestartCount)
			}
		}
	}
	return n
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
		r.verdict("nothing to canary: no Deployment's pods change; promote brings the rest of the changes")
		return nil
	}
	r.verdict("nothing to canary: live is what the manifests say")
	return nil
}

func (r *run) verdict(format string, args ...any) { r.log.Verdict(true, format, args...) }

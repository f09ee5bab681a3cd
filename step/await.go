package step

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"gitlab.com/rollstep/rollstep/internal/canary"
	"gitlab.com/rollstep/rollstep/internal/cluster"
	"gitlab.com/rollstep/rollstep/internal/gitlab"
	"gitlab.com/rollstep/rollstep/internal/hint"
	"gitlab.com/rollstep/rollstep/internal/record"
	"gitlab.com/rollstep/rollstep/internal/rollout"
)

type restarts map[types.UID]map[string]int32

// heartbeat is how often a waiting stage says something at least: GitLab learns
// of a cancelled job only when it prints.
const heartbeat = 10 * time.Second

// target is a workload to wait for.
type target struct {
	record.Object
	services []string // whose ready endpoints its pods must be
	replicas *int     // the count that must be asked for, nil for any
	atMost   bool     // it need not be ready: only no surplus pod must serve
}

func (t target) String() string { return t.Kind + " " + t.Name }

// watch begins to view the namespaces of the previews' workloads, and those of
// more, once.
func (r *run) watch(ctx context.Context, previews []cluster.Preview, more ...string) error {
	var namespaces []string
	resources := map[schema.GroupVersionResource]bool{}
	for _, p := range previews {
		if !awaited(p.Manifest) && !isAutoscaler(p.Manifest) {
			continue
		}
		namespaces = append(namespaces, p.Manifest.GetNamespace())
		switch resource, err := r.cluster.Resource(ctx, p.Manifest.GroupVersionKind()); {
		case err != nil:
			return err
		case !rollout.Always(resource.GroupVersionResource):
			resources[resource.GroupVersionResource] = true
		}
	}
	namespaces = append(namespaces, more...)
	known := !slices.ContainsFunc(namespaces, func(n string) bool { return !r.viewed[n] })
	for resource := range resources {
		known = known && r.extra[resource]
	}
	if r.watcher != nil && known {
		return nil
	}
	namespaces = slices.AppendSeq(namespaces, maps.Keys(r.viewed))
	slices.Sort(namespaces)
	namespaces = slices.Compact(namespaces)
	maps.Copy(resources, r.extra)
	watcher, err := rollout.Watch(ctx, r.cluster.Dynamic, namespaces, slices.Collect(maps.Keys(resources))...)
	if err != nil {
		return cluster.Explain(err)
	}
	if r.watcher != nil {
		r.watcher.Stop()
	}
	r.watcher, r.viewed, r.extra = watcher, map[string]bool{}, resources
	for _, n := range namespaces {
		r.viewed[n] = true
	}
	if r.before == nil {
		r.before = watcher.View().Restarts()
	}
	r.sample(watcher.View())
	watcher.Each = r.sample
	return nil
}

// awaited says whether a stage waits for o: workloads, but not those that run at
// some later time.
func awaited(o *unstructured.Unstructured) bool { return isWorkload(o) && o.GetKind() != "CronJob" }

// targets are the workloads of previews, each with the Services that its pods
// must have reached before anything else is lowered.
func (r *run) targets(ctx context.Context, previews []cluster.Preview) ([]target, error) {
	var targets []target
	for _, p := range previews {
		if !awaited(p.Manifest) {
			continue
		}
		t := target{Object: objectOf(p.Manifest)}
		if canary.IsDeployment(p.Manifest) {
			services, err := r.services(ctx, t.Namespace)
			if err != nil {
				return nil, err
			}
			t.services = selecting(services, canary.PodLabels(p.Result))
		}
		targets = append(targets, t)
	}
	return targets, nil
}

func selecting(services []*unstructured.Unstructured, labels map[string]string) []string {
	var names []string
	for _, s := range services {
		selector, _, _ := unstructured.NestedStringMap(s.Object, "spec", "selector")
		if rollout.Selects(selector, labels) {
			names = append(names, s.GetName())
		}
	}
	return names
}

// await waits until all targets are ready. It fails as soon as one is hopeless,
// and when the time to work is up.
func (r *run) await(ctx context.Context, targets []target) error {
	return r.awaitUntil(ctx, targets, r.work)
}

func (r *run) awaitUntil(ctx context.Context, targets []target, until time.Time) error {
	ctx, cancel := context.WithDeadlineCause(ctx, until, errOutOfTime)
	defer cancel()
	progress := progress{log: r.log, at: time.Now()}
	judge := r.judge()
	var last []string
	err := r.watcher.Until(ctx, func(v *rollout.View) (bool, time.Duration, error) {
		var waiting []string
		again := heartbeat
		for _, t := range targets {
			message, err := r.look(v, t)
			if err != nil {
				return false, 0, err
			}
			if message == "" {
				continue
			}
			if gone, err := r.gone(ctx, v, t.Object); gone || err != nil {
				return false, 0, cmp.Or(err, failed(hint.Errorf("Run the job again, if nobody objects", "%s was deleted by somebody else meanwhile", t)))
			}
			waiting = append(waiting, t.Name+": "+message)
			next, err := judge.hopeless(ctx, v, t)
			if err != nil {
				return false, 0, err
			}
			again = min(again, next)
		}
		last = waiting
		again = min(again, progress.say(waiting))
		return len(waiting) == 0, again, nil
	})
	if err != nil && context.Cause(ctx) == err {
		if err == errOutOfTime {
			judge.explain(context.WithoutCancel(ctx), targets)
			err = failed(hint.Errorf(hint.Of(errOutOfTime), "not ready in time: %s", strings.Join(last, "; ")))
		}
	}
	return cluster.Explain(err)
}

// look says why a target is not ready, "" if it is.
func (r *run) look(v *rollout.View, t target) (string, error) {
	if v.Generation(t.Kind, t.Namespace, t.Name) < r.generations[t.Object] {
		return "waiting for the API server", nil
	}
	if t.Kind != "Deployment" {
		o := v.Other(t.Kind, t.Namespace, t.Name)
		if o == nil {
			return "not there yet", nil
		}
		p, doomed := rollout.OfOther(o)
		if doomed != "" {
			return "", failed(hint.Errorf("Look at its events and pods (kubectl describe)", "%s: %s", t, doomed))
		}
		if p.Done {
			return "", nil
		}
		return p.Message, nil
	}
	d := v.Deployment(t.Namespace, t.Name)
	if d == nil {
		return "not there yet", nil
	}
	return lookDeployment(v, d, t)
}

func lookDeployment(v *rollout.View, d *appsv1.Deployment, t target) (string, error) {
	p := rollout.Of(d)
	switch {
	case t.replicas != nil && p.Wanted != *t.replicas:
		return "", fmt.Errorf("%s: %w", t, errMoved)
	case !p.Done && !t.atMost:
		return p.Message, nil
	}
	for _, s := range t.services {
		serving := v.Serving(t.Namespace, s).By[d.UID]
		switch {
		case serving > p.Wanted:
			return fmt.Sprintf("%d pods still to leave Service %s", serving-p.Wanted, s), nil
		case serving < p.Wanted && !t.atMost:
			return fmt.Sprintf("%d of %d pods are endpoints of Service %s", serving, p.Wanted, s), nil
		}
	}
	return "", nil
}

// caughtUp waits until the view has what this run wrote of these objects.
func (r *run) caughtUp(ctx context.Context, refs ...record.Object) error {
	ctx, cancel := context.WithDeadlineCause(ctx, r.end, errOutOfTime)
	defer cancel()
	return r.watcher.Until(ctx, func(v *rollout.View) (bool, time.Duration, error) {
		for _, ref := range refs {
			if v.Generation(ref.Kind, ref.Namespace, ref.Name) >= r.generations[ref] {
				continue
			}
			if gone, err := r.gone(ctx, v, ref); !gone || err != nil {
				return false, unseenFor, err
			}
		}
		return true, 0, nil
	})
}

// unseenFor is how long a watch may take to show an object that was written,
// before it is looked for.
const unseenFor = time.Second

// gone says whether an object that this run wrote is not only not seen yet, but
// was deleted since.
func (r *run) gone(ctx context.Context, v *rollout.View, ref record.Object) (bool, error) {
	if r.generations[ref] == 0 || v.Generation(ref.Kind, ref.Namespace, ref.Name) > 0 || time.Since(r.written[ref]) < unseenFor {
		return false, nil
	}
	live, err := r.cluster.Get(ctx, emptyObject(ref))
	if err != nil || live != nil {
		return false, err
	}
	delete(r.generations, ref)
	return true, nil
}

// progress says how a wait goes: not at all if it is short, at most once a
// second while numbers move, and every ten seconds when nothing does.
type progress struct {
	log  *gitlab.Log
	said string
	at   time.Time
}

// say returns when there is something to say again.
func (p *progress) say(waiting []string) time.Duration {
	if len(waiting) == 0 {
		return heartbeat
	}
	text := strings.Join(waiting[:min(3, len(waiting))], "; ")
	if more := len(waiting) - 3; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	quiet := time.Second
	if text == p.said {
		quiet = heartbeat
	}
	if since := time.Since(p.at); since < quiet {
		return quiet - since
	}
	still := ""
	if text == p.said {
		still = "still waiting: "
	}
	p.log.Printf("  %s%s", still, text)
	p.said, p.at = text, time.Now()
	return time.Second
}

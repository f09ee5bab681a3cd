package step

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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
		if rollout.Selects(selectorOf(s), labels) {
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
	progress := r.progress()
	judge := r.judge()
	stalled := map[record.Object]time.Time{}
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
			again = min(again, r.urge(ctx, stalled, t, lateService(v, t)))
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
		serving := v.Serving(t.Namespace, s)
		all, staying := serving.By[d.UID], serving.Staying(d)
		switch {
		case staying < p.Wanted && !t.atMost:
			return fmt.Sprintf("%d of %d pods are endpoints of Service %s", staying, p.Wanted, s), nil
		case all > p.Wanted:
			return fmt.Sprintf("%d pods still to leave Service %s", all-p.Wanted, s), nil
		}
	}
	return "", nil
}

// progress says how a wait goes: not at all if it is short, once a second at
// first while numbers move, less often the longer it takes, and every ten seconds
// when nothing moves.
type progress struct {
	log   *gitlab.Log
	began time.Time
	said  string
	at    time.Time
}

func (r *run) progress() progress {
	now := time.Now()
	return progress{log: r.log, began: now, at: now}
}

// say returns when there is something to say again.
func (p *progress) say(waiting []string) time.Duration { return p.sayAt(time.Now(), waiting) }

func (p *progress) sayAt(now time.Time, waiting []string) time.Duration {
	if len(waiting) == 0 {
		return heartbeat
	}
	text := strings.Join(waiting[:min(3, len(waiting))], "; ")
	if more := len(waiting) - 3; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	pace := min(max(now.Sub(p.began)/10, time.Second), heartbeat)
	quiet, still := pace, ""
	if text == p.said {
		quiet, still = heartbeat, "still waiting: "
	}
	if since := now.Sub(p.at); since < quiet {
		return quiet - since
	}
	p.log.Printf("  %s%s", still, text)
	p.said, p.at = text, now
	return pace
}

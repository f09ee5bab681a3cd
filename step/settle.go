package step

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"gitlab.com/rollstep/rollstep/internal/hint"
	"gitlab.com/rollstep/rollstep/internal/rollout"
)

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
	r.check(fmt.Sprintf("the canary stays healthy for %s", hold))
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
		n += restartsOf(v.Pods(d), nil)
	}
	return n
}

// restartsOf counts the restarts of the pods' containers, less those before.
func restartsOf(pods []*corev1.Pod, before restarts) int {
	n := 0
	for _, p := range pods {
		for _, c := range p.Status.ContainerStatuses {
			n += int(c.RestartCount - before[p.UID][c.Name])
		}
	}
	return n
}

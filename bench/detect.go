package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"
)

// patience is for how long other tools may take to notice a failure.
const patience = 30 * time.Second

// detect releases a good version, then brings a canary that cannot run, and
// returns how long after the pods' status rollstep ended.
func (b *bench) detect(ctx context.Context, tag string, reasons []string) (time.Duration, error) {
	namespace, err := b.namespace(ctx)
	if err != nil {
		return 0, err
	}
	f, err := b.follow(ctx, namespace)
	if err != nil {
		return 0, err
	}
	defer f.stop()
	good, err := b.release("good", app("app", 3, "v1"))
	if err != nil {
		return 0, err
	}
	bad, err := b.release(tag, app("app", 3, tag))
	if err != nil {
		return 0, err
	}
	dirs := map[string]string{"v1": good, "v2": bad}
	if _, err := b.run(ctx, scene{"apply", "v1"}.command(dirs, namespace)); err != nil {
		return 0, err
	}
	c := scene{"canary 50%", "v2"}.command(dirs, namespace, "ROLLSTEP_ON_FAILURE=hold")
	c.fails = true
	s, err := b.run(ctx, c)
	if err != nil {
		return 0, err
	}
	if s.Exit != 3 {
		return 0, fmt.Errorf("the canary of %s exited with %d instead of 3:\n%s", tag, s.Exit, s.output)
	}
	since := f.since(reasons...)
	if since.IsZero() {
		return 0, fmt.Errorf("no container of %s was seen waiting for %v:\n%s", tag, reasons, s.output)
	}
	return s.Ended.Sub(since), nil
}

// others says how soon kubectl and helm notice the same, both at once.
func (b *bench) others(ctx context.Context, tag string, reasons []string) map[string]string {
	ways := map[string]func(dir, namespace string) []string{
		"kubectl rollout status": func(dir, ns string) []string {
			return []string{"sh", "-c", fmt.Sprintf("kubectl apply -n %s -f %s && exec kubectl rollout status -n %s deployment/app", ns, filepath.Join(dir, "k8s"), ns)}
		},
		"helm upgrade --wait": func(dir, ns string) []string {
			return []string{"helm", "upgrade", "--install", "--wait", "-n", ns, "shop", filepath.Join(dir, "chart")}
		},
	}
	texts := map[string]string{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for name, args := range ways {
		namespace, err := b.namespace(ctx)
		if err != nil {
			texts[name] = err.Error()
			continue
		}
		all.Go(func() {
			text := b.other(ctx, args(filepath.Join(b.dir, tag), namespace), namespace, reasons)
			b.progress("%s, %s: %s", tag, name, text)
			mu.Lock()
			defer mu.Unlock()
			texts[name] = text
		})
	}
	all.Wait()
	return texts
}

func (b *bench) other(ctx context.Context, args []string, namespace string, reasons []string) string {
	f, err := b.follow(ctx, namespace)
	if err != nil {
		return err.Error()
	}
	defer f.stop()
	s, err := b.run(ctx, command{args: args, bound: patience, fails: true})
	since := f.since(reasons...)
	switch {
	case err != nil:
		return err.Error()
	case since.IsZero():
		return "the status was not seen"
	case s.Exit == 0:
		return "reported as a success"
	case s.Exit == -1:
		return fmt.Sprintf("> %.0f", s.Ended.Sub(since).Seconds())
	}
	return round(s.Ended.Sub(since).Seconds())
}

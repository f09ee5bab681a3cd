package main

import (
	"context"
	"fmt"
	"time"
)

// memory measures what the stages take with more and more pods in the release.
func (b *bench) memory(ctx context.Context) error {
	t := table{
		title: "Memory and CPU with many pods in the release",
		about: "One Deployment behind one Service, maxSurge 10 %. Peak of the resident set in MB, CPU in seconds; the wall time is nearly all the cluster's.",
		head:  []string{"pods", "stage", "peak memory, MB", "CPU, s", "all, s"},
	}
	for _, n := range b.pods {
		namespace, err := b.namespace(ctx)
		if err != nil {
			return err
		}
		peak, err := b.rolloutOf(ctx, rolledOut{namespace: namespace, name: "app", pods: n, called: fmt.Sprint(n)}, &t)
		if err != nil {
			return err
		}
		if n == 1000 {
			b.report.hold("peak memory with 1,000 pods in the release", "≤ 64 MB", round(peak)+" MB", peak <= 64)
		}
		if n > b.pods[0] && (n == 1000 || b.quick) { // once more, with those as other people's pods
			few := rolledOut{namespace: namespace, name: "few", pods: b.pods[0], called: fmt.Sprintf("%d, beside %d of others", b.pods[0], n)}
			if _, err := b.rolloutOf(ctx, few, &t); err != nil {
				return err
			}
		}
		// A lab has room for 6,000 pods.
		if err := b.remove(ctx, namespace); err != nil {
			return err
		}
	}
	b.report.add(t)
	return nil
}

// rolledOut is a release whose rollout is played.
type rolledOut struct {
	namespace, name string
	pods            int
	called          string // in the table
}

// rolloutOf plays a rollout and returns the peak memory of its stages.
func (b *bench) rolloutOf(ctx context.Context, o rolledOut, t *table) (peak float64, err error) {
	dirs, err := b.versions(fmt.Sprintf("%s-%d", o.name, o.pods), func(version string) string { return app(o.name, o.pods, version) })
	if err != nil {
		return 0, err
	}
	scenes := []scene{{"apply", "v1"}, {"canary 10%", "v2"}, {"status", "v2"}, {"promote", "v2"}}
	for _, s := range scenes {
		if err := pause(ctx, time.Second); err != nil {
			return 0, err
		}
		ran, err := b.run(ctx, s.command(dirs, o.namespace, "ROLLSTEP_TIMEOUT=30m", "ROLLSTEP_RELEASE="+o.name))
		if err != nil {
			return 0, err
		}
		megabytes := series{ran}.memory().max()
		peak = max(peak, megabytes)
		b.progress("%s pods, %s: %.1f MB, CPU %.2f s, %.1f s in all", o.called, s.stage, megabytes, ran.CPU.Seconds(), ran.wall().Seconds())
		t.rows = append(t.rows, []string{o.called, s.stage, round(megabytes), round(ran.CPU.Seconds()), round(ran.wall().Seconds())})
	}
	return peak, nil
}

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
		peak, err := b.rolloutOf(ctx, n, &t)
		if err != nil {
			return err
		}
		if n == 1000 {
			b.report.hold("peak memory with 1,000 pods in the release", "≤ 64 MB", round(peak)+" MB", peak <= 64)
		}
	}
	b.report.add(t)
	return nil
}

// rolloutOf plays a rollout of n pods and returns the peak memory of its stages.
func (b *bench) rolloutOf(ctx context.Context, n int, t *table) (peak float64, err error) {
	dirs, err := b.versions(fmt.Sprintf("pods-%d", n), func(version string) string { return app(n, version) })
	if err != nil {
		return 0, err
	}
	namespace, err := b.namespace(ctx)
	if err != nil {
		return 0, err
	}
	scenes := []scene{{"apply", "v1"}, {"canary 10%", "v2"}, {"status", "v2"}, {"promote", "v2"}}
	for _, s := range scenes {
		if err := pause(ctx, time.Second); err != nil {
			return 0, err
		}
		ran, err := b.run(ctx, s.command(dirs, namespace, "ROLLSTEP_TIMEOUT=30m"))
		if err != nil {
			return 0, err
		}
		megabytes := series{ran}.memory().max()
		peak = max(peak, megabytes)
		b.progress("%d pods, %s: %.1f MB, CPU %.2f s, %.1f s in all", n, s.stage, megabytes, ran.CPU.Seconds(), ran.wall().Seconds())
		t.rows = append(t.rows, []string{fmt.Sprint(n), s.stage, round(megabytes), round(ran.CPU.Seconds()), round(ran.wall().Seconds())})
	}
	return peak, nil
}

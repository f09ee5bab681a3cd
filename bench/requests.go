package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// tolerated is how much two counts of a stage may differ by chance: what was
// written is asked for once where the watch has not told it yet.
const tolerated = 2

// requests counts what each stage asks of the API server, with ten pods and with
// many.
func (b *bench) requests(ctx context.Context) error {
	p, err := b.proxy()
	if err != nil {
		return err
	}
	defer p.close()
	many := 100
	if b.quick {
		many = 30
	}
	few, err := b.countStages(ctx, p, 10)
	if err != nil {
		return err
	}
	more, err := b.countStages(ctx, p, many)
	if err != nil {
		return err
	}
	t := table{
		title: "Requests to the API server, and bytes",
		about: "A Deployment behind a Service, as counted at a proxy: every request, watches included, but for the renewals of the lock, one every five seconds. " +
			"Bodies as they are on the wire, compressed; watches of more pods bring more bytes. " +
			"What else chance decides: whether the watch had already told what was just written (a request); whether a second look falls into the same second as the first, which the record then does not say anew (a write); and how the cluster gathers changes of endpoints (bytes).",
		head: []string{"", "requests, 10 pods", fmt.Sprintf("requests, %d pods", many), "of them writes", "KiB received, 10 pods", fmt.Sprintf("KiB received, %d pods", many), "KiB sent"},
	}
	constant := true
	for _, s := range rollout {
		f, m := few[s.stage], more[s.stage]
		t.rows = append(t.rows, []string{"rollstep " + s.stage, fmt.Sprint(f.steady()), fmt.Sprint(m.steady()), fmt.Sprint(f.writes), kib(f.received), kib(m.received), kib(f.sent)})
		constant = constant && max(f.steady(), m.steady())-min(f.steady(), m.steady()) <= tolerated
	}
	if err := b.countOthers(ctx, p, &t); err != nil {
		return err
	}
	b.report.add(t)
	canary := max(few["canary 10%"].steady(), more["canary 10%"].steady())
	b.report.hold("API requests of canary on the article's example, watches included", "≤ 40", fmt.Sprint(canary), canary <= 40)
	verdict := "the same for each stage, give or take two"
	if !constant {
		verdict = "not the same"
	}
	b.report.hold(fmt.Sprintf("requests with 10 and with %d pods", many), "the same", verdict, constant)
	return nil
}

func kib(n int64) string { return round(float64(n) / 1024) }

// countStages plays a rollout through the proxy.
func (b *bench) countStages(ctx context.Context, p *proxy, pods int) (map[string]tally, error) {
	dirs, err := b.versions(fmt.Sprintf("counted-%d", pods), func(version string) string { return app("app", pods, version) })
	if err != nil {
		return nil, err
	}
	namespace, err := b.namespace(ctx)
	if err != nil {
		return nil, err
	}
	tallies := map[string]tally{}
	for _, s := range rollout {
		p.take()
		if _, err := b.run(ctx, s.command(dirs, namespace).through(p)); err != nil {
			return nil, err
		}
		tallies[s.stage] = p.take()
		b.progress("%d pods, %s: %d requests", pods, s.stage, tallies[s.stage].requests)
	}
	return tallies, nil
}

// countOthers counts the same of the other tools, for the first release.
func (b *bench) countOthers(ctx context.Context, p *proxy, t *table) error {
	dir := filepath.Join(b.dir, "counted-10-v1")
	for _, way := range []struct {
		name string
		args func(namespace string) []string
	}{
		{"kubectl apply, then rollout status", func(ns string) []string {
			return []string{"sh", "-c", fmt.Sprintf("kubectl apply -n %s -f %s && kubectl rollout status -n %s deployment/app", ns, filepath.Join(dir, "k8s"), ns)}
		}},
		{helmUI, func(ns string) []string { return tools[len(tools)-1].apply(dir, ns).args }},
	} {
		namespace, err := b.namespace(ctx)
		if err != nil {
			return err
		}
		// What kubectl has cached of the server before must not count.
		if err := os.RemoveAll(filepath.Join(b.dir, ".kube")); err != nil {
			return err
		}
		p.take()
		if _, err := b.run(ctx, command{args: way.args(namespace)}.through(p)); err != nil {
			return err
		}
		n := p.take()
		t.rows = append(t.rows, []string{way.name, fmt.Sprint(n.requests), "", fmt.Sprint(n.writes), kib(n.received), "", kib(n.sent)})
	}
	return nil
}

// size measures what a job pays before it does anything.
func (b *bench) size(ctx context.Context) error {
	p, err := b.proxy()
	if err != nil {
		return err
	}
	defer p.close()
	namespace, err := b.namespace(ctx)
	if err != nil {
		return err
	}
	t := table{
		title: "Start, and size",
		about: "From the start of the process to its first request to the API server. An image is the binary, a static busybox and certificates: about 2 MB more than the binary (a test builds it and holds 30 MB unpacked, with the busybox of its machine).",
		head:  []string{"", "to the first request, s", "CPU of the run, s", "peak memory, MB", "binary, MB"},
	}
	for _, c := range [][]string{
		{"rollstep", "status"}, {"kubectl", "get", "configmaps", "-n", namespace}, {"helm", "list", "-n", namespace},
	} {
		var first values
		var runs series
		for range 2 * b.rounds {
			p.take()
			if err := pause(ctx, 100*time.Millisecond); err != nil {
				return err
			}
			s, err := b.run(ctx, command{args: c, env: []string{"KUBE_NAMESPACE=" + namespace}}.through(p))
			if err != nil {
				return err
			}
			first, runs = insert(first, p.take().first.Sub(s.Began).Seconds()), append(runs, s)
		}
		info, err := os.Stat(filepath.Join(b.bin, c[0]))
		if err != nil {
			return err
		}
		megabytes := float64(info.Size()) / 1e6
		t.rows = append(t.rows, []string{command{args: c[:2]}.String(), first.spread(""), round(runs.cpu().median()), round(runs.memory().max()), round(megabytes)})
		if c[0] == "rollstep" {
			b.report.hold("binary, stripped", "≤ 25 MB", round(megabytes)+" MB", megabytes <= 25)
			b.report.hold("image (the binary and about 2 MB)", "≤ 30 MB", "about "+round(megabytes+2)+" MB", megabytes+2 <= 30)
		}
	}
	b.report.add(t)
	return nil
}

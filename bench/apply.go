package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// tool is a way to bring manifests live: the commands for manifests in dir (all
// of them in one file, and as a Helm chart) and a namespace.
type tool struct {
	name  string
	apply func(dir, namespace string) command
}

const (
	rollstep = "rollstep apply"
	limit    = "bare loop (the limit)"
	clientKA = "kubectl apply"
	serverKA = "kubectl apply --server-side"
	helmUI   = "helm upgrade --install --wait"
)

var tools = []tool{
	{rollstep, func(dir, ns string) command {
		return command{args: []string{"rollstep", "apply"}, env: []string{"ROLLSTEP_MANIFESTS=" + filepath.Join(dir, "k8s"), "KUBE_NAMESPACE=" + ns}}
	}},
	{limit, func(dir, ns string) command {
		return command{args: []string{"bench", "bare", filepath.Join(dir, "k8s", "all.yaml"), ns}}
	}},
	{serverKA, func(dir, ns string) command {
		return command{args: []string{"kubectl", "apply", "--server-side", "-n", ns, "-f", filepath.Join(dir, "k8s")}}
	}},
	{clientKA, func(dir, ns string) command {
		return command{args: []string{"kubectl", "apply", "-n", ns, "-f", filepath.Join(dir, "k8s")}}
	}},
	{helmUI, func(dir, ns string) command {
		return command{args: []string{"helm", "upgrade", "--install", "--wait", "-n", ns, "shop", filepath.Join(dir, "chart")}}
	}},
}

// release writes manifests for all tools and returns their directory.
func (b *bench) release(name, manifests string) (string, error) {
	chart := fmt.Sprintf("apiVersion: v2\nname: shop\nversion: 1.0.0\ndescription: %s\n", name)
	for path, text := range map[string]string{
		"k8s/all.yaml": manifests, "chart/Chart.yaml": chart, "chart/templates/all.yaml": manifests,
	} {
		if _, err := b.writeFile(filepath.Join(name, path), text); err != nil {
			return "", err
		}
	}
	return filepath.Join(b.dir, name), nil
}

// slow is how long the runs of one command of a size may take in all before it
// is run less often than the others: minutes for the same number again.
const slow = 75 * time.Second

// applyObjects measures how long it takes to bring many small objects live, and
// to see that all of them are.
func (b *bench) applyObjects(ctx context.Context) error {
	growth := table{
		title: "How the cost of applying grows with the number of objects",
		head:  []string{"objects", "rollstep, first, s", "ms an object", "again, s", "ms an object", "bare loop, first, s", "again, s"},
	}
	for _, n := range b.objects {
		dir, err := b.release(fmt.Sprintf("objects-%d", n), mixed(n))
		if err != nil {
			return err
		}
		first, again := map[string]series{}, map[string]series{}
		for round := range b.rounds {
			for i := range tools {
				t := tools[(i+round)%len(tools)]
				if took := total(first[t.name]) + total(again[t.name]); took > slow {
					continue
				}
				one, two, err := b.applyTwice(ctx, t, dir)
				if err != nil {
					return err
				}
				b.progress("%d objects, %s: %.2f s, unchanged %.2f s", n, t.name, one.wall().Seconds(), two.wall().Seconds())
				first[t.name], again[t.name] = append(first[t.name], one), append(again[t.name], two)
			}
		}
		b.report.add(objectTable(n, first, again))
		growth.rows = append(growth.rows, growthRow(n, first, again))
		if n == 1000 {
			b.holdObjects(n, first, again)
		}
	}
	b.report.add(growth)
	return nil
}

func growthRow(n int, first, again map[string]series) []string {
	row := []string{fmt.Sprint(n)}
	for _, runs := range []map[string]series{first, again} {
		median := runs[rollstep].seconds().median()
		row = append(row, round(median), round(1000*median/float64(n)))
	}
	return append(row, round(first[limit].seconds().median()), round(again[limit].seconds().median()))
}

func total(s series) time.Duration {
	var sum time.Duration
	for _, one := range s {
		sum += one.wall()
	}
	return sum
}

// applyTwice applies manifests to a new namespace, and again.
func (b *bench) applyTwice(ctx context.Context, t tool, dir string) (first, again sample, err error) {
	namespace, err := b.namespace(ctx)
	if err != nil {
		return first, again, err
	}
	for _, s := range []*sample{&first, &again} {
		if err := pause(ctx, time.Second); err != nil {
			return first, again, err
		}
		if *s, err = b.run(ctx, t.apply(dir, namespace)); err != nil {
			return first, again, err
		}
	}
	return first, again, nil
}

func objectTable(n int, first, again map[string]series) table {
	t := table{
		title: fmt.Sprintf("Applying small objects: %d", n),
		about: "Seconds: median (fastest–slowest), then how many times as long as rollstep takes. \"Again\": the same manifests once more, nothing changed.",
		head:  []string{"", "first, s", "", "again, s", "", "runs", "CPU first, s", "peak memory, MB"},
	}
	for _, tool := range tools {
		f, a := first[tool.name], again[tool.name]
		t.rows = append(t.rows, []string{
			tool.name, f.seconds().spread(""), times(f.seconds().median() / first[rollstep].seconds().median()),
			a.seconds().spread(""), times(a.seconds().median() / again[rollstep].seconds().median()),
			fmt.Sprint(len(f)), round(f.cpu().median()), round(append(f, a...).memory().max()),
		})
	}
	return t
}

func (b *bench) holdObjects(n int, first, again map[string]series) {
	ratio := func(runs map[string]series, over, under string) float64 {
		return runs[over].seconds().median() / runs[under].seconds().median()
	}
	what := fmt.Sprintf("applying %d objects", n)
	atMost := func(what, bar string, got, limit float64) { b.report.hold(what, bar, times(got), got <= limit) }
	atLeast := func(what, bar string, got, limit float64) { b.report.hold(what, bar, times(got), got >= limit) }
	atMost(what+", first, everything dry-run before", "≤ 2.5 × the bare loop", ratio(first, rollstep, limit), 2.5)
	atMost(what+", unchanged", "≤ 1.5 × the bare loop", ratio(again, rollstep, limit), 1.5)
	atLeast(what+", first", "≥ 20 × faster than kubectl apply", ratio(first, clientKA, rollstep), 20)
	atLeast(what+", unchanged", "≥ 20 × faster than kubectl apply", ratio(again, clientKA, rollstep), 20)
	atLeast(what+", first", "≥ 2 × faster than helm", ratio(first, helmUI, rollstep), 2)
	atLeast(what+", unchanged", "≥ 2 × faster than helm", ratio(again, helmUI, rollstep), 2)
}

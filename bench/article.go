package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// article reads the manifests of examples/staged: ten pods behind a Service.
func article() (string, error) {
	var text string
	for _, name := range []string{"deploy.yaml", "service.yaml"} {
		one, err := os.ReadFile(filepath.Join("..", "examples", "staged", "k8s", name))
		if os.IsNotExist(err) {
			one, err = os.ReadFile(filepath.Join("examples", "staged", "k8s", name))
		}
		if err != nil {
			return "", fmt.Errorf("run it in the repository: %w", err)
		}
		text += "---\n" + string(one)
	}
	return text, nil
}

// applyArticle measures how long it takes to bring the example's release live and
// to know that its pods serve.
func (b *bench) applyArticle(ctx context.Context) error {
	manifests, err := article()
	if err != nil {
		return err
	}
	dir, err := b.release("article", manifests)
	if err != nil {
		return err
	}
	const both = "kubectl apply, then rollout status"
	ways := []tool{tools[0], {both, func(dir, ns string) command {
		return command{args: []string{"sh", "-c", fmt.Sprintf("kubectl apply -n %s -f %s && kubectl rollout status -n %s deployment/app", ns, filepath.Join(dir, "k8s"), ns)}}
	}}, tools[len(tools)-1]}
	runs := map[string]series{}
	for round := range b.rounds {
		for i := range ways {
			way := ways[(i+round)%len(ways)]
			namespace, err := b.namespace(ctx)
			if err != nil {
				return err
			}
			if err := pause(ctx, 500*time.Millisecond); err != nil {
				return err
			}
			s, err := b.run(ctx, way.apply(dir, namespace))
			if err != nil {
				return err
			}
			b.progress("the article's release, %s: %.2f s", way.name, s.wall().Seconds())
			runs[way.name] = append(runs[way.name], s)
		}
	}
	t := table{
		title: "Bringing the article's release live, until its ten pods are ready",
		about: "The pods themselves take half a second or more of it. rollstep also waits until they are endpoints of the Service, and keeps the release for a rollback.",
		head:  []string{"", "s", "", "CPU, s", "peak memory, MB"},
	}
	for _, way := range ways {
		r := runs[way.name]
		t.rows = append(t.rows, []string{way.name, r.seconds().spread(""), times(r.seconds().median() / runs[rollstep].seconds().median()), round(r.cpu().median()), round(r.memory().max())})
	}
	b.report.add(t)
	return nil
}

package step

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gitlab.com/rollstep/rollstep/internal/canary"
	"gitlab.com/rollstep/rollstep/internal/rollout"
)

// reportShares prints the achieved share of each track's Services beside the
// one asked for, as measured, and the verdict.
func (r *run) reportShares(tracks []track) {
	v := r.watcher.View()
	rows := [][]string{{"SERVICE", "ASKED", "ACHIEVED", "STABLE PODS", "CANARY PODS"}}
	var verdicts []string
	for _, t := range tracks {
		stable, preview := v.Deployment(t.stable.Namespace, t.stable.Name), v.Deployment(t.canary.Namespace, t.canary.Name)
		asked := fmt.Sprintf("%d %%", r.Weight)
		if r.Replicas != nil {
			asked = fmt.Sprintf("%d pods", *r.Replicas)
		}
		if preview == nil || stable == nil {
			continue
		}
		for _, s := range t.canaryServices {
			serving := v.Serving(t.stable.Namespace, s)
			share := serving.Share(preview)
			rows = append(rows, []string{s, asked, fmt.Sprintf("%.1f %%", share),
				fmt.Sprint(serving.By[stable.UID]), fmt.Sprint(serving.By[preview.UID])})
			verdicts = append(verdicts, fmt.Sprintf("%s has %.1f %% of Service %s", t.canary.Name, share, s))
		}
		if t.goal.Canary == 0 {
			verdicts = []string{fmt.Sprintf("%s runs no pod", t.canary.Name)}
		} else if len(t.canaryServices) == 0 {
			verdicts = append(verdicts, fmt.Sprintf("%s runs %d pods (no Service reaches it)", t.canary.Name, t.goal.Canary))
		}
		r.explainShare(t)
	}
	if len(rows) > 1 {
		r.log.Table(rows)
	}
	for namespace, names := range r.previews(tracks) {
		for _, name := range names {
			r.log.Printf("preview: Service %s (namespace %s) reaches only the canary", name, namespace)
		}
	}
	if !slices.ContainsFunc(tracks, func(t track) bool { return t.goal.Canary > 0 }) {
		r.verdict("no canary pod runs: %s. Next: another weight, or rollback", strings.Join(verdicts, "; "))
		return
	}
	r.verdict("canary is healthy: %s. Next: promote, another weight, or rollback", strings.Join(verdicts, "; "))
}

// explainShare says why the share cannot be what was asked for.
func (r *run) explainShare(t track) {
	switch {
	case t.autoscaled:
		r.log.Note("%s is autoscaled: %d canary pods come on top of its %d, which makes %.1f %%", t.stable.Name, t.goal.Canary, t.goal.Stable, t.expected())
	case t.wanted == 1 && t.goal.Total() == 2:
		r.log.Note("%s has a single pod: one canary pod runs beside it, which makes 50 %%", t.stable.Name)
	case r.Replicas == nil && t.goal.Total() > 0 && abs(t.expected()-float64(r.Weight)) >= 1:
		r.log.Note("%s has %d pods: %d canary pods (%.1f %%) are the nearest to %d %%", t.stable.Name, t.wanted, t.goal.Canary, t.expected(), r.Weight)
	}
}

func abs(x float64) float64 { return max(x, -x) }

// previews are the preview Services of tracks, by namespace.
func (r *run) previews(tracks []track) map[string][]string {
	if r.Preview == "" {
		return nil
	}
	names := map[string][]string{}
	for _, t := range tracks {
		for _, s := range t.canaryServices {
			if n := canary.Name(s); !slices.Contains(names[t.stable.Namespace], n) {
				names[t.stable.Namespace] = append(names[t.stable.Namespace], n)
			}
		}
	}
	return names
}

// reportServing says of each Service what serves now.
func (r *run) reportServing() {
	if r.watcher == nil {
		return
	}
	// Said also after a signal or a failure.
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	for _, namespace := range slices.Sorted(maps.Keys(r.viewed)) {
		list, err := r.services(ctx, namespace)
		if err != nil {
			r.log.Note("what serves now cannot be told: %v", err)
			return
		}
		for _, s := range list {
			if r.options.Owns(s) {
				continue
			}
			for _, line := range serving(r.watcher.View(), namespace, s.GetName()) {
				r.log.Printf("Service %s: %s", s.GetName(), line)
			}
		}
	}
}

// serving tells which image has how many of a Service's ready endpoints, a line
// each: "9 of 10 pods (90.0 %) serve app:v1".
func serving(v *rollout.View, namespace, service string) []string {
	byImage := v.ImagesServing(namespace, service)
	total := 0
	for _, n := range byImage {
		total += n
	}
	var lines []string
	for _, image := range slices.Sorted(maps.Keys(byImage)) {
		n := byImage[image]
		lines = append(lines, fmt.Sprintf("%d of %d pods (%.1f %%) serve %s", n, total, 100*float64(n)/float64(total), image))
	}
	return lines
}

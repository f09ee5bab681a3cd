package step

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"gitlab.com/rollstep/rollstep/internal/canary"
	"gitlab.com/rollstep/rollstep/internal/gitlab"
	"gitlab.com/rollstep/rollstep/internal/rollout"
)

// reportShares prints the achieved share of each track's Services beside the
// one asked for, as measured, and the verdict.
func (r *run) reportShares(ctx context.Context, tracks []track) {
	v := r.watcher.View()
	rows := [][]string{{"SERVICE", "ASKED", "ACHIEVED", "STABLE", "CANARY"}}
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
			r.reportAchieved(t, s, share, serving.Total)
			rows = append(rows, []string{s, asked, fmt.Sprintf("%.1f %%", share),
				podsOf(v, stable, serving), podsOf(v, preview, serving)})
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
	r.reportPreviews(ctx, tracks)
	if !slices.ContainsFunc(tracks, func(t track) bool { return t.goal.Canary > 0 }) {
		r.verdict("another weight, or rollback", "no canary pod runs: %s", strings.Join(verdicts, "; "))
		return
	}
	r.verdict("promote, another weight, or rollback", "canary is healthy: %s", strings.Join(verdicts, "; "))
}

// podsOf says how many of a Service's endpoints are a Deployment's: "9 pods of
// v1", of two versions while it replaces its pods.
func podsOf(v *rollout.View, d *appsv1.Deployment, serving rollout.Serving) string {
	n := serving.By[d.UID]
	of := slices.Sorted(maps.Keys(v.ReadyByVersion(d)))
	if n == 0 || len(of) == 0 {
		return "none"
	}
	pods := "pods"
	if n == 1 {
		pods = "pod"
	}
	return fmt.Sprintf("%d %s of %s", n, pods, strings.Join(of, " and "))
}

// reportAchieved holds the share that a Service gives the canary against the one
// that the counts mean: apart by a pod or more, something else serves too.
func (r *run) reportAchieved(t track, service string, share float64, endpoints int) {
	r.report.Asked, r.report.Achieved = r.asked(t), &share
	failure := ""
	if endpoints > 0 && abs(share-t.expected()) >= 100/float64(endpoints) {
		failure = fmt.Sprintf("the canary has %.1f %% of Service %s, its pods alone would make %.1f %%", share, service, t.expected())
		r.warn(failure + ": other pods are ready behind it, or not all of these are")
	}
	r.checked(fmt.Sprintf("Service %s gives the canary the share that its pods make", service), failure, 0)
}

// checkRestarts says which canaries are healthy only after restarts.
func (r *run) checkRestarts(tracks []track) {
	v := r.watcher.View()
	for _, t := range tracks {
		d := v.Deployment(t.canary.Namespace, t.canary.Name)
		if d == nil || t.goal.Canary == 0 {
			continue
		}
		restarts := restartsOf(v.Pods(d), r.before)
		failure := ""
		if restarts > 0 {
			failure = fmt.Sprintf("containers of %s restarted during this stage (%d times)", t.canary.Name, restarts)
			r.warn(failure)
		}
		r.checked(fmt.Sprintf("no container of %s restarted", t.canary.Name), failure, 0)
	}
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

// reportServing says of each Service of the release what serves now.
func (r *run) reportServing() {
	if r.watcher == nil {
		return
	}
	r.report.Serving = r.whatServes()
	for _, s := range r.report.Serving {
		if len(s.Shares) == 0 {
			r.log.Printf("Service %s: no pod is ready", s.Service)
		}
		total := 0
		for _, image := range s.Shares {
			total += image.Pods
		}
		for _, image := range s.Shares {
			r.log.Printf("Service %s: %d of %d pods (%.1f %%) serve %s", s.Service, image.Pods, total, image.Percent, image.Image)
		}
	}
}

// whatServes tells which images serve behind each Service of the release, also
// after a signal or a failure.
func (r *run) whatServes() []gitlab.Serving {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	v := r.watcher.View()
	var all []gitlab.Serving
	for _, namespace := range slices.Sorted(maps.Keys(r.viewed)) {
		list, err := r.services(ctx, namespace)
		if err != nil {
			r.log.Note("what serves now cannot be told: %v", err)
			return all
		}
		for _, s := range list {
			if r.options.Owns(s) || !r.reaches(v, s) {
				continue
			}
			name := s.GetName()
			if namespace != r.namespace {
				name = namespace + "/" + name
			}
			all = append(all, gitlab.Serving{Service: name, Shares: imageShares(v, namespace, s.GetName())})
		}
	}
	return all
}

// reaches says whether a Service reaches a workload of the release.
func (r *run) reaches(v *rollout.View, service *unstructured.Unstructured) bool {
	return slices.ContainsFunc(r.report.timelines, func(t *timeline) bool {
		d := v.Deployment(t.stable.Namespace, t.stable.Name)
		if d == nil {
			d = v.Deployment(t.stable.Namespace, canary.Name(t.stable.Name))
		}
		return d != nil && d.Namespace == service.GetNamespace() &&
			len(selecting([]*unstructured.Unstructured{service}, d.Spec.Template.Labels)) > 0
	})
}

// imageShares tells which image has how many of a Service's ready endpoints.
func imageShares(v *rollout.View, namespace, service string) []gitlab.ImageShare {
	byImage := v.ImagesServing(namespace, service)
	total := 0
	for _, n := range byImage {
		total += n
	}
	var shares []gitlab.ImageShare
	for _, image := range slices.Sorted(maps.Keys(byImage)) {
		n := byImage[image]
		shares = append(shares, gitlab.ImageShare{Image: image, Pods: n, Percent: 100 * float64(n) / float64(total)})
	}
	return shares
}

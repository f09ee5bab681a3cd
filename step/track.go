package step

import (
	"fmt"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"gitlab.com/rollstep/rollstep/internal/canary"
	"gitlab.com/rollstep/rollstep/internal/hint"
	"gitlab.com/rollstep/rollstep/internal/record"
	"gitlab.com/rollstep/rollstep/internal/split"
)

// track is a workload on its way: both of its Deployments, and the counts that
// they are to have.
type track struct {
	stable, canary record.Object
	part           canary.Part // empty when a rollout is undone

	wanted     int  // pods on both tracks together
	was        int  // stable's count before the rollout
	autoscaled bool // an HPA decides the stable's count
	now, goal  split.Counts
	limits     split.Limits
	noRoom     bool // no pod can be created before another one is gone

	stableServices, canaryServices []string
}

// track decides how many pods each track of a part gets.
func (r *run) track(p canary.Part, around canary.Surroundings) (track, error) {
	t := track{part: p, stable: objectOf(p.Manifest)}
	t.canary = t.stable
	t.canary.Name = canary.Name(t.stable.Name)
	live, _ := canary.Replicas(p.Live)
	existing := r.canaryOf(p, around)
	t.now = split.Counts{Stable: live}
	t.now.Canary, _ = canary.Replicas(existing)
	t.was = r.wasReplicas(t.stable, existing, live)
	t.autoscaled = canary.Autoscaler(p.Manifest, around.Autoscalers) != nil

	var says bool
	switch t.wanted, says = canary.Replicas(p.Manifest); {
	case t.autoscaled:
		t.wanted = live
	case !says:
		t.wanted = t.was
	default: // a lower count comes with promote: nothing is tested yet
		t.wanted = max(t.wanted, t.was)
	}
	count := split.Canary(t.wanted, int(r.Weight))
	if r.Replicas != nil {
		count = int(*r.Replicas)
		if count > t.wanted {
			return t, hint.Errorf("Ask for fewer, or raise the Deployment's replicas",
				"ROLLSTEP_CANARY_REPLICAS asks for %d canary pods, but Deployment %s has %d pods in all", count, t.stable.Name, t.wanted)
		}
	}
	t.goal = split.Goal(t.wanted, count, r.Replicas == nil && r.Weight == 100)
	if t.autoscaled {
		t.goal = split.Counts{Stable: live, Canary: count}
	}
	_, surge, unavailable := canary.Strategy(p.Manifest)
	limits, err := split.Bounds(t.wanted, surge, unavailable)
	if err != nil {
		return t, fmt.Errorf("strategy of Deployment %s: %w", t.stable.Name, err)
	}
	if t.autoscaled {
		limits = split.Limits{Most: t.goal.Total(), Least: 0}
	}
	t.limits = limits
	t.stableServices = selecting(around.Services, canary.PodLabels(p.Live))
	for _, s := range r.options.Reaching(p, around.Services) {
		t.canaryServices = append(t.canaryServices, s.GetName())
	}
	return t, nil
}

// canaryOf is the live canary Deployment of a part, or nil.
func (r *run) canaryOf(p canary.Part, around canary.Surroundings) *unstructured.Unstructured {
	i := slices.IndexFunc(around.Deployments, func(d *unstructured.Unstructured) bool {
		return d.GetName() == canary.Name(p.Manifest.GetName()) && r.options.Owns(d)
	})
	if i < 0 {
		return nil
	}
	return around.Deployments[i]
}

// wasReplicas is the stable's replica count before the rollout in flight, by
// the record, else by the canary's annotation; without a rollout the live one.
func (r *run) wasReplicas(stable record.Object, existing *unstructured.Unstructured, live int) int {
	if r.record.InFlight() {
		for _, w := range r.record.Rollout.Workloads {
			if w.Object == stable {
				return w.Was
			}
		}
	}
	if existing != nil {
		if was, err := strconv.Atoi(existing.GetAnnotations()[canary.WasAnnotation]); err == nil {
			return was
		}
	}
	return live
}

// expected is the share of traffic that the goal means, in percent.
func (t track) expected() float64 {
	if t.goal.Total() == 0 {
		return 0
	}
	return 100 * float64(t.goal.Canary) / float64(t.goal.Total())
}

func (t track) stableTarget(count int) target {
	return target{Object: t.stable, services: t.stableServices, replicas: &count}
}

func (t track) canaryTarget(count int) target {
	return target{Object: t.canary, services: t.canaryServices, replicas: &count}
}

package step

import (
	"cmp"
	"maps"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"gitlab.com/rollstep/rollstep/internal/canary"
	"gitlab.com/rollstep/rollstep/internal/gitlab"
	"gitlab.com/rollstep/rollstep/internal/record"
	"gitlab.com/rollstep/rollstep/internal/rollout"
)

// maxSamples of a timeline are kept; beyond them every other one goes.
const maxSamples = 600

// timeline samples the pods of one workload whenever the view is looked at.
type timeline struct {
	stable record.Object
	gitlab.Timeline
}

// follow begins the timelines of workloads, once for each.
func (r *run) follow(workloads ...record.Object) {
	for _, w := range workloads {
		if w.Kind == "Deployment" && r.timelineOf(w) == nil {
			r.report.timelines = append(r.report.timelines, &timeline{stable: w, Timeline: gitlab.Timeline{Workload: w.Kind + " " + w.Name}})
		}
	}
}

// expect draws into a track's timeline how many pods are wanted, and the share
// that is asked for.
func (r *run) expect(t track, asked *float64) {
	r.follow(t.stable)
	if line := r.timelineOf(t.stable); line != nil {
		line.Wanted, line.Asked = t.wanted, cmp.Or(asked, line.Asked)
	}
}

func (r *run) timelineOf(w record.Object) *timeline {
	for _, t := range r.report.timelines {
		if t.stable == w {
			return t
		}
	}
	return nil
}

// sample adds what the view shows to every timeline.
func (r *run) sample(v *rollout.View) {
	for _, t := range r.report.timelines {
		if !r.viewed[t.stable.Namespace] {
			continue
		}
		stable := v.Deployment(t.stable.Namespace, t.stable.Name)
		preview := v.Deployment(t.stable.Namespace, canary.Name(t.stable.Name))
		if stable == nil {
			continue
		}
		t.add(time.Now(), v, stable, preview)
	}
}

func (t *timeline) add(at time.Time, v *rollout.View, stable, preview *appsv1.Deployment) {
	s := gitlab.Sample{At: at, Achieved: v.Achieved(stable, preview), Ready: make([]int, len(t.Series))}
	t.count(&s, v.ReadyByVersion(stable), false)
	if preview != nil {
		t.count(&s, v.ReadyByVersion(preview), true)
	}
	if n := len(t.Samples); n > 0 && same(t.Samples[n-1], s) {
		return
	}
	t.Samples = append(t.Samples, s)
	if len(t.Samples) > maxSamples {
		kept := t.Samples[:1]
		for i := 2; i < len(t.Samples); i += 2 {
			kept = append(kept, t.Samples[i])
		}
		t.Samples = kept
	}
}

func (t *timeline) count(s *gitlab.Sample, ready map[string]int, canary bool) {
	for _, version := range slices.Sorted(maps.Keys(ready)) {
		i := slices.Index(t.Series, gitlab.Series{Version: version, Canary: canary})
		if i < 0 {
			i = len(t.Series)
			t.Series = append(t.Series, gitlab.Series{Version: version, Canary: canary})
			s.Ready = append(s.Ready, 0)
		}
		s.Ready[i] = ready[version]
	}
}

func same(a, b gitlab.Sample) bool {
	if len(a.Ready) != len(b.Ready) || (a.Achieved == nil) != (b.Achieved == nil) {
		return false
	}
	return slices.Equal(a.Ready, b.Ready) && (a.Achieved == nil || *a.Achieved == *b.Achieved)
}

// moved are the timelines in which something happened, each with its last state
// drawn out to the end.
func (r *report) moved(end time.Time) []gitlab.Timeline {
	var list []gitlab.Timeline
	for _, t := range r.timelines {
		if len(t.Samples) < 2 {
			continue
		}
		last := t.Samples[len(t.Samples)-1]
		last.At = end
		t.Samples = append(t.Samples, last)
		list = append(list, t.Timeline)
	}
	return list
}

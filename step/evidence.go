package step

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"gitlab.com/rollstep/rollstep/internal/cluster"
	"gitlab.com/rollstep/rollstep/internal/record"
)

// evidence is what is known of one track since the canary began: what the
// person at the gate decides by.
type evidence struct {
	name, track string
	pods        []*corev1.Pod
	restarts    int
	warnings    []string // of events, equal ones once
	sampled     int      // pods whose logs were read
	errors      int      // lines that look like errors in these
	lines       []string // some of them
}

const (
	sampledPods = 5 // per track: logs are the expensive part
	sampleLines = 3
	logBytes    = 512 << 10
)

// looksLikeError is deliberately simple: what it finds is a reason to look, and
// both tracks are counted in the same way.
var looksLikeError = regexp.MustCompile(`(?i)\b(error|fatal|panic|exception|critical)\b`)

// gather collects the evidence of both tracks of a rollout that began at since.
func (r *run) gather(ctx context.Context, tracks []track, since time.Time) []*evidence {
	v := r.watcher.View()
	events := r.warningsSince(ctx, since)
	var all []*evidence
	for _, t := range tracks {
		for _, side := range []struct {
			object record.Object
			track  string
		}{{t.stable, "stable"}, {t.canary, "canary"}} {
			d := v.Deployment(side.object.Namespace, side.object.Name)
			if d == nil {
				continue
			}
			e := &evidence{name: d.Name, track: side.track, pods: alive(v.Pods(d))}
			e.restarts = restartsSince(e.pods, since)
			e.warnings = warningsOf(events, e.pods, d.UID)
			all = append(all, e)
		}
	}
	r.readLogs(ctx, all, since)
	return all
}

func alive(pods []*corev1.Pod) []*corev1.Pod {
	return slices.DeleteFunc(slices.Clone(pods), func(p *corev1.Pod) bool { return p.DeletionTimestamp != nil })
}

// restartsSince counts the restarts of containers since a time, as far as their
// status tells: of older pods only whether the last one was since.
func restartsSince(pods []*corev1.Pod, since time.Time) int {
	n := 0
	for _, p := range pods {
		for _, c := range p.Status.ContainerStatuses {
			switch ended := c.LastTerminationState.Terminated; {
			case p.CreationTimestamp.After(since):
				n += int(c.RestartCount)
			case ended != nil && ended.FinishedAt.After(since):
				n++
			}
		}
	}
	return n
}

func (r *run) warningsSince(ctx context.Context, since time.Time) []*corev1.Event {
	var events []*corev1.Event
	for namespace := range r.viewed {
		list, err := r.cluster.Dynamic.Resource(corev1.SchemeGroupVersion.WithResource("events")).Namespace(namespace).
			List(ctx, metav1.ListOptions{FieldSelector: "type=" + corev1.EventTypeWarning, Limit: 2000})
		if err != nil {
			r.log.Note("events cannot be read: %v", cluster.Explain(err))
			continue
		}
		for _, item := range list.Items {
			e := &corev1.Event{}
			if runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, e) == nil && lastSeen(e).After(since) {
				events = append(events, e)
			}
		}
	}
	return events
}

func lastSeen(e *corev1.Event) time.Time {
	seen := e.LastTimestamp.Time
	for _, t := range []time.Time{e.EventTime.Time, e.CreationTimestamp.Time} {
		if t.After(seen) {
			seen = t
		}
	}
	if e.Series != nil && e.Series.LastObservedTime.After(seen) {
		seen = e.Series.LastObservedTime.Time
	}
	return seen
}

// warningsOf are the events about a Deployment, its ReplicaSets and pods.
func warningsOf(events []*corev1.Event, pods []*corev1.Pod, deployment types.UID) []string {
	about := map[types.UID]bool{deployment: true}
	for _, p := range pods {
		about[p.UID] = true
		if ref := metav1.GetControllerOfNoCopy(p); ref != nil {
			about[ref.UID] = true
		}
	}
	counts := map[string]int{}
	for _, e := range events {
		if about[e.InvolvedObject.UID] {
			counts[e.Reason]++
		}
	}
	var list []string
	for reason, n := range counts {
		list = append(list, fmt.Sprintf("%s (%d)", reason, n))
	}
	slices.Sort(list)
	return list
}

// readLogs counts error-looking lines in the logs of some pods of each track,
// over the same time.
func (r *run) readLogs(ctx context.Context, all []*evidence, since time.Time) {
	var mu sync.Mutex
	type read struct {
		e   *evidence
		pod *corev1.Pod
	}
	var reads []read
	for _, e := range all {
		for _, p := range e.pods[:min(len(e.pods), sampledPods)] {
			reads = append(reads, read{e, p})
		}
	}
	for _, err := range cluster.Each(len(reads), func(i int) error {
		e, pod := reads[i].e, reads[i].pod
		for _, c := range pod.Spec.Containers {
			body, err := r.cluster.Raw(ctx, "/api/v1/namespaces/"+pod.Namespace+"/pods/"+pod.Name+"/log", url.Values{
				"container": {c.Name}, "limitBytes": {fmt.Sprint(logBytes)},
				"sinceTime": {since.UTC().Format(time.RFC3339)},
			})
			if err != nil {
				return fmt.Errorf("the log of pod %s: %w", pod.Name, err)
			}
			mu.Lock()
			e.count(string(body))
			mu.Unlock()
		}
		mu.Lock()
		e.sampled++
		mu.Unlock()
		return nil
	}) {
		if err != nil {
			r.log.Note("not all logs can be read: %v", err)
			return
		}
	}
}

// count adds the error-looking lines of a log.
func (e *evidence) count(log string) {
	for line := range strings.Lines(log) {
		if !looksLikeError.MatchString(line) {
			continue
		}
		e.errors++
		if line = strings.TrimSpace(line); len(e.lines) < sampleLines && !slices.Contains(e.lines, line) {
			e.lines = append(e.lines, line[:min(len(line), 200)])
		}
	}
}

// reportEvidence prints both tracks side by side.
func (r *run) reportEvidence(ctx context.Context, tracks []track, since time.Time) {
	all := r.gather(ctx, tracks, since)
	if len(all) == 0 {
		return
	}
	r.log.Printf("since the canary began, %s ago:", time.Since(since).Round(time.Second))
	rows := [][]string{{"DEPLOYMENT", "TRACK", "PODS", "RESTARTS", "WARNING EVENTS", "ERROR-LOOKING LOG LINES"}}
	for _, e := range all {
		warnings := strings.Join(e.warnings, ", ")
		if warnings == "" {
			warnings = "none"
		}
		lines := "no log read"
		if e.sampled > 0 {
			lines = fmt.Sprintf("%d in %d pods", e.errors, e.sampled)
			if e.sampled == 1 {
				lines = fmt.Sprintf("%d in 1 pod", e.errors)
			}
		}
		rows = append(rows, []string{e.name, e.track, fmt.Sprint(len(e.pods)), fmt.Sprint(e.restarts), warnings, lines})
	}
	r.log.Table(rows)
	for _, e := range all {
		for _, line := range e.lines {
			r.log.Printf("  %s: %s", e.name, line)
		}
	}
}

// reportNext says what promote and rollback would do now.
func (r *run) reportNext(tracks []track) {
	for _, t := range tracks {
		stays := fmt.Sprintf("brings %s back to %d pods", t.stable.Name, max(t.was, t.now.Stable))
		if t.autoscaled {
			stays = fmt.Sprintf("leaves %s to its autoscaler", t.stable.Name)
		}
		r.log.Printf("promote gives the canary's version to all pods of %s, then removes %s; rollback %s and removes %s",
			t.stable.Name, t.canary.Name, stays, t.canary.Name)
	}
}

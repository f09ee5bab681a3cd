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
	"k8s.io/apimachinery/pkg/types"

	"gitlab.com/rollstep/rollstep/internal/cluster"
	"gitlab.com/rollstep/rollstep/internal/gitlab"
	"gitlab.com/rollstep/rollstep/internal/record"
	"gitlab.com/rollstep/rollstep/internal/rollout"
)

// evidence is what is known of one track since the canary began: what the
// person at the gate decides by.
type evidence struct {
	gitlab.Evidence
	pods []*corev1.Pod
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
		for i, object := range []record.Object{t.stable, t.canary} {
			d := v.Deployment(object.Namespace, object.Name)
			if d == nil {
				continue
			}
			pods := alive(v.Pods(d))
			all = append(all, &evidence{pods: pods, Evidence: gitlab.Evidence{Deployment: d.Name, Canary: i > 0, Pods: len(pods),
				Restarts: restartsSince(pods, since), Warnings: warningsOf(events, pods, d.UID)}})
		}
	}
	r.readLogs(ctx, all, since)
	return all
}

func alive(pods []*corev1.Pod) []*corev1.Pod {
	return slices.DeleteFunc(slices.Clone(pods), func(p *corev1.Pod) bool { return p.DeletionTimestamp != nil })
}

func restartsSince(pods []*corev1.Pod, since time.Time) int {
	n := 0
	for _, p := range pods {
		for _, c := range p.Status.ContainerStatuses {
			n += restarted(p, c, since)
		}
	}
	return n
}

// restarted counts the restarts of a container since a time, as far as its status
// tells: of an older pod only whether the last one was since.
func restarted(pod *corev1.Pod, c corev1.ContainerStatus, since time.Time) int {
	switch ended := c.LastTerminationState.Terminated; {
	case pod.CreationTimestamp.After(since):
		return int(c.RestartCount)
	case ended != nil && ended.FinishedAt.After(since):
		return 1
	}
	return 0
}

func (r *run) warningsSince(ctx context.Context, since time.Time) []*corev1.Event {
	var events []*corev1.Event
	for namespace := range r.viewed {
		warnings, err := r.cluster.Events(ctx, namespace, "type="+corev1.EventTypeWarning, func(e *corev1.Event) bool {
			return rollout.LastTime(e).After(since)
		})
		if err != nil {
			r.log.Note("not all events can be read: %v", err)
		}
		events = append(events, warnings...)
	}
	return events
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
		for _, c := range pod.Status.ContainerStatuses {
			log, err := r.logSince(ctx, pod, c, since)
			if err != nil {
				return fmt.Errorf("the log of pod %s: %w", pod.Name, err)
			}
			mu.Lock()
			e.count(log)
			mu.Unlock()
		}
		mu.Lock()
		e.Sampled++
		mu.Unlock()
		return nil
	}) {
		if err != nil {
			r.log.Note("not all logs can be read: %v", err)
			return
		}
	}
}

// logSince is the log of a container since a time, also of the run that ended
// before its restart.
func (r *run) logSince(ctx context.Context, pod *corev1.Pod, c corev1.ContainerStatus, since time.Time) (string, error) {
	runs := []string{"false"}
	// A container that waits for its restart still has the log of the run that ended.
	if restarted(pod, c, since) > 0 && c.State.Waiting == nil {
		runs = append(runs, "true")
	}
	var log strings.Builder
	for _, previous := range runs {
		body, err := r.cluster.Raw(ctx, "/api/v1/namespaces/"+pod.Namespace+"/pods/"+pod.Name+"/log", url.Values{
			"container": {c.Name}, "limitBytes": {fmt.Sprint(logBytes)},
			"sinceTime": {since.UTC().Format(time.RFC3339)}, "previous": {previous},
		})
		if err != nil {
			return "", err
		}
		log.Write(body)
		log.WriteByte('\n')
	}
	return log.String(), nil
}

// count adds the error-looking lines of a log.
func (e *evidence) count(log string) {
	for line := range strings.Lines(log) {
		if !looksLikeError.MatchString(line) {
			continue
		}
		e.Errors++
		if line = strings.TrimSpace(line); len(e.Lines) < sampleLines && !slices.Contains(e.Lines, line) {
			e.Lines = append(e.Lines, line[:min(len(line), 200)])
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
		r.report.Evidence = append(r.report.Evidence, e.Evidence)
		rows = append(rows, []string{e.Deployment, e.Track(), fmt.Sprint(e.Pods), fmt.Sprint(e.Restarts), e.Events(), e.Logs()})
	}
	r.log.Table(rows)
	for _, e := range all {
		for _, line := range e.Lines {
			r.log.Printf("  %s: %s", e.Deployment, line)
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

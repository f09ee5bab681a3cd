package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// eventLines is how many events are shown with a finding.
const eventLines = 3

// EventLines are the newest warnings about a finding's pods, the newest first.
// Those of several pods that say the same but for the pod are one, with the number
// of pods and of times.
func (f Finding) EventLines(events []*corev1.Event, pods []*corev1.Pod) []string {
	type line struct {
		text string // without what differs from pod to pod
		last time.Time
		full string // of the last one
		pods map[string]bool
		n    int
	}
	var lines []*line
	for _, pod := range pods {
		if pod == nil || !slices.Contains(f.Pods, pod.Name) {
			continue
		}
		for _, e := range events {
			if e == nil || e.Type != corev1.EventTypeWarning || e.InvolvedObject.Kind != "Pod" || e.InvolvedObject.Name != pod.Name ||
				e.InvolvedObject.UID != "" && e.InvolvedObject.UID != pod.UID {
				continue
			}
			text := e.Reason + ": " + anonymous(pod, e.Message)
			i := slices.IndexFunc(lines, func(l *line) bool { return l.text == text })
			if i < 0 {
				i = len(lines)
				lines = append(lines, &line{text: text, pods: map[string]bool{}})
			}
			lines[i].pods[pod.Name] = true
			lines[i].n += times(e)
			if at := LastTime(e); !at.Before(lines[i].last) {
				lines[i].last, lines[i].full = at, e.Reason+": "+oneLine(e.Message)
			}
		}
	}
	slices.SortStableFunc(lines, func(a, b *line) int { return b.last.Compare(a.last) })
	var texts []string
	for _, l := range lines[:min(len(lines), eventLines)] {
		var counts []string
		if l.n > 1 {
			counts = append(counts, fmt.Sprintf("%d times", l.n))
		}
		if len(l.pods) > 1 {
			counts = append(counts, fmt.Sprintf("%d pods", len(l.pods)))
		} else {
			l.text = l.full
		}
		if len(counts) > 0 {
			l.text += " (" + strings.Join(counts, ", ") + ")"
		}
		texts = append(texts, l.text)
	}
	return texts
}

// times is how often an event happened.
func times(e *corev1.Event) int {
	n := max(1, int(e.Count))
	if e.Series != nil {
		n = max(n, int(e.Series.Count))
	}
	return n
}

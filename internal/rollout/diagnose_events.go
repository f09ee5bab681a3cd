package rollout

import (
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// podEvents are the events of a pod with one of the reasons, the oldest first;
// those of one container if it is named.
func podEvents(g *Group, pod *corev1.Pod, container string, reasons ...string) []*corev1.Event {
	var events []*corev1.Event
	for _, e := range g.Events {
		if e == nil || e.InvolvedObject.Kind != "Pod" || e.InvolvedObject.Name != pod.Name || !slices.Contains(reasons, e.Reason) {
			continue
		}
		if uid := e.InvolvedObject.UID; uid != "" && uid != pod.UID {
			continue // an earlier pod of that name
		}
		if container != "" && !strings.HasSuffix(e.InvolvedObject.FieldPath, "{"+container+"}") {
			continue
		}
		events = append(events, e)
	}
	slices.SortStableFunc(events, func(a, b *corev1.Event) int { return LastTime(a).Compare(LastTime(b)) })
	return events
}

// lastEvent is the newest of podEvents, or nil.
func lastEvent(g *Group, pod *corev1.Pod, container string, reasons ...string) *corev1.Event {
	events := podEvents(g, pod, container, reasons...)
	if len(events) == 0 {
		return nil
	}
	return events[len(events)-1]
}

// firstTime is when an event happened first. Events of the newer API leave the
// older API's times empty.
func firstTime(e *corev1.Event) time.Time {
	if !e.FirstTimestamp.IsZero() {
		return e.FirstTimestamp.Time
	}
	if !e.EventTime.IsZero() {
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}

// LastTime is when an event happened last, whichever API it was reported by.
func LastTime(e *corev1.Event) time.Time {
	t := latest(firstTime(e), e.LastTimestamp.Time)
	if e.Series != nil {
		t = latest(t, e.Series.LastObservedTime.Time)
	}
	return t
}

// anonymous takes out of a server's message what differs from pod to pod, so
// that pods that share a cause have equal messages, and makes it one line.
func anonymous(pod *corev1.Pod, message string) string {
	if message == "" {
		return ""
	}
	for _, r := range [][2]string{{string(pod.UID), "POD_UID"}, {pod.Name, "POD"}, {pod.Status.PodIP, "POD_IP"}} {
		if r[0] != "" {
			message = strings.ReplaceAll(message, r[0], r[1])
		}
	}
	message = containerID.ReplaceAllString(message, "ID")
	return oneLine(sourcePort.ReplaceAllString(message, "->"))
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

var (
	containerID = regexp.MustCompile(`\b[0-9a-f]{64}\b`)
	sourcePort  = regexp.MustCompile(`:\d+->`) // read tcp 10.0.0.1:43210->10.0.0.2:8080
)

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

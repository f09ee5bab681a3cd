package step

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"gitlab.com/rollstep/rollstep/internal/hint"
	"gitlab.com/rollstep/rollstep/internal/rollout"
)

// judge decides whether a target that is waited for can still become ready.
type judge struct {
	*run
	seen    rollout.Seen
	events  []*corev1.Event // of namespace
	fetched time.Time
	of      string // namespace
}

// eventsEvery bounds how often events are fetched while something looks wrong,
// eventsFresh how old they may be for the last word.
const (
	eventsEvery = 10 * time.Second
	eventsFresh = 2 * time.Second
)

// hopeless fails, with its findings printed, once a target cannot become ready.
// It returns when to look again.
func (j *judge) hopeless(ctx context.Context, v *rollout.View, t target) (time.Duration, error) {
	d := v.Deployment(t.Namespace, t.Name)
	if t.Kind != "Deployment" || t.atMost || d == nil || d.Generation < j.generations[t.Object] {
		return heartbeat, nil
	}
	now := time.Now()
	group := j.group(v, t)
	j.seen.Note(group.Pods, now)
	findings := rollout.Diagnose(group, now)
	if len(findings) == 0 {
		return heartbeat, nil
	}
	// Events tell causes that the pods' status does not.
	age := now.Sub(j.fetched)
	if j.of != t.Namespace {
		age = eventsEvery + 1
	}
	if age > eventsEvery || (age > eventsFresh && rollout.Hopeless(group, findings)) {
		j.fetch(ctx, t.Namespace)
		group.Events = j.events
		findings = rollout.Diagnose(group, now)
	}
	if rollout.Hopeless(group, findings) {
		j.print(ctx, t, findings)
		err := hint.Errorf(findings[0].Next, "%s cannot become ready: %s", t, findings[0].Message)
		if findings[0].Reason == "FailedCreate" {
			err = fmt.Errorf("%w%w", err, errNoRoom)
		}
		return 0, failed(err)
	}
	again := heartbeat
	for _, f := range findings {
		if !f.FatalAt.IsZero() {
			again = min(again, max(f.FatalAt.Sub(now), 50*time.Millisecond))
		}
	}
	return again, nil
}

// errNoRoom marks that no more pods can be created, under a quota for example.
var errNoRoom = errors.New("")

func (j *judge) group(v *rollout.View, t target) rollout.Group {
	group := v.Group(v.Deployment(t.Namespace, t.Name))
	group.Restarts, group.Seen, group.Together = j.before, j.seen, j.together
	group.Events = j.events
	return group
}

// explain prints, when the time is up, why targets are not ready.
func (j *judge) explain(ctx context.Context, targets []target) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	v := j.watcher.View()
	for _, t := range targets {
		d := v.Deployment(t.Namespace, t.Name)
		if d == nil || rollout.Of(d).Done {
			continue
		}
		j.fetch(ctx, t.Namespace)
		j.print(ctx, t, rollout.Explain(j.group(v, t), time.Now()))
	}
}

// fetch reads the namespace's newest events. Without them a finding says less.
func (j *judge) fetch(ctx context.Context, namespace string) {
	j.fetched, j.of = time.Now(), namespace
	list, err := j.cluster.Dynamic.Resource(corev1.SchemeGroupVersion.WithResource("events")).Namespace(namespace).
		List(ctx, metav1.ListOptions{Limit: 2000})
	if err != nil {
		j.log.Note("events cannot be read: %v", err)
		return
	}
	j.events = nil
	for _, item := range list.Items {
		event := &corev1.Event{}
		if runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, event) == nil {
			j.events = append(j.events, event)
		}
	}
}

// print writes the findings about a target, with the log lines and events that
// explain them.
func (j *judge) print(ctx context.Context, t target, findings []rollout.Finding) {
	end := j.log.Section("diagnosis", "diagnosis of "+t.String(), false)
	defer end()
	for _, f := range findings[:min(len(findings), 5)] {
		text := strings.TrimRight(f.Text(time.Now()), "\n")
		if f.WantsLog && len(f.Pods) > 0 {
			text += j.logLines(ctx, t.Namespace, f)
		}
		if lines := j.eventLines(f); len(lines) > 0 {
			text += "\n    events:\n      " + strings.Join(lines, "\n      ")
		}
		j.log.Printf("%s", text)
	}
}

// logTail is how many of a container's last log lines are shown.
const logTail = 10

func (j *judge) logLines(ctx context.Context, namespace string, f rollout.Finding) string {
	query := url.Values{"container": {f.Container}, "tailLines": {fmt.Sprint(logTail)}}
	if f.PreviousLog {
		query.Set("previous", "true")
	}
	body, err := j.cluster.Raw(ctx, "/api/v1/namespaces/"+namespace+"/pods/"+f.Pods[0]+"/log", query)
	if err != nil {
		return fmt.Sprintf("\n    (the log of container %s cannot be read: %v)", f.Container, err)
	}
	text := strings.TrimSpace(string(body))
	if text == "" {
		return fmt.Sprintf("\n    (container %s wrote no log)", f.Container)
	}
	which := "last log lines"
	if f.PreviousLog {
		which = "last log lines of the run that ended"
	}
	return fmt.Sprintf("\n    %s (container %s of %s):\n      %s", which, f.Container, f.Pods[0], strings.ReplaceAll(text, "\n", "\n      "))
}

// eventLines are the newest warnings about a finding's pods, equal ones once.
func (j *judge) eventLines(f rollout.Finding) []string {
	var lines []string
	for _, e := range slices.Backward(j.events) {
		if e.Type != corev1.EventTypeWarning || !slices.Contains(f.Pods, e.InvolvedObject.Name) {
			continue
		}
		line := e.Reason + ": " + strings.Join(strings.Fields(e.Message), " ")
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines[:min(len(lines), 3)]
}

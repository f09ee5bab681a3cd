package step

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"gitlab.com/rollstep/rollstep/internal/gitlab"
	"gitlab.com/rollstep/rollstep/internal/hint"
	"gitlab.com/rollstep/rollstep/internal/rollout"
)

// judge decides whether a target that is waited for can still become ready.
type judge struct {
	*run
	began   time.Time
	seen    rollout.Seen
	events  []*corev1.Event // of namespace
	claims  map[string]*corev1.PersistentVolumeClaim
	fetched time.Time
	of      string // namespace
	unread  bool   // it was said that not all events can be read
}

// eventsEvery bounds how often events are fetched while something looks wrong,
// eventsFresh how old they may be to decide, and eventsAfter is when those of
// workloads are whose controllers tell by nothing else that no pod comes.
const (
	eventsEvery = 10 * time.Second
	eventsFresh = 2 * time.Second
	eventsAfter = 5 * time.Second
)

func (r *run) judge() *judge { return &judge{run: r, began: time.Now(), seen: rollout.Seen{}} }

// hopeless fails, with its findings printed, once a target cannot become ready.
// It returns when to look again.
func (j *judge) hopeless(ctx context.Context, v *rollout.View, t target) (time.Duration, error) {
	group, known := j.group(v, t)
	if t.atMost || !known {
		return heartbeat, nil
	}
	now := time.Now()
	j.seen.Note(group.Pods, now)
	findings := rollout.Diagnose(group, now)
	// What is not ready yet, but can become so for all that is seen, has time.
	mayBeFatal := slices.ContainsFunc(findings, func(f rollout.Finding) bool { return f.Fatal || !f.FatalAt.IsZero() })
	if wait := eventsAfter - now.Sub(j.began); !mayBeFatal && (!group.Fewer || wait > 0) {
		return max(wait, eventsAfter), nil
	}
	// Events tell causes that the pods' status does not.
	age := now.Sub(j.fetched)
	if j.of != t.Namespace {
		age = eventsEvery + 1
	}
	if age > eventsEvery || (age > eventsFresh && rollout.Hopeless(group, findings)) {
		j.fetch(ctx, v, t.Namespace)
		j.readClaims(ctx, t.Namespace, group)
		group, _ = j.group(v, t)
		findings = rollout.Diagnose(group, now)
	}
	if rollout.Hopeless(group, findings) {
		j.print(ctx, v, t, group.Pods, findings)
		err := hint.Errorf(findings[0].Next, "%s cannot become ready: %s", t, findings[0].Message)
		if findings[0].Reason == "FailedCreate" {
			err = noRoom{err}
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

// noRoom is the error that no more pods can be created, under a quota for example.
type noRoom struct{ error }

func (e noRoom) Unwrap() error { return e.error }

// group is what can be judged of a target, if it was seen since this run's last
// write to it.
func (j *judge) group(v *rollout.View, t target) (group rollout.Group, known bool) {
	if v.Generation(t.Kind, t.Namespace, t.Name) < j.generations[t.Object] {
		return group, false
	}
	if d := v.Deployment(t.Namespace, t.Name); t.Kind == "Deployment" && d != nil {
		group = v.Group(d)
	} else if o := v.Other(t.Kind, t.Namespace, t.Name); o != nil {
		group = v.GroupOf(o)
		group.Failure = rollout.FailedJob(o, group.Pods)
	} else {
		return group, false
	}
	group.Restarts, group.Seen, group.Together = j.before, j.seen, j.together
	group.Events, group.Claims = j.events, j.claims
	return group, true
}

// explain prints, when the time is up, why targets are not ready.
func (j *judge) explain(ctx context.Context, targets []target) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	v := j.watcher.View()
	namespaces := map[string]bool{}
	for _, t := range targets {
		namespaces[t.Namespace] = true
		group, known := j.group(v, t)
		if message, err := j.look(v, t); !known || message == "" && err == nil {
			continue
		}
		j.fetch(ctx, v, t.Namespace)
		j.readClaims(ctx, t.Namespace, group)
		group, _ = j.group(v, t)
		j.print(ctx, v, t, group.Pods, rollout.Explain(group, time.Now()))
	}
	for namespace := range namespaces {
		j.explainServices(ctx, v, namespace)
	}
}

// explainServices prints why nobody reaches a Service of the release.
func (j *judge) explainServices(ctx context.Context, v *rollout.View, namespace string) {
	live, err := j.list(ctx, services, namespace, "")
	if err != nil {
		j.log.Note("Services cannot be read: %v", err)
		return
	}
	for _, o := range live {
		if !j.options.Owns(o) && !j.declares(o) {
			continue
		}
		found := v.ExplainService(o, j.events)
		if len(found) > 0 {
			j.print(ctx, v, target{Object: objectOf(o)}, nil, found)
		}
	}
}

// declares says whether an object is in the manifests.
func (r *run) declares(o *unstructured.Unstructured) bool {
	return r.manifests != nil && slices.ContainsFunc(r.manifests.Objects, func(m *unstructured.Unstructured) bool {
		return sameObject(m, objectOf(o))
	})
}

// readClaims reads the PersistentVolumeClaims of a group's pods. Where that is
// not allowed, their events have to do.
func (j *judge) readClaims(ctx context.Context, namespace string, group rollout.Group) {
	j.claims = map[string]*corev1.PersistentVolumeClaim{}
	ri := j.cluster.Dynamic.Resource(corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims")).Namespace(namespace)
	for _, name := range group.ClaimNames() {
		live, err := ri.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			if !apierrors.IsNotFound(err) {
				return
			}
			continue
		}
		claim := &corev1.PersistentVolumeClaim{}
		if runtime.DefaultUnstructuredConverter.FromUnstructured(live.Object, claim) == nil {
			j.claims[name] = claim
		}
	}
}

// telling selects events, but for those that every pod has and that explain
// nothing: most of a namespace's.
const telling = "reason!=Scheduled,reason!=Created,reason!=Started,reason!=SuccessfulCreate,reason!=SuccessfulDelete"

// fetch reads the namespace's events, of pods those of the troubled ones in v.
// Without them a finding says less.
func (j *judge) fetch(ctx context.Context, v *rollout.View, namespace string) {
	j.fetched, j.of = time.Now(), namespace
	troubled := v.Troubled(namespace)
	events, err := j.cluster.Events(ctx, namespace, telling, func(e *corev1.Event) bool {
		return e.InvolvedObject.Kind != "Pod" || troubled[e.InvolvedObject.Name]
	})
	if err != nil && !j.unread {
		j.unread = true
		j.log.Note("not all events can be read: %v", err)
	}
	if err == nil || len(events) > 0 {
		j.events = events
	}
}

// print writes the findings about a target, with the log lines and events that
// explain them. The events are those of this moment: they come later than the
// status that they are about.
func (j *judge) print(ctx context.Context, v *rollout.View, t target, pods []*corev1.Pod, findings []rollout.Finding) {
	if len(findings) == 0 {
		return
	}
	findings = findings[:min(len(findings), 5)]
	logs := make([]string, len(findings))
	for i, f := range findings {
		if f.WantsLog && len(f.Pods) > 0 {
			logs[i] = j.logLines(ctx, t.Namespace, f)
		}
	}
	j.fetch(ctx, v, t.Namespace)
	end := j.log.Section("diagnosis", "diagnosis of "+t.String(), false)
	defer end()
	var texts []string
	for i, f := range findings {
		text := strings.TrimRight(f.Text(time.Now()), "\n") + logs[i]
		if lines := f.EventLines(j.events, pods); len(lines) > 0 {
			text += "\n    events:\n      " + strings.Join(lines, "\n      ")
		}
		j.log.Printf("%s", text)
		texts = append(texts, text)
	}
	j.report.Diagnoses = append(j.report.Diagnoses, gitlab.Diagnosis{Workload: t.String(), Text: strings.Join(texts, "\n")})
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

package labtest

import (
	"context"
	"regexp"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// AwaitPods waits until n pods of a Deployment that are not on their way out
// fulfil a condition.
func (s *Space) AwaitPods(deployment string, n int, fulfils func(*corev1.Pod) bool) {
	s.t.Helper()
	name := podsOf(deployment)
	var last []string
	err := s.follow(Pods, metav1.ListOptions{}, func(pods map[string]*unstructured.Unstructured) bool {
		last = nil
		fulfilling := 0
		for _, o := range pods {
			pod := &corev1.Pod{}
			if !name.MatchString(o.GetName()) || runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, pod) != nil || pod.DeletionTimestamp != nil {
				continue
			}
			last = append(last, show(o))
			if fulfils(pod) {
				fulfilling++
			}
		}
		return fulfilling >= n
	})
	require.NoError(s.t, err, "waiting for %d pods of %s; they are now %s", n, deployment, strings.Join(last, "\n"))
}

func podsOf(deployment string) *regexp.Regexp {
	return regexp.MustCompile("^" + deployment + "-[0-9a-z]+-[0-9a-z]{5}$")
}

// Waiting says that a container of the pod waits for that reason.
func Waiting(reason string) func(*corev1.Pod) bool {
	return func(pod *corev1.Pod) bool {
		for _, c := range pod.Status.ContainerStatuses {
			if c.State.Waiting != nil && c.State.Waiting.Reason == reason {
				return true
			}
		}
		return false
	}
}

// Condition says that the pod has a condition, True, or False for that reason.
func Condition(kind corev1.PodConditionType, reason string) func(*corev1.Pod) bool {
	return func(pod *corev1.Pod) bool {
		for _, c := range pod.Status.Conditions {
			if c.Type == kind {
				return c.Reason == reason && (c.Status == corev1.ConditionTrue) == (reason == "")
			}
		}
		return false
	}
}

// DeletePods removes pods, as a node that is drained or lost does.
func (s *Space) DeletePods(names ...string) {
	s.t.Helper()
	for _, name := range names {
		s.Delete(Pods, name)
	}
}

// AwaitEvent waits until an Event with a reason says a text.
func (s *Space) AwaitEvent(reason, text string) {
	s.t.Helper()
	err := s.follow(Events, metav1.ListOptions{FieldSelector: "reason=" + reason}, func(events map[string]*unstructured.Unstructured) bool {
		for _, e := range events {
			if message, _, _ := unstructured.NestedString(e.Object, "message"); strings.Contains(message, text) {
				return true
			}
		}
		return false
	})
	require.NoError(s.t, err, "waiting for an Event %s: %s", reason, text)
}

// PodsOn are the names of the space's pods on a node that are not on their way out.
func (s *Space) PodsOn(node string) []string {
	s.t.Helper()
	var names []string
	for _, pod := range s.List(Pods) {
		if on, _, _ := unstructured.NestedString(pod.Object, "spec", "nodeName"); on == node && pod.GetDeletionTimestamp() == nil {
			names = append(names, pod.GetName())
		}
	}
	return names
}

// Cordon lets a node take no more pods, until the test ends.
func (s *Space) Cordon(node string) {
	s.t.Helper()
	s.t.Cleanup(func() {
		_, _ = s.of(Nodes).Patch(context.Background(), node, types.MergePatchType, []byte(`{"spec":{"unschedulable":null}}`), metav1.PatchOptions{})
	})
	s.Patch(Nodes, node, `{"spec":{"unschedulable":true}}`)
}

// AwaitForbidden waits until user ci may no longer do with a resource, such as
// pods/log, what a rule allowed. The API server learns of a changed Role a moment
// later, which nothing tells but the question.
func (s *Space) AwaitForbidden(rule rbacv1.PolicyRule, resource string) {
	s.t.Helper()
	name, part, _ := strings.Cut(resource, "/")
	review := object("authorization.k8s.io/v1", "SubjectAccessReview", "", map[string]any{"spec": map[string]any{
		"user": "ci",
		"resourceAttributes": map[string]any{
			"namespace": s.Name, "verb": rule.Verbs[0], "group": rule.APIGroups[0], "resource": name, "subresource": part,
		},
	}})
	s.try("it is still allowed", func(ctx context.Context) bool {
		answer, err := s.lab.admin.Resource(subjectAccessReviews).Create(ctx, review, metav1.CreateOptions{})
		require.NoError(s.t, err)
		allowed, _, err := unstructured.NestedBool(answer.Object, "status", "allowed")
		require.NoError(s.t, err)
		return !allowed
	})
}

var subjectAccessReviews = Resource{Group: "authorization.k8s.io", Version: "v1", Resource: "subjectaccessreviews"}

// AwaitRefusal waits until the API server refuses to create an object. A policy
// holds a moment after it was created, which nothing tells but a try.
func (s *Space) AwaitRefusal(resource Resource, text string) {
	s.t.Helper()
	o := &unstructured.Unstructured{}
	require.NoError(s.t, yaml.Unmarshal([]byte(text), &o.Object))
	s.try("it is still created", func(ctx context.Context) bool {
		_, err := s.of(resource).Create(ctx, o, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err != nil && ctx.Err() == nil
	})
}

// try asks again and again, where nothing can be watched.
func (s *Space) try(otherwise string, done func(context.Context) bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.context(), hangGuard)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !done(ctx) {
		require.NoError(s.t, ctx.Err(), otherwise)
		<-again.C
	}
}

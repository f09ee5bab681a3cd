package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

// row finds the line of a log whose first words are these.
func row(t *testing.T, log string, words ...string) string {
	t.Helper()
	for line := range strings.Lines(log) {
		if fields := strings.Fields(line); len(fields) >= len(words) && strings.Join(fields[:len(words)], " ") == strings.Join(words, " ") {
			return strings.Join(fields, " ")
		}
	}
	t.Errorf("no line begins with %v:\n%s", words, log)
	return ""
}

// What the person at the gate decides by, side by side.
func TestStatus_isTheEvidenceAtTheGate(t *testing.T) {
	s := released(t, staged(t, "v1"))
	files := withAnnotations(staged(t, "v2-crash-later"), "lab.rollstep/crash-after: 15s\nlab.rollstep/log: |\n  GET /health 200\n  ERROR cannot reach the payment service")
	p := s.Pipeline(2, files)
	p.Run("canary", "20%").Succeeds()
	s.AwaitPods("app-canary", 2, labtest.Waiting("CrashLoopBackOff"))
	s.AwaitEvent("BackOff", "Back-off restarting failed container app in pod app-canary-")

	before := s.State()
	job := p.Run("status").Succeeds(
		"canary at 20 %, since ", " ago), by pipeline #2 (job canary 20%, ann) https://gitlab.example.com/shop/app/-/jobs/",
		"the canary was seen healthy at 20 %",
		"promoted: release ", "by pipeline #1 (job canary, ann) https://gitlab.example.com/shop/app/-/jobs/",
		"Service app: 8 of 8 pods (100.0 %) serve registry.gitlab.com/wuestkamp/k8s-deployment-example-app:v1",
		"since the canary began, ",
		"app-canary: ERROR cannot reach the payment service",
		"promote gives the canary's version to all pods of app, then removes app-canary; rollback brings app back to 10 pods and removes app-canary",
		"a canary is in flight at 20 %. Next: promote, another weight, or rollback",
	)
	assert.Regexp(t, `^app stable 8/8 0 registry.*:v1$`, row(t, job.Log(), "app", "stable", "8/8"))
	assert.Regexp(t, `^app-canary canary 0/2 [2-9]\d* registry.*:v2-crash-later$`, row(t, job.Log(), "app-canary", "canary", "0/2"))
	assert.Regexp(t, `^app stable 8 0 none 0 in 5 pods$`, row(t, job.Log(), "app", "stable", "8"))
	assert.Regexp(t, `^app-canary canary 2 [2-9]\d* BackOff \(\d+\).* [1-9]\d* in 2 pods$`, row(t, job.Log(), "app-canary", "canary", "2"))
	assert.NotContains(t, job.Log(), "GET /health 200")
	for _, evidence := range []string{"Since the canary began", "BackOff (", "ERROR cannot reach the payment service"} {
		assert.Contains(t, job.Report("report.html"), evidence)
	}
	assert.Regexp(t, `UTC canary 20 % [0-9a-f]{10} pipeline #2 \(job canary 20%, ann\)`, strings.Join(strings.Fields(job.Log()), " "), "who did what when")
	s.Unchanged(before)
}

// The warnings of the pods are found among those of everything else.
func TestStatus_readsAllEvents(t *testing.T) {
	s := released(t, few(t, "v1", 4))
	p := s.Pipeline(2, few(t, "v2-crash-later", 4))
	p.Run("canary", "25%").Succeeds()
	for i := range 600 { // more than are read at once, and before the others in the alphabet
		s.Create(labtest.Events, fmt.Sprintf("{apiVersion: v1, kind: Event, metadata: {name: a-%d}, type: Warning, reason: Failed, "+
			"involvedObject: {apiVersion: v1, kind: ConfigMap, namespace: %s, name: other}}", i, s.Name))
	}
	s.AwaitEvent("BackOff", "Back-off restarting failed container app in pod app-canary-")
	p.Run("status").Succeeds("BackOff (")
}

// The achieved share is measured, also where both tracks have the same image.
func TestStatus_saysTheAchievedShare(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ tag, settings string }{
		"of an image":        {"v2", settingsV1},
		"of a configuration": {"v1", settingsV2},
	} {
		t.Run(name, func(t *testing.T) {
			s := released(t, configured(t, "v1", settingsV1, credentialsV1))
			p := s.Pipeline(2, configured(t, test.tag, test.settings, credentialsV1))
			p.Run("canary", "33%").Succeeds("33.3 %")
			before := s.State()
			p.Run("status").Succeeds("33.3 %")
			s.Unchanged(before)
		})
	}
}

// Errors that the stable logs just as well are no reason to worry.
func TestStatus_comparesTheCanaryWithTheStable(t *testing.T) {
	files := func(tag string) labtest.Files {
		return withAnnotations(few(t, tag, 4), "lab.rollstep/log: FATAL no such table")
	}
	s := released(t, files("v1"))
	p := s.Pipeline(2, files("v2"))
	p.Run("canary", "50%").Succeeds()
	job := p.Run("status").Succeeds("app-canary: FATAL no such table")
	assert.Regexp(t, `^app-canary canary 2 0 none 2 in 2 pods$`, row(t, job.Log(), "app-canary", "canary", "2"))
}

// Wherever a release stands, status says it and changes nothing.
func TestStatus_changesNothing(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		stages [][]string
		lost   bool
		says   []string
	}{
		"after the first release": {nil, false, []string{"no rollout is in flight; release ", ":v1"}},
		"in a canary":             {[][]string{{"canary", "50%"}}, false, []string{"a canary is in flight at 50 %", "2 of 3 pods (66.7 %)"}},
		"after a promotion":       {[][]string{{"canary"}, {"promote"}}, false, []string{"no rollout is in flight; release ", ":v2", "promoted before: release "}},
		"after a rollback":        {[][]string{{"canary"}, {"rollback"}}, false, []string{"the last rollout was rolled back; live is release ", ":v1"}},
		"without the record":      {[][]string{{"canary"}}, true, []string{"the record knows nothing, but there is a canary. Next: rollback, which removes it", "app-canary"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := released(t, few(t, "v1", 3))
			p := s.Pipeline(2, few(t, "v2", 3))
			for _, args := range test.stages {
				p.Run(args...).Succeeds()
			}
			if test.lost {
				s.Delete(labtest.ConfigMaps, "rollstep-shop-app")
			}
			before, lease := s.State(), s.Get(labtest.Leases, "rollstep-shop-app").GetResourceVersion()
			p.Run("status").Succeeds(test.says...)
			s.Unchanged(before)
			assert.Equal(t, lease, s.Get(labtest.Leases, "rollstep-shop-app").GetResourceVersion())
		})
	}
}

func TestStatus_ofNothing(t *testing.T) {
	s := space(t)
	before := s.State()
	s.Pipeline(1, few(t, "v1", 3)).Run("status").Succeeds("nothing was released yet")
	s.Unchanged(before)
}

// A promotion that was cancelled is told as what it is.
func TestStatus_ofAHalfFinishedPromotion(t *testing.T) {
	s := released(t, few(t, "v1", 3))
	p := s.Pipeline(2, few(t, "v2-slow", 3))
	p.Run("canary").Succeeds()
	job := p.Start("promote")
	s.AwaitPods("app", 1, func(pod *corev1.Pod) bool { return strings.HasSuffix(pod.Spec.Containers[0].Image, ":v2-slow") })
	job.Cancel()
	job.Exits(143)
	p.Run("status").Succeeds("promoting", "promoting has not finished. Next: run its job again, or rollback")
}

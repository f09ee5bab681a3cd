package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

// What heals within its grace period is no failure.
func TestDiagnosis_letsHealWhatHeals(t *testing.T) {
	t.Parallel()
	settings := func(f labtest.Files) labtest.Files {
		return withContainer(f, "envFrom: [{configMapRef: {name: settings}}]")
	}
	same := func(f labtest.Files) labtest.Files { return f }
	for name, test := range map[string]struct {
		tag   string
		edit  func(labtest.Files) labtest.Files
		broke func(*labtest.Space)
		heal  func(*testing.T, *labtest.Space)
	}{
		"a slow start": {"v2-slow", same, func(*labtest.Space) {}, func(t *testing.T, s *labtest.Space) {
			s.AwaitPods("app-canary", 1, labtest.Condition(corev1.PodReady, "ContainersNotReady"))
		}},
		"a ConfigMap that comes later": {"v2", settings, func(*labtest.Space) {}, func(t *testing.T, s *labtest.Space) {
			s.AwaitPods("app-canary", 1, labtest.Waiting("CreateContainerConfigError"))
			s.Create(labtest.ConfigMaps, settingsV1)
		}},
		"pods that are evicted": {"v2-slow", same, func(*labtest.Space) {}, func(t *testing.T, s *labtest.Space) {
			s.AwaitPods("app-canary", 1, labtest.Condition(corev1.PodReady, "ContainersNotReady"))
			s.Patch(labtest.Pods, s.PodsOf("app-canary")[0], `{"metadata":{"annotations":{"lab.rollstep/evict":"memory"}}}`)
			s.AwaitEvent("Evicted", "The node was low on resource: memory.")
		}},
		"a quota that is raised": {"v2", same, func(s *labtest.Space) { s.Create(labtest.Quotas, fullQuota) }, func(t *testing.T, s *labtest.Space) {
			s.AwaitEvent("FailedCreate", "exceeded quota")
			s.Patch(labtest.Quotas, "pods", `{"spec":{"hard":{"pods":"10"}}}`)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := released(t, few(t, "v1", 3))
			guard := s.Guard("app", 3)
			test.broke(s)
			job := s.Pipeline(2, test.edit(few(t, test.tag, 3))).Start("canary")
			test.heal(t, s)
			job.Succeeds("canary is healthy")
			guard.Check(3)
			assert.Equal(t, [2]int{2, 1}, counts(s, "app"))
		})
	}
}

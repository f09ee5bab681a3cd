package main

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

// A canary that does not become healthy is explained and rolled back, while the
// stable serves in full.
func TestCanary_thatFailsIsRolledBack(t *testing.T) {
	t.Parallel()
	for tag, says := range map[string][]string{
		"v2-crash":         {"CrashLoopBackOff", "panic: cannot open database: connection refused"},
		"v2-oom":           {"OOMKilled"},
		"v2-image-missing": {"example-app:v2-image-missing", "not found"},
		"v2-unauthorized":  {"example-app:v2-unauthorized", "401 Unauthorized"},
	} {
		t.Run(tag, func(t *testing.T) {
			s := released(t, staged(t, "v1"))
			spec := s.Deployment("app").Spec
			guard := s.Guard("app", wanted)
			job := s.Pipeline(2, staged(t, tag)).Run("canary", "50%").Exits(3, says...)
			assert.Contains(t, job.Log(), "10 of 10 pods (100.0 %) serve registry.gitlab.com/wuestkamp/k8s-deployment-example-app:v1", "what is serving now")
			assert.Contains(t, job.Errors(), "rolled back")
			guard.Check(wanted)
			assert.LessOrEqual(t, guard.Most(), wanted+surge)
			assert.NotContains(t, guard.Answers(), tag)
			assert.Equal(t, spec, s.Deployment("app").Spec)
			assert.Empty(t, s.Leftovers())
		})
	}
}

func TestCanary_thatNeverGetsReadyFailsInTime(t *testing.T) {
	s := released(t, few(t, "v1", 3))
	guard := s.Guard("app", 3)
	s.Pipeline(2, few(t, "v2-never-ready", 3)).With("ROLLSTEP_TIMEOUT=12s").Run("canary").
		Exits(3, "HTTP probe failed with statuscode: 503", "ROLLSTEP_TIMEOUT", "rolled back")
	guard.Check(3)
	assert.Empty(t, s.Leftovers())
	complete(t, s, "app", 3)
}

// A crash that shows only some seconds after the start is seen while the canary
// is watched.
func TestCanary_thatCrashesSoonAfterItsStartIsRolledBack(t *testing.T) {
	s := released(t, few(t, "v1", 3))
	s.Pipeline(2, few(t, "v2-crash-later", 3)).With("ROLLSTEP_SETTLE=8s", "ROLLSTEP_TIMEOUT=2m").Run("canary").
		Exits(3, "panic: cannot open database: connection refused", "rolled back")
	assert.Empty(t, s.Leftovers())
	complete(t, s, "app", 3)
}

func TestCanary_thatFailsIsLeftForInspection(t *testing.T) {
	s := released(t, few(t, "v1", 3))
	guard := s.Guard("app", 3)
	p := s.Pipeline(2, few(t, "v2-image-missing", 3)).With("ROLLSTEP_ON_FAILURE=hold")
	p.Run("canary").Exits(3, "not found", "3 of 3 pods (100.0 %) serve registry.gitlab.com/wuestkamp/k8s-deployment-example-app:v1", "hold")
	assert.Equal(t, [2]int{3, 1}, counts(s, "app"))
	p.Run("promote").Exits(5, "canary")
	p.Run("rollback").Succeeds()
	guard.Check(3)
	complete(t, s, "app", 3)
	assert.Empty(t, s.Leftovers())
}

// A second weight that fails goes back to stable, not to the first weight.
func TestCanary_thatFailsAtAHigherWeightIsRolledBack(t *testing.T) {
	s := released(t, few(t, "v1", 4))
	guard := s.Guard("app", 4)
	s.Pipeline(2, few(t, "v2", 4)).Run("canary", "25%").Succeeds()
	s.Pipeline(3, few(t, "v3-crash", 4)).Run("canary", "50%").Exits(3, "CrashLoopBackOff")
	guard.Check(4)
	complete(t, s, "app", 4)
	assert.Contains(t, s.Image("app"), ":v1")
	assert.Empty(t, s.Leftovers())
}

// A promotion that cannot finish restores the release before it.
func TestPromote_thatFailsRestoresTheReleaseBefore(t *testing.T) {
	t.Parallel()
	for tag, says := range map[string]string{"v2-crash": "panic: cannot open database", "v2-image-missing": "not found"} {
		t.Run(tag, func(t *testing.T) {
			s := released(t, staged(t, "v1"))
			spec := s.Deployment("app").Spec
			guard := s.Guard("app", wanted)
			s.Pipeline(2, staged(t, tag)).With("ROLLSTEP_SKIP_CANARY=true").Run("promote").
				Exits(3, says, "rolled back", "10 of 10 pods (100.0 %) serve registry.gitlab.com/wuestkamp/k8s-deployment-example-app:v1")
			guard.Check(wanted)
			assert.Equal(t, spec, s.Deployment("app").Spec)
			assert.Empty(t, s.Leftovers())
			s.Pipeline(2, staged(t, tag)).Run("promote").Exits(5, "was rolled back")
		})
	}
}

func TestPromote_thatFailsKeepsWhatMaxUnavailableAllows(t *testing.T) {
	unavailable := func(tag string) labtest.Files {
		return staged(t, tag).Edit("deploy.yaml", "maxUnavailable: 0", "maxUnavailable: 25%")
	}
	s := released(t, unavailable("v1"))
	guard := s.Guard("app", wanted)
	s.Pipeline(2, unavailable("v2-crash")).With("ROLLSTEP_SKIP_CANARY=true").Run("promote").Exits(3, "rolled back")
	guard.Check(8)
	s.AwaitReplicas("app", wanted)
	assert.Contains(t, s.Image("app"), ":v1")
}

func TestPromote_thatFailsIsLeftForInspection(t *testing.T) {
	s := released(t, few(t, "v1", 3))
	guard := s.Guard("app", 3)
	p := s.Pipeline(2, few(t, "v2-crash", 3)).With("ROLLSTEP_SKIP_CANARY=true", "ROLLSTEP_ON_FAILURE=hold")
	p.Run("promote").Exits(3, "CrashLoopBackOff", "3 of 3 pods (100.0 %) serve registry.gitlab.com/wuestkamp/k8s-deployment-example-app:v1")
	assert.Contains(t, s.Image("app"), ":v2-crash")
	p.Run("rollback").Succeeds()
	guard.Check(3)
	assert.Contains(t, s.Image("app"), ":v1")
	s.AwaitReplicas("app", 3)
}

func TestApply_thatFailsSaysWhatServes(t *testing.T) {
	s := space(t)
	s.Pipeline(1, few(t, "v1", 3)).Run("apply").Succeeds()
	guard := s.Guard("app", 3)
	s.Pipeline(2, few(t, "v2-image-missing", 3)).Run("apply").Exits(3, "not found", "3 of 3 pods (100.0 %) serve registry.gitlab.com/wuestkamp/k8s-deployment-example-app:v1")
	guard.Check(3)
}

func TestFirstRelease_thatFailsIsExplained(t *testing.T) {
	s := space(t)
	p := s.Pipeline(1, few(t, "v1-crash", 2))
	p.Run("canary").Exits(3, "panic: cannot open database: connection refused")
	s.Pipeline(2, few(t, "v1", 2)).Run("canary").Succeeds()
	s.AwaitReplicas("app", 2)
}

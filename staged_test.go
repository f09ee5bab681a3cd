package main

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

// examples/staged asks for 10 pods, and allows a surge of 3 and none unavailable.
const wanted, surge = 10, 3

func TestCanary_walksUpAndDownToPromote(t *testing.T) {
	s := released(t, staged(t, "v1"))
	stable := s.Deployment("app").Spec.Template
	guard := s.Guard("app", wanted)
	p := s.Pipeline(2, staged(t, "v2"))
	for _, step := range []struct {
		weight, achieved string
		counts           [2]int
		share            float64
	}{
		{"10%", "10.0 %", [2]int{9, 1}, 0.1},
		{"50%", "50.0 %", [2]int{5, 5}, 0.5},
		{"25%", "30.0 %", [2]int{7, 3}, 0.3},
	} {
		p.Run("canary", step.weight).Succeeds(step.achieved)
		assert.Equal(t, step.counts, counts(s, "app"), step.weight)
		assert.Equal(t, stable, s.Deployment("app").Spec.Template, "nothing is added to the stable's template")
		assertShare(t, step.share, s.Ask("app", 1000, "v1", "v2"))
		s.Ask("app-canary", 100, "v2")
	}
	assert.LessOrEqual(t, guard.Most(), wanted+surge, "pods asked for during canary moves")

	p.Run("promote").Succeeds("promoted release")
	guard.Check(wanted)
	complete(t, s, "app", 10)
	assert.Empty(t, s.Leftovers())
	s.Ask("app", 200, "v2")

	before := s.State()
	p.Run("promote").Succeeds("nothing to promote")
	s.Unchanged(before)
}

func TestRollback_goesBackFromAnyPoint(t *testing.T) {
	t.Parallel()
	for name, stages := range map[string][][]string{
		"from 10 %":           {{"canary", "10%"}},
		"from 50 %":           {{"canary", "10%"}, {"canary", "50%"}},
		"from 25 %":           {{"canary", "50%"}, {"canary", "25%"}},
		"from 100 %":          {{"canary", "100%"}},
		"after the promotion": {{"canary", "50%"}, {"promote"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := released(t, staged(t, "v1"))
			stable := s.Deployment("app").Spec
			guard := s.Guard("app", wanted)
			p := s.Pipeline(2, staged(t, "v2"))
			for _, args := range stages {
				p.Run(args...).Succeeds()
			}
			p.Run("rollback").Succeeds("rolled back to release")
			guard.Check(wanted)
			assert.LessOrEqual(t, guard.Most(), 2*wanted)
			assert.Equal(t, stable, s.Deployment("app").Spec, "the stable is as it was")
			assert.Empty(t, s.Leftovers())
			s.Ask("app", 200, "v1")

			before := s.State()
			p.Run("rollback").Succeeds("nothing to roll back")
			s.Unchanged(before)
		})
	}
}

func TestCanary_twiceIsOnce(t *testing.T) {
	s := released(t, few(t, "v1", 3))
	p := s.Pipeline(2, few(t, "v2", 3))
	p.Run("canary", "50%").Succeeds()
	stable, canary := s.Deployment("app"), s.Deployment("app-canary")
	pods, preview := s.PodsOf("app-canary"), s.Get(labtest.Services, "app-canary").GetResourceVersion()
	p.Run("canary", "50%").Succeeds("canary is healthy")
	assert.Equal(t, stable.Generation, s.Deployment("app").Generation)
	assert.Equal(t, canary.Generation, s.Deployment("app-canary").Generation)
	assert.Equal(t, pods, s.PodsOf("app-canary"))
	assert.Equal(t, preview, s.Get(labtest.Services, "app-canary").GetResourceVersion())
}

func TestCanary_appliesTheFirstReleaseInFull(t *testing.T) {
	s := space(t)
	p := s.Pipeline(1, few(t, "v1", 3))
	p.Run("canary").Succeeds("first release", "applied in full")
	s.AwaitReplicas("app", 3)
	assert.Empty(t, s.Leftovers())
	before := s.State()
	p.Run("canary").Succeeds("nothing to canary")
	p.Run("promote").Succeeds("nothing to promote")
	p.Run("rollback").Succeeds("nothing to roll back")
	s.Unchanged(before)
}

func TestPromote_appliesTheFirstReleaseWithoutACanary(t *testing.T) {
	s := space(t)
	s.Pipeline(1, few(t, "v1", 2)).Run("promote").Succeeds()
	complete(t, s, "app", 2)
}

func TestRollback_withNothingToRollBackChangesNothing(t *testing.T) {
	s := space(t)
	before := s.State()
	s.Pipeline(1, few(t, "v1", 2)).Run("rollback").Succeeds("nothing to roll back")
	s.Unchanged(before)
}

// What serves was there before rollstep: its first canary keeps it as the
// release to go back to.
func TestRollback_bringsBackWhatServedBeforeRollstepCame(t *testing.T) {
	s := space(t)
	files := few(t, "v1", 3)
	s.KubectlApply(labtest.Deployments, files["deploy.yaml"])
	s.KubectlApply(labtest.Services, files["service.yaml"])
	s.AwaitReplicas("app", 3)
	template := s.Deployment("app").Spec.Template
	p := s.Pipeline(1, few(t, "v2", 3))
	p.Run("canary").Succeeds()
	p.Run("promote").Succeeds()
	assert.Contains(t, s.Image("app"), ":v2")
	p.Run("rollback").Succeeds()
	assert.Equal(t, template, s.Deployment("app").Spec.Template)
	complete(t, s, "app", 3)
}

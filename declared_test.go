package main

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

// The article's three rows, by the manifests of examples/declared.
func TestApply_takesTheArticlesSteps(t *testing.T) {
	t.Parallel()
	const first, second = "replicas: 10", "replicas: 9"
	for name, test := range map[string]struct {
		strategy string
		least    int // while the pods are replaced
	}{
		"with the default maxUnavailable of 25 %": {"", 8},
		"with maxUnavailable 0":                   {"\n  strategy: {rollingUpdate: {maxUnavailable: 0}}", 10},
	} {
		t.Run(name, func(t *testing.T) {
			s := space(t)
			initial := labtest.Examples(t, "declared/i/k8s").Edit("deploy.yaml", first, first+test.strategy)
			s.Pipeline(1, initial).Run("apply").Succeeds()
			complete(t, s, "app", 10)
			s.Ask("app", 200, "v1")

			some := initial.Edit("deploy.yaml", first, second).Edit("deploy-canary.yaml", "replicas: 0", "replicas: 1")
			guard := s.Guard("app", 10)
			s.Pipeline(2, some).Run("apply").Succeeds("9 of 10 pods (90.0 %)", "1 of 10 pods (10.0 %)")
			guard.Check(10)
			assert.Equal(t, [2]int{9, 1}, counts(s, "app"))
			assertShare(t, 0.1, s.Ask("app", 2000, "v1", "v2"))

			all := some.Edit("deploy.yaml", second, first).Edit("deploy.yaml", "example-app:v1", "example-app:v2").
				Edit("deploy-canary.yaml", "replicas: 1", "replicas: 0")
			guard = s.Guard("app", 10)
			s.Pipeline(3, all).Run("apply").Succeeds("10 of 10 pods (100.0 %)")
			guard.Check(test.least)
			complete(t, s, "app", 10)
			s.Ask("app", 200, "v2")

			before := s.State()
			s.Pipeline(3, all).Run("apply").Succeeds("nothing to apply")
			s.Unchanged(before)
		})
	}
}

// assertShare checks the share of v2 in the answers, five standard deviations
// wide.
func assertShare(t *testing.T, share float64, answers map[string]int) {
	t.Helper()
	n := float64(answers["v1"] + answers["v2"])
	assert.InDelta(t, share*n, answers["v2"], 5*math.Sqrt(n*share*(1-share)), "answers: %v", answers)
}

func TestApply_isRefusedWhileACanaryIsInFlight(t *testing.T) {
	s := released(t, few(t, "v1", 3))
	s.Pipeline(2, few(t, "v2", 3)).Run("canary").Succeeds()
	before := s.State()
	s.Pipeline(3, few(t, "v3", 3)).Run("apply").Exits(5, "pipeline #2", "Promote it or roll it back")
	s.Unchanged(before)
}

func TestApply_goesBackToAnEarlierCommitByRollback(t *testing.T) {
	s := space(t)
	s.Pipeline(1, few(t, "v1", 3)).Run("apply").Succeeds()
	p := s.Pipeline(2, few(t, "v2", 3))
	p.Run("apply").Succeeds()
	p.Run("rollback").Succeeds()
	assert.Contains(t, s.Image("app"), ":v1")
}

package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The way of a release as the README of examples/staged tells it: first release,
// merge request, canary, gates, promotion, and back.
func TestStaged_walksToWhatTheCommitSays(t *testing.T) {
	p := newProject(t, "staged")
	first := p.push().ran("plan", "canary 10%")
	first.job("plan").succeeds("first release").reports()
	first.job("canary 10%").succeeds("first release").reports()
	first.press("canary 50%").succeeds("nothing to canary").reports()
	first.press("promote").succeeds().reports()
	require.Equal(t, []string{"v1"}, p.serving())

	p.edit("k8s/deploy.yaml", "example-app:v1", "example-app:v2")
	p.commit("v2")
	before := p.State()
	p.mergeRequest().ran("plan").job("plan").succeeds("example-app:v2").reports()
	p.Unchanged(before)

	second := p.push().ran("plan", "canary 10%")
	second.job("canary 10%").succeeds("10.0 %").reports()
	p.has(9, 1)
	second.press("canary 50%").succeeds("50.0 %").reports()
	p.has(5, 5)
	second.press("promote").succeeds().reports()
	p.has(10, 0)
	require.Equal(t, []string{"v2"}, p.serving())

	second.press("rollback").succeeds("rolled back").reports()
	p.has(10, 0)
	require.Equal(t, []string{"v1"}, p.serving())
	second.press("promote").exits(5, "rolled back").reports()
}

// What the rollback button of the environments page does: it runs the promote
// job of an old pipeline again.
func TestStaged_anOldPromotionRunsAgain(t *testing.T) {
	p := newProject(t, "staged")
	first := p.push()
	first.press("promote").succeeds()
	p.edit("k8s/deploy.yaml", "example-app:v1", "example-app:v2")
	p.commit("v2")
	second := p.push()
	second.press("promote").succeeds()
	require.Equal(t, []string{"v2"}, p.serving())

	first.press("promote").succeeds("promoted")
	require.Equal(t, []string{"v1"}, p.serving())
}

// A release that cannot run: its canary job says why and leaves nothing behind,
// its gates stay shut, and the fix goes the usual way.
func TestStaged_aFailingReleaseIsTakenBack(t *testing.T) {
	p := newProject(t, "staged")
	p.push().press("promote").succeeds()

	p.edit("k8s/deploy.yaml", "example-app:v1", "example-app:v2-crash")
	p.commit("v2, which crashes")
	second := p.push().ran("plan", "canary 10%")
	second.job("canary 10%").exits(3, "CrashLoopBackOff", "rolled back").reports()
	p.has(10, 0)
	require.Empty(t, p.Leftovers())
	require.Equal(t, []string{"v1"}, p.serving())
	second.press("promote").exits(5)
	second.press("rollback").succeeds("nothing to roll back")
	require.Equal(t, []string{"v1"}, p.serving())

	p.edit("k8s/deploy.yaml", "example-app:v2-crash", "example-app:v3")
	p.commit("v3")
	third := p.push()
	third.job("canary 10%").succeeds()
	p.has(9, 1)
	third.press("promote").succeeds()
	require.Equal(t, []string{"v3"}, p.serving())
}

// A second commit while the first one waits at its gate: the newest wins, and
// says so to the other.
func TestStaged_aNewerCommitTakesTheRolloutOver(t *testing.T) {
	p := newProject(t, "staged")
	p.push().press("promote").succeeds()
	p.edit("k8s/deploy.yaml", "example-app:v1", "example-app:v2")
	p.commit("v2")
	second := p.push()
	second.job("canary 10%").succeeds()
	p.edit("k8s/deploy.yaml", "example-app:v2", "example-app:v3")
	p.commit("v3")
	third := p.push()
	third.job("canary 10%").succeeds()
	p.has(9, 1)

	second.press("canary 50%").exits(5, "pipeline #1003").reports()
	second.press("promote").exits(5, "pipeline #1003")
	second.press("rollback").exits(5, "pipeline #1003")
	p.has(9, 1)
	require.Contains(t, p.Image("app-canary"), ":v3")

	third.press("rollback").succeeds("rolled back")
	p.has(10, 0)
	require.Empty(t, p.Leftovers())
}

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// newComponentProject copies examples/component, whose include finds the
// components as version 1.2.3 in a repository that stands for the project's.
func newComponentProject(t *testing.T) *project {
	t.Helper()
	p := newProject(t, "component")
	published := filepath.Join(t.TempDir(), "rollstep")
	require.NoError(t, os.CopyFS(filepath.Join(published, "templates"), os.DirFS("../templates")))
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch=main", "."},
		{"config", "user.name", "Ann"},
		{"config", "user.email", "ann@example.com"},
		{"config", "uploadpack.allowFilter", "true"},
		{"add", "--all"},
		{"commit", "--quiet", "--message", "Components"},
		{"tag", "1.2.3"},
	} {
		git(t, published, args...)
	}
	config := "[url \"file://" + published + "\"]\n"
	for _, server := range []string{"https://gitlab.example.com", "https://gitlab.example.com:443"} {
		config += "\tinsteadOf = " + server + "/rollstep/rollstep.git\n"
	}
	require.NoError(t, os.WriteFile(filepath.Join(p.dir, "..", "gitconfig"), []byte(config), 0o644))
	return p
}

func TestComponent_walksToWhatTheCommitSays(t *testing.T) {
	p := newComponentProject(t)
	first := p.push().ran("plan", "canary 10%")
	first.job("canary 10%").succeeds("first release").reports()
	first.press("promote").succeeds().reports()

	p.edit("k8s/deploy.yaml", "example-app:v1", "example-app:v2")
	p.commit("v2")
	before := p.State()
	p.mergeRequest().ran("plan").job("plan").succeeds("example-app:v2")
	p.Unchanged(before)

	second := p.push().ran("plan", "canary 10%")
	p.has(9, 1)
	second.press("canary 50%").succeeds()
	p.has(5, 5)
	second.press("promote").succeeds()
	p.has(10, 0)
	require.Equal(t, []string{"v2"}, p.serving())
	second.press("rollback").succeeds("rolled back")
	require.Equal(t, []string{"v1"}, p.serving())
}

// A job of the project's own that checks the canary, and fails.
func TestComponent_rollsBackWhenACheckFails(t *testing.T) {
	p := newComponentProject(t)
	p.edit(".gitlab-ci.yml", "      weight: 10\n", `      weight: 10
      rollback-on-failure: true
      rollback-on-failure-of: [check the canary]
`)
	p.edit(".gitlab-ci.yml", "stages:", `check the canary:
  stage: canary
  needs: ["canary 10%"]
  script:
    - echo "$ROLLSTEP_OUTCOME"
    - grep example-app:v1 k8s/deploy.yaml

stages:`)
	p.commit("Check the canary")
	first := p.push().ran("plan", "canary 10%", "check the canary")
	first.job("check the canary").succeeds("done\n") // what canary 10% says in its dotenv report
	first.press("promote").succeeds()

	p.edit("k8s/deploy.yaml", "example-app:v1", "example-app:v2")
	p.commit("v2")
	second := p.push().ran("plan", "canary 10%", "check the canary", "rollback on failure")
	second.job("check the canary").exits(1)
	second.job("rollback on failure").succeeds("rolled back")
	p.has(10, 0)
	require.Equal(t, []string{"v1"}, p.serving())
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	// A person's own settings are none of the tests' business.
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "git %v: %s", args, out)
	return string(out)
}

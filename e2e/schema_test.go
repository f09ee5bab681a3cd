package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every pipeline of the repository is valid by GitLab's own schema, components
// with their inputs filled in.
func TestPipelines_areValid(t *testing.T) {
	for name, file := range map[string]string{
		"rollstep":         read(t, "../.gitlab-ci.yml"),
		"staged example":   read(t, "../examples/staged/.gitlab-ci.yml"),
		"declared example": read(t, "../examples/declared/.gitlab-ci.yml"),
		"component example": strings.Replace(read(t, "../examples/component/.gitlab-ci.yml"),
			"component: $CI_SERVER_FQDN/rollstep/rollstep/canary@1", "local: templates/canary.yml", 1),
		"canary, defaults": "stages: [plan, canary, promote, rollback]\n" + include("canary"),
		"canary, everything": "stages: [a, b, c, d]\n" + include("canary",
			"plan-stage: a", "canary-stage: b", "promote-stage: c", "rollback-stage: d", `job-prefix: "shop: "`,
			`rule: $CI_COMMIT_TAG || $CI_COMMIT_BRANCH == "main"`, "merge-requests: false", "job-image: registry.example.com/rollstep:1.2.3",
			"tags: [kubernetes, small]", "environment: review/$CI_COMMIT_REF_SLUG", "context: shop/app:agent", "namespace: shop",
			"manifests: deploy/production", "image: $CI_REGISTRY_IMAGE:$CI_COMMIT_SHORT_SHA", "release: shop", "weight: 5",
			"second-weight: 0", "second-gate: delayed", "promote-gate: delayed", "delay: 1 hour", "timeout: 20m", "on-failure: hold",
			"rollback-on-failure: true", `rollback-on-failure-of: ["shop: plan"]`),
		"canary, twice": "stages: [plan, canary, promote, rollback]\n" + include("canary", `job-prefix: "a: "`, "manifests: a") +
			strings.TrimPrefix(include("canary", `job-prefix: "b: "`, "manifests: b"), "include:\n"),
		"apply, defaults": "stages: [plan, deploy]\n" + include("apply"),
		"apply, everything": "stages: [a, b]\n" + include("apply",
			"plan-stage: a", "apply-stage: b", `job-prefix: "shop: "`, `rule: $CI_COMMIT_BRANCH == "main"`, "merge-requests: false",
			"job-image: registry.example.com/rollstep:1.2.3", "tags: [kubernetes]", "environment: production", "context: shop/app:agent",
			"namespace: shop", "manifests: deploy", "image: app=registry.example.com/app:1", "release: shop", "timeout: 20m"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := list(t, file)
			require.NoError(t, err, out)
		})
	}
}

// What the schema, the inputs or gitlab-ci-local refuse: else the test above
// would show nothing.
func TestPipelines_mistakesAreFound(t *testing.T) {
	stages := "stages: [plan, canary, promote, rollback]\n"
	for name, c := range map[string]struct{ file, says string }{
		"an unknown keyword":  {"job:\n  script: rollstep plan\n  enviroment: production\n", "enviroment"},
		"an unknown action":   {"job:\n  script: rollstep plan\n  environment: {name: production, action: promote}\n", "action"},
		"a report of no kind": {"job:\n  script: rollstep plan\n  artifacts: {reports: {xunit: a.xml}}\n", "xunit"},
		"an unknown stage":    {"job:\n  stage: canary\n  script: rollstep canary\n", "canary"},
		"an unknown option":   {stages + include("canary", "second-gate: never"), "second-gate"},
		"a weight in words":   {stages + include("canary", `weight: "ten"`), "weight"},
		"a need that is not there": {stages + include("canary", "rollback-on-failure: true", "rollback-on-failure-of: [smoke]"),
			"smoke"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := list(t, c.file)
			require.Error(t, err, out)
			assert.Contains(t, out, c.says)
		})
	}
}

// include is what includes a template of this repository.
func include(template string, inputs ...string) string {
	text := "include:\n  - local: templates/" + template + ".yml\n    inputs:\n      environment: production\n"
	for _, input := range inputs {
		if name, value, _ := strings.Cut(input, ": "); name == "environment" {
			text = strings.Replace(text, "environment: production", "environment: "+value, 1)
			continue
		}
		text += "      " + input + "\n"
	}
	return text
}

// list has gitlab-ci-local read a .gitlab-ci.yml, as for a pipeline.
func list(t *testing.T, file string) (string, error) {
	t.Helper()
	return gitlabCILocal(t, repository(t, file), "--list-all")
}

// repository is a Git repository with a .gitlab-ci.yml and the templates.
func repository(t *testing.T, file string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "project")
	require.NoError(t, os.CopyFS(filepath.Join(dir, "templates"), os.DirFS("../templates")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".gitlab-ci.yml"), []byte(file), 0o644))
	git(t, dir, "init", "--quiet", "--initial-branch=main", ".")
	git(t, dir, "add", "--all")
	git(t, dir, "-c", "user.name=Ann", "-c", "user.email=ann@example.com", "commit", "--quiet", "--message", "One")
	git(t, dir, "remote", "add", "origin", "https://gitlab.example.com/shop/app.git")
	return dir
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}

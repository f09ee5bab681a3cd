package e2e

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// hangGuard bounds a pipeline: it is no expectation of how long it takes.
const hangGuard = 4 * time.Minute

// pipeline is a pipeline of one commit.
type pipeline struct {
	project *project
	iid     int
	commit  string
	source  []string // variables that say what started it
	jobs    map[string]job
}

// job is a job that has ended.
type job struct {
	t    *testing.T
	name string
	exit int
	log  string
	dir  string // its working directory
}

// push runs the pipeline of a push of HEAD to the default branch, until it waits
// at a manual job or has ended.
func (p *project) push() *pipeline {
	p.t.Helper()
	return p.pipeline("--variable", "CI_PIPELINE_SOURCE=push")
}

// mergeRequest runs the pipeline of a merge request of HEAD.
func (p *project) mergeRequest() *pipeline {
	p.t.Helper()
	return p.pipeline("--variable", "CI_PIPELINE_SOURCE=merge_request_event", "--variable", "CI_MERGE_REQUEST_IID=1",
		"--unset-variable", "CI_COMMIT_BRANCH")
}

func (p *project) pipeline(source ...string) *pipeline {
	p.t.Helper()
	p.pipelines++
	pl := &pipeline{project: p, iid: p.pipelines, commit: p.git("rev-parse", "HEAD"), source: source, jobs: map[string]job{}}
	// gitlab-ci-local adds one for every pipeline.
	p.state(pl.iid - 1)
	pl.run()
	return pl
}

// press runs a manual job, or any job again.
func (pl *pipeline) press(name string) job {
	pl.project.t.Helper()
	head := pl.project.git("rev-parse", "HEAD")
	pl.project.git("reset", "--quiet", "--hard", pl.commit)
	defer pl.project.git("reset", "--quiet", "--hard", head)
	pl.project.state(pl.iid)
	delete(pl.jobs, name)
	pl.run(name)
	return pl.job(name)
}

// state is where gitlab-ci-local keeps the number of the last pipeline.
func (p *project) state(iid int) {
	p.t.Helper()
	file := filepath.Join(p.dir, ".gitlab-ci-local", "state.yml")
	require.NoError(p.t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(p.t, os.WriteFile(file, fmt.Appendf(nil, "pipelineIid: %d\n", iid), 0o644))
}

func (pl *pipeline) run(jobs ...string) {
	p := pl.project
	p.t.Helper()
	variables, err := yaml.Marshal(p.variables)
	require.NoError(p.t, err)
	require.NoError(p.t, os.WriteFile(filepath.Join(p.dir, "..", "variables.yml"), variables, 0o644))
	args := append([]string{"--variables-file", "../variables.yml", "--force-shell-executor",
		"--shell-isolation", "--no-artifacts-to-source", "--no-json-schema-validation"}, pl.source...)
	out, _ := gitlabCILocal(p.t, p.dir, append(args, jobs...)...)
	begun := started.FindAllStringSubmatch(out, -1)
	require.NotEmpty(p.t, begun, "no job ran:\n%s", out)
	for _, b := range begun {
		pl.jobs[b[1]] = p.ended(b[1], out)
	}
}

// emptyTags is what GitLab's schema refuses and GitLab does not: `tags: []`, which
// means any runner.
const emptyTags = "#/definitions/tags/minItems"

// How gitlab-ci-local says that a job begins, and how it ended: the exit code of
// one that failed.
var (
	started  = regexp.MustCompile(`(?m)^(\S.*?) +starting shell \(`)
	finished = regexp.MustCompile(`(?m)^(\S.*?) +finished in [^\n]*?(?: (?:FAIL|WARN) (\d+) *)?$`)
)

func (p *project) ended(name, out string) job {
	p.t.Helper()
	j := job{t: p.t, name: name, exit: -1, dir: filepath.Join(p.dir, ".gitlab-ci-local", "builds", directory(name))}
	for _, f := range finished.FindAllStringSubmatch(out, -1) {
		if f[1] == name {
			j.exit, _ = strconv.Atoi("0" + f[2])
		}
	}
	require.NotEqual(p.t, -1, j.exit, "gitlab-ci-local does not say how job %q ended:\n%s", name, out)
	log, err := os.ReadFile(filepath.Join(p.dir, ".gitlab-ci-local", "output", directory(name)+".log"))
	require.NoError(p.t, err)
	j.log = string(log)
	return j
}

// directory is what gitlab-ci-local makes of a job's name.
func directory(name string) string {
	return regexp.MustCompile(`[^\w-]+`).ReplaceAllStringFunc(name, func(s string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(s))
	})
}

// gitlabCILocal runs gitlab-ci-local in a directory. Its jobs inherit nothing
// of the test's environment but the PATH.
func gitlabCILocal(t *testing.T, dir string, args ...string) (out string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hangGuard)
	defer cancel()
	program, err := filepath.Abs(filepath.Join("node_modules", "gitlab-ci-local", "dist", "index.js"))
	require.NoError(t, err)
	require.FileExists(t, program, "gitlab-ci-local is not installed: run .ci/install")
	node := "node"
	if own, err := filepath.Abs(filepath.Join(".node", "bin", "node")); err == nil && exists(own) {
		node = own // .ci/install puts it there if the machine's is too old
	}
	cmd := exec.CommandContext(ctx, node, append([]string{program, "--ignore-schema-paths", emptyTags}, args...)...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + tools + ":" + os.Getenv("PATH"), "HOME=" + filepath.Dir(dir), "NO_COLOR=1",
		"GIT_CONFIG_GLOBAL=" + filepath.Join(filepath.Dir(dir), "gitconfig"), "GIT_CONFIG_SYSTEM=/dev/null"}
	text, err := cmd.CombinedOutput()
	require.NoError(t, ctx.Err(), "gitlab-ci-local %s did not end within %s:\n%s", strings.Join(args, " "), hangGuard, text)
	return string(text), err
}

// ran checks which jobs have run.
func (pl *pipeline) ran(jobs ...string) *pipeline {
	pl.project.t.Helper()
	if !assert.ElementsMatch(pl.project.t, jobs, slices.Collect(maps.Keys(pl.jobs)), "jobs that ran") {
		for _, j := range pl.jobs {
			pl.project.t.Logf("job %q exited with %d:\n%s", j.name, j.exit, j.log)
		}
		pl.project.t.FailNow()
	}
	return pl
}

func (pl *pipeline) job(name string) job {
	pl.project.t.Helper()
	j, has := pl.jobs[name]
	require.True(pl.project.t, has, "job %q did not run, only %q", name, slices.Collect(maps.Keys(pl.jobs)))
	return j
}

// exits checks the exit code of a job, and that its log contains texts.
func (j job) exits(code int, texts ...string) job {
	j.t.Helper()
	require.Equal(j.t, code, j.exit, "exit code of job %q:\n%s", j.name, j.log)
	for _, text := range texts {
		require.Contains(j.t, j.log, text, "log of job %q", j.name)
	}
	return j
}

func (j job) succeeds(texts ...string) job {
	j.t.Helper()
	return j.exits(0, texts...)
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

package labtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"gitlab.com/rollstep/rollstep/step"
)

// Run is the program: run in main.go.
type Run func(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int

// Files are manifests by file name.
type Files map[string]string

// Examples reads the files of a directory below examples.
func Examples(t testing.TB, dir string) Files {
	t.Helper()
	path := filepath.Join(Repository(t), "examples", dir)
	entries, err := os.ReadDir(path)
	require.NoError(t, err)
	files := Files{}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(path, e.Name()))
		require.NoError(t, err)
		files[e.Name()] = string(text)
	}
	return files
}

// With returns the files with one more, or with another content.
func (f Files) With(name, text string) Files {
	more := maps.Clone(f)
	more[name] = text
	return more
}

// Edit returns the files with a text in one of them replaced, which must be there.
func (f Files) Edit(name, old, text string) Files {
	if !strings.Contains(f[name], old) {
		panic(fmt.Sprintf("%s does not contain %q:\n%s", name, old, f[name]))
	}
	return f.With(name, strings.ReplaceAll(f[name], old, text))
}

// Commit writes manifests to a directory of their own.
func (s *Space) Commit(files Files) string {
	s.t.Helper()
	dir := filepath.Join(s.t.TempDir(), "k8s")
	for name, text := range files {
		path := filepath.Join(dir, name)
		require.NoError(s.t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(s.t, os.WriteFile(path, []byte(text), 0o644))
	}
	return dir
}

// Pipeline is a pipeline of one commit. Its jobs run one after the other.
type Pipeline struct {
	space     *Space
	variables map[string]string
}

var jobs atomic.Int64

// Pipeline returns pipeline number id for the commit with these manifests.
func (s *Space) Pipeline(id int, files Files) Pipeline {
	s.t.Helper()
	return Pipeline{s, map[string]string{
		"KUBECONFIG":           s.lab.ciKubeconfig,
		"KUBE_NAMESPACE":       s.Name,
		"CI":                   "true",
		"GITLAB_CI":            "true",
		"CI_PROJECT_PATH_SLUG": "shop-app",
		"CI_ENVIRONMENT_SLUG":  "production",
		"CI_PIPELINE_ID":       fmt.Sprint(id),
		"CI_PIPELINE_IID":      fmt.Sprint(id),
		"CI_PIPELINE_URL":      fmt.Sprintf("https://gitlab.example.com/shop/app/-/pipelines/%d", id),
		"CI_JOB_STAGE":         "deploy",
		"CI_JOB_TIMEOUT":       "3600",
		"CI_COMMIT_SHA":        fmt.Sprintf("%040x", id),
		"CI_COMMIT_REF_NAME":   "main",
		"GITLAB_USER_LOGIN":    "ann",
		"NO_COLOR":             "1",
		"ROLLSTEP_MANIFESTS":   s.Commit(files),
		"ROLLSTEP_SETTLE":      "0s",
		"ROLLSTEP_TIMEOUT":     "90s",
		"ROLLSTEP_REPORT_DIR":  filepath.Join(s.t.TempDir(), "report"),
	}}
}

// With returns the pipeline with more variables: "ROLLSTEP_WEIGHT=25". An empty
// value takes one away.
func (p Pipeline) With(variables ...string) Pipeline {
	p.variables = maps.Clone(p.variables)
	for _, v := range variables {
		name, value, _ := strings.Cut(v, "=")
		p.variables[name] = value
	}
	return p
}

// OutsideCI returns what a person runs by hand, with the same manifests: GitLab
// says nothing about it.
func (p Pipeline) OutsideCI(person, host string) Pipeline {
	release := p.variables["CI_PROJECT_PATH_SLUG"]
	p.variables = maps.Clone(p.variables)
	maps.DeleteFunc(p.variables, func(name, _ string) bool {
		return name == "CI" || strings.HasPrefix(name, "CI_") || strings.HasPrefix(name, "GITLAB_")
	})
	return p.With("ROLLSTEP_RELEASE="+release, "USER="+person, "HOSTNAME="+host)
}

// Job is a job that runs or has ended.
type Job struct {
	t       testing.TB
	reports string // directory
	args    []string
	cancel  context.CancelCauseFunc
	ended   chan struct{}
	exit    int
	out     log
	errors  log
	started time.Time
}

// Run runs a job to its end: rollstep with these arguments.
func (p Pipeline) Run(args ...string) *Job {
	p.space.t.Helper()
	j := p.Start(args...)
	j.Wait()
	return j
}

// Start starts a job.
func (p Pipeline) Start(args ...string) *Job {
	if p.variables["CI"] != "" {
		id := 5000 + jobs.Add(1)
		if own := p.variables["CI_JOB_ID"]; own == "" {
			p = p.With(fmt.Sprintf("CI_JOB_ID=%d", id))
		}
		p = p.With(
			"CI_JOB_NAME="+strings.Join(args, " "),
			fmt.Sprintf("CI_JOB_URL=https://gitlab.example.com/shop/app/-/jobs/%d", id),
			"CI_JOB_STARTED_AT="+time.Now().UTC().Format(time.RFC3339),
		)
	}
	var environ []string
	for _, name := range slices.Sorted(maps.Keys(p.variables)) {
		environ = append(environ, name+"="+p.variables[name])
	}
	ctx, cancel := context.WithCancelCause(p.space.context())
	j := &Job{t: p.space.t, args: args, reports: p.variables["ROLLSTEP_REPORT_DIR"], cancel: cancel, ended: make(chan struct{}), started: time.Now()}
	go func() {
		defer close(j.ended)
		j.exit = p.space.run(ctx, args, environ, &j.out, &j.errors)
	}()
	return j
}

// Cancel does to the job what a cancel in GitLab does.
func (j *Job) Cancel() { j.cancel(&step.Interruption{Code: step.ExitTerminated}) }

// Ended is closed when the job has ended.
func (j *Job) Ended() <-chan struct{} { return j.ended }

// Wait waits for the job's end and returns its exit code.
func (j *Job) Wait() int {
	j.t.Helper()
	return j.WaitAtMost(hangGuard)
}

// WaitAtMost waits for the job's end, which must come in time.
func (j *Job) WaitAtMost(bound time.Duration) int {
	j.t.Helper()
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-j.ended:
	case <-timer.C:
		j.t.Fatalf("rollstep %s did not end within %s:\n%s", strings.Join(j.args, " "), bound, j.Log())
	}
	j.cancel(nil)
	return j.exit
}

// Log is what the job printed, errors last.
func (j *Job) Log() string { return j.out.String() + j.errors.String() }

// Errors is what the job printed to stderr.
func (j *Job) Errors() string { return j.errors.String() }

// Exits checks the exit code, and that the log contains texts.
func (j *Job) Exits(code int, texts ...string) *Job {
	j.t.Helper()
	j.Wait()
	ok := assert.Equal(j.t, code, j.exit, "exit code of rollstep %s", strings.Join(j.args, " "))
	for _, text := range texts {
		if !strings.Contains(j.Log(), text) {
			ok = false
			j.t.Errorf("rollstep %s does not say %q", strings.Join(j.args, " "), text)
		}
	}
	ok = assert.NotContains(j.t, j.Log(), "error: \n", "an error without words") && ok
	if !ok {
		j.t.Logf("the log of rollstep %s:\n%s", strings.Join(j.args, " "), j.Log())
		j.t.FailNow()
	}
	return j
}

// Report is the content of one of the job's report files: "junit.xml".
func (j *Job) Report(name string) string {
	j.t.Helper()
	text, err := os.ReadFile(filepath.Join(j.reports, name))
	require.NoError(j.t, err)
	return string(text)
}

// Succeeds checks that the job exits with 0, and that its log contains texts.
func (j *Job) Succeeds(texts ...string) *Job {
	j.t.Helper()
	return j.Exits(step.ExitDone, texts...)
}

// log may be read while it is written.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

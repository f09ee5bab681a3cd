package main

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

var update = flag.Bool("update", false, "write the logs of testdata/logs anew")

// The logs of all stages, as people read them in GitLab.
func TestLogs(t *testing.T) {
	t.Parallel()
	t.Run("staged", func(t *testing.T) {
		s := space(t)
		v1, v2 := staged(t, "v1"), staged(t, "v2")
		golden(t, "plan-of-the-first-release", s.Pipeline(1, v1).Run("plan"))
		golden(t, "canary-of-the-first-release", s.Pipeline(1, v1).Run("canary"))
		p := s.Pipeline(2, v2).With("ROLLSTEP_SETTLE=1s")
		golden(t, "plan", p.Run("plan"))
		golden(t, "canary", p.Run("canary", "10%"))
		golden(t, "canary-again", p.Run("canary", "10%"))
		golden(t, "canary-up", p.Run("canary", "50%"))
		golden(t, "status", p.Run("status"))
		golden(t, "apply-refused", s.Pipeline(3, v2).Run("apply"))
		golden(t, "canary-superseded", s.Pipeline(1, v1).Run("canary"))
		golden(t, "promote", p.Run("promote"))
		golden(t, "promote-again", p.Run("promote"))
		golden(t, "rollback-of-a-promotion", p.Run("rollback"))
		golden(t, "promote-refused", p.Run("promote"))
		golden(t, "sweep", p.Run("sweep"))
	})
	t.Run("failing", func(t *testing.T) {
		s := released(t, few(t, "v1", 3))
		golden(t, "canary-failing", s.Pipeline(2, few(t, "v2-crash", 3)).Run("canary"))
		s.Pipeline(3, few(t, "v2", 3)).Run("canary").Succeeds()
		golden(t, "rollback", s.Pipeline(3, few(t, "v2", 3)).Run("rollback"))
		golden(t, "apply-failing", s.Pipeline(4, few(t, "v2-image-missing", 3)).With("ROLLSTEP_ON_FAILURE=hold").Run("apply"))
		golden(t, "nothing-to-roll-back", s.Pipeline(5, few(t, "v1", 3)).Run("rollback"))
	})
	t.Run("declared", func(t *testing.T) {
		s := space(t)
		files := labtest.Examples(t, "declared/i/k8s")
		s.Pipeline(1, files).Run("apply").Succeeds()
		golden(t, "apply", s.Pipeline(2, files.
			Edit("deploy.yaml", "replicas: 10", "replicas: 9").
			Edit("deploy-canary.yaml", "replicas: 0", "replicas: 1")).Run("apply"))
	})
	t.Run("mistakes", func(t *testing.T) {
		s := space(t)
		p := s.Pipeline(1, few(t, "v1", 3).With("broken.yaml", "kind: Deployment\n  name: x\n"))
		golden(t, "mistakes", p.With("ROLLSTEP_WEIGTH=10", "ROLLSTEP_TIMEOUT=ten minutes", "KUBECONFIG=").Run("canary"))
		golden(t, "manifests-refused", s.Pipeline(1, few(t, "v1", 3).Edit("deploy.yaml", "containerPort: 5000", "containerPort: 500000")).Run("plan"))
	})
}

// golden compares a job's log, as GitLab shows it, with testdata/logs.
func golden(t *testing.T, name string, job *labtest.Job) {
	t.Helper()
	job.Wait()
	text := shown(job)
	path := filepath.Join("testdata", "logs", name+".txt")
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		return
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "go test -run TestLogs . -update writes it")
	assert.Equal(t, string(want), text, "the log of %s", name)
}

// varying is what differs from run to run, and what stands for it.
var varying = []struct {
	pattern *regexp.Regexp
	stands  string
}{
	{regexp.MustCompile(`(?m)^\x1b\[0Ksection_start:\d+:[^\r]*\[collapsed=true\]\r\x1b\[0K`), "▸ "},
	{regexp.MustCompile(`(?m)^\x1b\[0Ksection_start:\d+:[^\r]*\r\x1b\[0K`), "▾ "},
	{regexp.MustCompile(`(?m)^\x1b\[0Ksection_end:[^\r]*\r\x1b\[0K\n`), ""},
	// Progress, of which there is more or less.
	{regexp.MustCompile(`(?m)^  (still waiting: )?app[^\n]*: (\d|waiting|not there)[^\n]*\n`), ""},
	{regexp.MustCompile(`(?m)^  (healthy so far|a canary pod was)[^\n]*\n`), ""},
	{regexp.MustCompile(`test-[a-z0-9]{8}\b`), "test-abcdefgh"},
	{regexp.MustCompile(`\bapp(-canary)?-[a-z0-9]{7,10}-[a-z0-9]{5}\b`), "app$1-POD"},
	{regexp.MustCompile(`\bapp(-canary)?-[a-f0-9]{8,10}\b`), "app$1-REPLICASET"},
	{regexp.MustCompile(`\b[0-9a-f]{10}\b`), "abcdef0123"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d UTC`), "2030-01-02 03:04 UTC"},
	{regexp.MustCompile(`\d\d:\d\d(:\d\d)? UTC`), "03:04 UTC"},
	{regexp.MustCompile(`\b\d+(\.\d+)?m?s\b( ago)`), "5s ago"},
	{regexp.MustCompile(`(POD), for \d+s\b`), "$1"},
	{regexp.MustCompile(`for \d+s\b`), "for 5s"},
	// Some come only after the diagnosis.
	{regexp.MustCompile(`(?m)^    events:\n(      .*\n)+`), ""},
	{regexp.MustCompile(`restarted (once|twice|\d times)`), "restarted once"},
	{regexp.MustCompile(`/-/jobs/\d+`), "/-/jobs/5001"},
	{regexp.MustCompile(`/tmp/[^ ]*/k8s\b`), "k8s"},
	{regexp.MustCompile(`https://127\.0\.0\.1:\d+`), "https://127.0.0.1:6443"},
}

// shown is a job's log without colours, its sections marked as GitLab draws them.
func shown(job *labtest.Job) string {
	text := job.Log()
	for _, v := range varying {
		text = v.pattern.ReplaceAllString(text, v.stands)
	}
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return strings.Join(lines, "\n")
}

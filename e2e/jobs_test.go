package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

// stopsIn is what rollstep promises to end in after SIGTERM, with room for a
// machine that is busy.
const stopsIn = 15 * time.Second

func TestImage_runsAJobAsAnyUser(t *testing.T) {
	for name, user := range map[string]string{"root": "0:0", "any": "12345:0"} {
		t.Run(name, func(t *testing.T) {
			c := newContainer(t, user)
			exit, log := c.run("id -u", `cd "$HOME" && echo it is writable > there && cat there && cd -`, "rollstep version",
				"echo a b | awk '{ print $2 }' | sed s/b/c/ | grep c", "sleep 0", "ls k8s", "rollstep plan", "rollstep canary")
			require.Equal(t, 0, exit, log)
			for _, says := range []string{strings.Split(user, ":")[0], "it is writable", "rollstep v9.8.7", "\nc\n", "deploy.yaml", "first release"} {
				assert.Contains(t, log, says)
			}
			c.reports(0)
		})
	}
}

// The file system is read-only, or the test above would show less than it says.
func TestImage_isTestedReadOnly(t *testing.T) {
	c := newContainer(t, "0:0")
	exit, log := c.run("echo > /there")
	assert.NotZero(t, exit, log)
	assert.Contains(t, log, "ead-only")
}

// allow_failure:exit_codes can tell the causes apart.
func TestImage_exitCodesReachTheRunner(t *testing.T) {
	for name, test := range map[string]struct {
		exit  int
		lines []string
		says  string
	}{
		"misconfigured": {2, []string{"unset KUBECONFIG", "rollstep plan"}, "KUBECONFIG is not set"},
		"failed":        {3, []string{"rollstep canary", "sed -i s/app:v1/app:v2-crash/ k8s/deploy.yaml", "rollstep canary"}, "CrashLoopBackOff"},
		"refused":       {5, []string{"rollstep canary", "sed -i s/app:v1/app:v2/ k8s/deploy.yaml", "rollstep promote"}, "canary"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newContainer(t, "0:0")
			exit, log := c.run(append(test.lines, "echo goes on")...)
			assert.Equal(t, test.exit, exit, log)
			assert.Contains(t, log, test.says)
			assert.NotContains(t, log, "goes on")
			c.reports(test.exit)
		})
	}
}

// A cancel in GitLab while a canary waits for pods that never become ready.
func TestImage_aCancelledJobStopsAndReports(t *testing.T) {
	c := newContainer(t, "12345:0")
	c.edit("replicas: 10", "replicas: 4")
	exit, log := c.run("rollstep canary")
	require.Equal(t, 0, exit, log)
	c.edit("app:v1", "app:v2-unready")
	c.start("rollstep canary")
	c.space.Await(labtest.Deployments, "app-canary", func(o *unstructured.Unstructured) bool { return o != nil })
	c.inside(cancel)
	assert.NotZero(t, c.wait(stopsIn), c.text())
	assert.Contains(t, c.text(), "serv", "what is serving")
	c.reports(143)
	assert.Equal(t, 4, c.space.Replicas("app"))
}

// The same for the executor shell, which signals the shell's process group.
func TestShell_aCancelledJobStopsAndReports(t *testing.T) {
	p := newProject(t, "staged")
	p.push().job("canary 10%").succeeds("first release")
	p.edit("k8s/deploy.yaml", "example-app:v1", "example-app:v2-unready")
	shell := exec.Command("bash", "--login")
	shell.Dir = p.dir
	shell.Env = []string{"PATH=" + tools + ":" + os.Getenv("PATH"), "HOME=" + p.dir, "CI=true", "GITLAB_CI=true",
		"CI_PROJECT_PATH_SLUG=shop-app", "CI_PIPELINE_ID=2000", "CI_PROJECT_DIR=" + p.dir,
		"KUBECONFIG=" + os.Getenv("LAB_CI_KUBECONFIG"), "KUBE_NAMESPACE=" + p.Name}
	shell.Stdin = strings.NewReader(script("export PATH="+tools+":$PATH", "rollstep canary"))
	var log bytes.Buffer
	shell.Stdout, shell.Stderr = &log, &log
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, shell.Start())
	ended := make(chan error, 1)
	go func() { ended <- shell.Wait() }()
	t.Cleanup(func() { _ = syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) })

	p.Await(labtest.Deployments, "app-canary", func(o *unstructured.Unstructured) bool { return o != nil })
	require.NoError(t, syscall.Kill(-shell.Process.Pid, syscall.SIGTERM))
	select {
	case err := <-ended: // also the program's end: it holds the pipe of the log
		assert.Error(t, err)
	case <-time.After(stopsIn):
		require.Fail(t, "the job did not end")
	}
	assert.Contains(t, log.String(), "serv", "what is serving")
	checkReports(t, p.dir+"/rollstep-report", 143)
	assert.Equal(t, 10, p.Replicas("app"))
}

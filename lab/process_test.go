package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"gitlab.com/rollstep/rollstep/lab/internal/controlplane"
	"gitlab.com/rollstep/rollstep/lab/internal/datadir"
	"gitlab.com/rollstep/rollstep/lab/internal/lab"
)

// command is the lab as a user starts it, with its data below a directory of the test's own.
func command(t *testing.T, args ...string) (c *exec.Cmd, temporary string, stderr *bytes.Buffer) {
	self, err := os.Executable()
	require.NoError(t, err)
	c = exec.Command(self, args...)
	temporary = t.TempDir()
	c.Env = append(os.Environ(), "TMPDIR="+temporary)
	stderr = &bytes.Buffer{}
	c.Stderr = stderr
	return c, temporary, stderr
}

// processes returns the IDs of the processes whose command line holds the text.
func processes(t *testing.T, text string) []int {
	out, err := exec.Command("ps", "-A", "-ww", "-o", "pid=,command=").Output()
	require.NoError(t, err)
	var ids []int
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, text) {
			id, err := strconv.Atoi(strings.Fields(line)[0])
			require.NoError(t, err)
			ids = append(ids, id)
		}
	}
	return ids
}

// untilLine reads lines until one has the prefix.
func untilLine(t *testing.T, out io.Reader, prefix string) string {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), prefix) {
			return lines.Text()
		}
	}
	require.Fail(t, "output ended without "+prefix)
	return ""
}

func TestRun_givesVariablesAndPassesTheExitCodeOn(t *testing.T) {
	w := newWorld(t) // so this is a second lab at the same time
	c, temporary, stderr := command(t, "run", "--", "sh", "-c", `cat "$KUBECONFIG"; echo "traffic: $LAB_TRAFFIC"; test -s "$LAB_CI_KUBECONFIG" && exit 7`)
	out, err := c.Output()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, stderr.String())
	assert.Equal(t, 7, exit.ExitCode(), stderr.String())
	assert.Contains(t, string(out), "current-context: lab")
	assert.Regexp(t, `traffic: http://127\.0\.0\.1:\d+`, string(out))
	assert.NotContains(t, string(out), variable(t, "LAB_TRAFFIC"))
	left, err := os.ReadDir(temporary)
	require.NoError(t, err)
	assert.Empty(t, left, "nothing is kept")
	_, err = w.client.CoreV1().Nodes().Get(t.Context(), "node-1", metav1.GetOptions{})
	assert.NoError(t, err, "the first lab goes on")
}

func TestRun_forwardsSignals(t *testing.T) {
	c, _, stderr := command(t, "run", "--", "sh", "-c", `trap "exit 9" TERM; echo waiting; while :; do sleep 0.05; done`)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	untilLine(t, out, "waiting")
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	_ = c.Wait()
	assert.Equal(t, 9, c.ProcessState.ExitCode(), stderr.String())
}

func TestRun_saysWhichPartDied(t *testing.T) {
	c, temporary, stderr := command(t, "run", "--", "sh", "-c", `echo waiting; while :; do sleep 0.05; done`)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	untilLine(t, out, "waiting")
	part := processes(t, "part kube-scheduler --kubeconfig="+temporary)
	require.Len(t, part, 1)
	require.NoError(t, syscall.Kill(part[0], syscall.SIGKILL))
	_ = c.Wait()
	assert.Equal(t, 1, c.ProcessState.ExitCode())
	assert.Contains(t, stderr.String(), "kube-scheduler ended (signal: killed)")
	assert.Empty(t, processes(t, temporary))
}

func TestUp_killedLeavesNothingRunningAndStartsAgain(t *testing.T) {
	c, temporary, stderr := command(t, "up", "--dir", "")
	dir := filepath.Join(temporary, "lab")
	c.Args[len(c.Args)-1] = dir
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	kubeconfig := untilLine(t, out, "export KUBECONFIG=")
	assert.Equal(t, "export KUBECONFIG="+filepath.Join(dir, "kubeconfig"), kubeconfig, stderr.String())
	info, err := os.Stat(filepath.Join(dir, "kubeconfig"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	assert.Len(t, processes(t, dir), 6, "the lab and its five parts")
	require.NoError(t, c.Process.Kill())
	_ = c.Wait()
	world{T: t}.eventually("no process left", func() bool { return len(processes(t, dir)) == 0 })
	assert.FileExists(t, filepath.Join(dir, "etcd.log"))

	again := exec.Command(c.Path, c.Args[1:]...)
	out, err = again.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, again.Start())
	untilLine(t, out, "export LAB_TRAFFIC=")
	require.NoError(t, again.Process.Signal(syscall.SIGTERM))
	require.NoError(t, again.Wait())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, entries, "its data is removed")
}

// A restart of its API server ends the watches of everybody, and nothing else.
func TestLab_goesOnAfterARestartOfItsAPIServer(t *testing.T) {
	dir, err := datadir.Temporary()
	require.NoError(t, err)
	l, err := lab.Start(t.Context(), dir, io.Discard)
	require.NoError(t, err)
	defer func() { assert.NoError(t, l.Stop()) }()
	w := world{T: t, client: clientFrom(t, lookup(l.Variables(), "KUBECONFIG")), namespace: "default"}
	w.deploy("app", "v1", 2)
	w.eventually("ready", w.ready("app", 2))
	watch, err := w.client.AppsV1().Deployments("default").Watch(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	before := processes(t, "part kube-apiserver --bind-address=127.0.0.1")

	response, err := http.Post(lookup(l.Variables(), "LAB_TRAFFIC")+"/restart/kube-apiserver", "", nil)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusNoContent, response.StatusCode)
	assert.NotEqual(t, before, processes(t, "part kube-apiserver --bind-address=127.0.0.1"))
	for range watch.ResultChan() { // until it ends
	}
	w.deploy("more", "v1", 2)
	w.eventually("pods still come to life", w.ready("more", 2))
	ended, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	assert.NoError(t, l.Wait(ended), "no part has died")
}

func TestControlPlane_startsAgainWhenAPortWasTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	tries := 0
	var progress strings.Builder
	plane, err := controlplane.Start(t.Context(), controlplane.Settings{
		Dir: t.TempDir(), NodePorts: "30000-30100", KubeletPort: 1,
		Progress: func(format string, args ...any) { fmt.Fprintf(&progress, format+"\n", args...) },
		Ports: func(n int) ([]int, error) {
			ports, err := controlplane.FreePorts(n)
			if tries++; tries == 1 {
				ports[n-1] = taken.Addr().(*net.TCPAddr).Port
			}
			return ports, err
		},
	})
	require.NoError(t, err)
	plane.Kill()
	assert.Equal(t, 2, tries)
	assert.Regexp(t, regexp.MustCompile(`kube-apiserver: a port was taken`), progress.String())
}

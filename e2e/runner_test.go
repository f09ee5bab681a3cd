package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

// What GitLab Runner does to a job's image, as its executor docker does it
// (its shells/bash.go): the container's command looks for a shell, which reads the
// script from its standard input.
const findShell = `for s in /usr/local/bin/bash /usr/bin/bash /bin/bash /usr/local/bin/sh /usr/bin/sh /bin/sh /busybox/sh; do
	if [ -x $s ]; then exec $s; fi
done
echo shell not found; exit 1`

// script is the runner's script for the lines of a job.
func script(lines ...string) string {
	quote := strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`)
	text := "trap exit 1 TERM\n\n"
	text += "if set -o | grep pipefail > /dev/null; then set -o pipefail; fi; set -o errexit\nset +o noclobber\n"
	return text + ": | eval $'" + quote.Replace(strings.Join(lines, "\n")+"\n") + "'\nexit 0\n"
}

// cancel is what the runner runs in the container of a job that is cancelled: all
// processes but the first get SIGTERM, the newest first.
const cancel = `for P in $(cd /proc && ls -rvd [0-9]*); do
	if [ $$ -ne $P ] && [ $P -ne 1 ] && kill -TERM $P 2>/dev/null; then
		for i in 1 2 3 4 5 6; do if [ -e /proc/$P ]; then sleep 1; fi; done
	fi
done`

// container is a job's container: the image's file system, read-only but for /tmp
// and the project's directory, which is world-writable as the runner makes it.
type container struct {
	t       *testing.T
	image   image
	user    string // UID:GID
	builds  string // what is /builds inside
	space   *labtest.Space
	exports []string
	command *exec.Cmd
	ended   chan struct{}
	mu      sync.Mutex
	log     bytes.Buffer
}

// newContainer has the project of examples/staged in it, for a namespace of its own.
func newContainer(t *testing.T, user string) *container {
	t.Helper()
	t.Parallel()
	c := &container{t: t, image: theImage(t), user: user, builds: t.TempDir(), space: labtest.New(t, nil)}
	project := filepath.Join(c.builds, "shop", "app")
	require.NoError(t, os.CopyFS(project, os.DirFS("../examples/staged")))
	require.NoError(t, os.Chmod(project, 0o777))
	kubeconfig, err := os.ReadFile(os.Getenv("LAB_CI_KUBECONFIG"))
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(project+".tmp", 0o777))
	require.NoError(t, os.WriteFile(filepath.Join(project+".tmp", "KUBECONFIG"), kubeconfig, 0o666))
	c.exports = []string{"CI=true", "GITLAB_CI=true", "CI_JOB_ID=71", "CI_JOB_NAME=canary", "CI_JOB_STAGE=canary",
		"CI_JOB_TIMEOUT=3600", "CI_JOB_URL=https://gitlab.example.com/shop/app/-/jobs/71", "CI_PIPELINE_ID=7", "CI_PIPELINE_IID=7",
		"CI_PROJECT_DIR=/builds/shop/app", "CI_PROJECT_PATH_SLUG=shop-app", "CI_ENVIRONMENT_NAME=production",
		"CI_ENVIRONMENT_SLUG=production", "KUBECONFIG=/builds/shop/app.tmp/KUBECONFIG", "KUBE_NAMESPACE=" + c.space.Name,
		"ROLLSTEP_SETTLE=0s"}
	return c
}

// start starts a job with these script lines.
func (c *container) start(lines ...string) {
	c.t.Helper()
	var all []string
	for _, e := range c.exports {
		all = append(all, "export "+e)
	}
	all = append(append(all, "cd /builds/shop/app"), lines...)
	chroot, err := exec.LookPath("chroot")
	require.NoError(c.t, err)
	// Everything mounted goes with the process: nothing is left on this machine.
	prepare := `set -e
root=$1 builds=$2; shift 2
mkdir -p "$root/proc" "$root/dev" "$root/builds"
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount -t tmpfs -o mode=1777,size=16m tmpfs "$root/tmp"
mount --bind "$builds" "$root/builds"
exec "$@"`
	args := []string{"--mount", "--pid", "--fork", "--kill-child", "sh", "-c", prepare, "sh", c.image.root, c.builds, "env", "-i"}
	args = append(args, c.image.config.Env...)
	c.command = exec.Command("unshare", append(args, chroot, "--userspec="+c.user, c.image.root, "sh", "-c", findShell)...)
	c.command.Stdin = strings.NewReader(script(all...))
	c.command.Stdout, c.command.Stderr = c, c
	require.NoError(c.t, c.command.Start())
	c.ended = make(chan struct{})
	go func() {
		defer close(c.ended)
		_ = c.command.Wait() // the exit code tells
	}()
	c.t.Cleanup(func() {
		_ = c.command.Process.Kill()
		<-c.ended
	})
}

func (c *container) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.Write(p)
}

func (c *container) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.String()
}

// wait waits for the end, which must come in time, and returns the exit code.
func (c *container) wait(bound time.Duration) int {
	c.t.Helper()
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-c.ended:
	case <-timer.C:
		require.Fail(c.t, "the job did not end", "within %s:\n%s", bound, c.text())
	}
	return c.command.ProcessState.ExitCode()
}

// run runs a job to its end.
func (c *container) run(lines ...string) (exit int, log string) {
	c.t.Helper()
	c.start(lines...)
	return c.wait(hangGuard), c.text()
}

// inside runs a script in the container of a job that runs, as root. The script
// may be killed with the container.
func (c *container) inside(script string) {
	c.t.Helper()
	// unshare's child is the container's first process.
	children, err := os.ReadFile("/proc/" + strconv.Itoa(c.command.Process.Pid) + "/task/" + strconv.Itoa(c.command.Process.Pid) + "/children")
	require.NoError(c.t, err)
	nsenter, err := exec.LookPath("nsenter")
	require.NoError(c.t, err)
	cmd := exec.Command(nsenter, "--target", strings.TrimSpace(string(children)), "--mount", "--pid", "--root", "--wd", "sh", "-c", script)
	cmd.Env = c.image.config.Env
	out, err := cmd.CombinedOutput()
	c.t.Logf("in the container: %v %s", err, out)
}

func (c *container) reports(exit int) {
	c.t.Helper()
	checkReports(c.t, filepath.Join(c.builds, "shop", "app", "rollstep-report"), exit)
}

// edit replaces a text in the manifests.
func (c *container) edit(old, text string) {
	c.t.Helper()
	file := filepath.Join(c.builds, "shop", "app", "k8s", "deploy.yaml")
	content := read(c.t, file)
	require.Contains(c.t, content, old)
	require.NoError(c.t, os.WriteFile(file, []byte(strings.ReplaceAll(content, old, text)), 0o644))
}

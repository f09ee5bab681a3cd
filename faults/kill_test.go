package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

// full is whether every request is killed, or only some of each stage.
var full = os.Getenv("ROLLSTEP_TEST_FAULTS") == "full"

// stopsIn is what rollstep promises to end in after SIGTERM, 5 s, with room for a
// busy machine.
const stopsIn = 15 * time.Second

// sample of the requests is killed unless full: every sample-th, from another
// one in each scenario.
const sample = 9

var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "rollstep-faults-")
	if err == nil {
		binary = filepath.Join(dir, "rollstep")
		build := exec.Command("go", "build", "-o", binary, "gitlab.com/rollstep/rollstep")
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		err = build.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "building rollstep:", err)
		os.Exit(1)
	}
	code := m.Run()
	tally.print()
	os.RemoveAll(dir)
	os.Exit(code)
}

// process is the program as a job runs it: by a shell that reads its script from
// its input, both in a process group of their own.
type process struct {
	mu  sync.Mutex
	cmd *exec.Cmd
}

// script passes the program's exit code on, also after a signal: the shell minds
// that only when the program has ended.
const script = `trap 'exit $?' TERM
"$@"
`

func (p *process) run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-s", binary}, args...)...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = environ, strings.NewReader(script), stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	p.mu.Lock()
	p.cmd = cmd
	err := cmd.Start()
	p.mu.Unlock()
	if err == nil {
		err = cmd.Wait()
	}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return exit.ExitCode() // -1 if it was killed
	case err != nil && ctx.Err() == nil:
		fmt.Fprintln(stderr, "starting rollstep:", err)
		return -2
	}
	return cmd.ProcessState.ExitCode()
}

// signal signals the process group, as GitLab Runner does.
func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = syscall.Kill(-p.cmd.Process.Pid, s) // it may have ended
}

// when a process is struck: before its request reaches the server, or after the
// server has done it and before the answer is back.
type when string

const (
	before when = "before"
	after  when = "after"
)

// strike returns the fault that sends s to the process at its k-th request.
func strike(p *process, k int, w when, s syscall.Signal, struck chan<- struct{}) fault {
	return func(n int, rw http.ResponseWriter, r *http.Request, forward http.Handler) {
		if n != k {
			forward.ServeHTTP(rw, r)
			return
		}
		if w == after {
			if isWatch(r) { // its answer has no end
				ctx, cancel := context.WithTimeout(r.Context(), 50*time.Millisecond)
				defer cancel()
				r = r.WithContext(ctx)
			}
			unanswered(forward, r)
		}
		close(struck)
		p.signal(s)
		if s == syscall.SIGKILL {
			abort()
		}
		forward.ServeHTTP(rw, r)
	}
}

// unanswered has the server do a request whose answer nobody gets.
func unanswered(forward http.Handler, r *http.Request) {
	defer func() {
		// So the proxy tells that an answer has broken off, as that of a watch does here.
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			panic(p)
		}
	}()
	forward.ServeHTTP(newDiscard(), r)
}

// trial runs a scenario's stage, strikes it at request k (0: never), runs it
// again, and checks that the end is that of an undisturbed run (want) and that
// no user noticed. It returns the end, and whether there was a request k.
func (sc scenario) trial(t *testing.T, k int, w when, s syscall.Signal, want string) (end string, requests int, struck bool) {
	p := &process{}
	space := labtest.New(t, p.run)
	if sc.prepare != nil {
		sc.prepare(space, func(pipeline labtest.Pipeline, args ...string) { pipeline.Run(args...).Succeeds() })
	}
	var guard *labtest.Guard
	if sc.least > 0 {
		guard = space.Guard("app", sc.least)
	}
	front := newProxy(space)
	hit := make(chan struct{})
	front.set(strike(p, k, w, s, hit))
	// The same job's id: another one would wait for the lock to run out.
	job := space.Pipeline(sc.pipeline, sc.commit(t)).With("KUBECONFIG="+front.kubeconfig, "CI_JOB_ID=77", "ROLLSTEP_MAX_AGE=1ms")
	first := job.Start(sc.stage...)
	if s == syscall.SIGTERM {
		select {
		case <-hit:
			at := time.Now()
			first.WaitAtMost(stopsIn)
			tally.stopped(time.Since(at))
		case <-first.Ended():
		}
	}
	code := first.Wait()
	requests = front.requests()
	select {
	case <-hit:
		struck = true
	default:
		require.Equal(t, 0, code, "%s", first.Log())
	}
	if struck && s == syscall.SIGTERM && code != 0 {
		require.Equal(t, 143, code, "%s", first.Log())
		require.Contains(t, first.Report("rollstep.env"), "ROLLSTEP_OUTCOME=interrupted\n")
		require.Contains(t, first.Report("junit.xml"), "<testcase")
		require.Contains(t, first.Report("report.html"), "cancelled (SIGTERM)")
		require.NotEmpty(t, first.Report("annotations.json"))
	}
	front.set(nil)
	if struck {
		job.Run(sc.stage...).Succeeds()
	}
	if guard != nil {
		guard.Check(sc.least)
	}
	end = outcome(t, space)
	if want != "" {
		require.Equal(t, want, end, "the run that was struck said:\n%s", first.Log())
	}
	if struck {
		tally.strike(s)
	}
	tally.end(guard, sc.least)
	return end, requests, struck
}

func TestStages_killedAtAnyRequestEndAsIfNeverKilled(t *testing.T) {
	for i, sc := range scenarios(t) {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			want, requests, _ := sc.trial(t, 0, before, 0, "")
			t.Logf("%d requests", requests)
			k, step := 1, 1
			if !full {
				k, step = 1+(5*i)%sample, sample
			}
			for trial := 0; ; trial++ {
				struck := true
				for j, w := range []when{before, after} {
					if !full && j != trial%2 {
						continue
					}
					t.Run(fmt.Sprintf("SIGKILL %s request %d", w, k), func(t *testing.T) {
						_, _, hit := sc.trial(t, k, w, syscall.SIGKILL, want)
						struck = struck && hit
					})
				}
				if ended(t, k, requests, struck) {
					return
				}
				k += step
			}
		})
	}
}

// ended says whether a stage was struck at all of its requests. How many there
// are differs a little from run to run.
func ended(t *testing.T, k, requests int, struck bool) bool {
	if !struck {
		require.Greater(t, k, requests*3/4, "the run was not struck, but an undisturbed one has %d requests", requests)
	}
	return !struck || t.Failed()
}

func TestStages_cancelledAtAnyRequestStopCleanly(t *testing.T) {
	for i, sc := range scenarios(t) {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			want, requests, _ := sc.trial(t, 0, before, 0, "")
			k, step := 1, 1
			if !full {
				k, step = 1+(7*i)%(3*sample), 3*sample
			}
			for struck := true; ; k += step {
				t.Run(fmt.Sprintf("SIGTERM at request %d", k), func(t *testing.T) {
					_, _, struck = sc.trial(t, k, before, syscall.SIGTERM, want)
				})
				if ended(t, k, requests, struck) {
					return
				}
			}
		})
	}
}

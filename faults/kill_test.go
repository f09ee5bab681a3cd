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
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

// full is whether every request is killed, or only some of each stage.
var full = os.Getenv("ROLLSTEP_TEST_FAULTS") == "full"

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

// process is the program as a job runs it.
type process struct {
	mu  sync.Mutex
	cmd *exec.Cmd
}

func (p *process) run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = environ, stdout, stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
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

func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.cmd.Process.Signal(s) // it may have ended
}

// tally is what was done and seen in all trials.
var tally sums

type sums struct {
	mu                                       sync.Mutex
	kills, terms, faults, compared, requests int
}

// fault counts a fault of the server.
func (s *sums) fault() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults++
}

func (s *sums) print() {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Printf("faults: %d kills, %d terminations, %d bad answers of the server, %d final states compared, %d client requests answered meanwhile\n",
		s.kills, s.terms, s.faults, s.compared, s.requests)
}

func (s *sums) add(signal syscall.Signal, struck bool, guard *labtest.Guard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case struck && signal == syscall.SIGKILL:
		s.kills++
	case struck && signal == syscall.SIGTERM:
		s.terms++
	}
	s.compared++
	if guard != nil {
		for _, n := range guard.Answers() {
			s.requests += n
		}
	}
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
			forward.ServeHTTP(newDiscard(), r)
		}
		close(struck)
		p.signal(s)
		if s == syscall.SIGKILL {
			abort()
		}
		forward.ServeHTTP(rw, r)
	}
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
	front := newProxy(t)
	hit := make(chan struct{})
	front.set(strike(p, k, w, s, hit))
	// The same job's id: another one would wait for the lock to run out.
	job := space.Pipeline(sc.pipeline, sc.commit(t)).With("KUBECONFIG="+front.kubeconfig, "CI_JOB_ID=77")
	first := job.Start(sc.stage...)
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
	tally.add(s, struck, guard)
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
				struck := false
				for j, w := range []when{before, after} {
					if !full && j != trial%2 {
						continue
					}
					t.Run(fmt.Sprintf("SIGKILL %s request %d", w, k), func(t *testing.T) {
						_, _, struck = sc.trial(t, k, w, syscall.SIGKILL, want)
					})
				}
				if k += step; !struck || t.Failed() {
					return
				}
			}
		})
	}
}

func TestStages_cancelledAtAnyRequestStopCleanly(t *testing.T) {
	for i, sc := range scenarios(t) {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			want, _, _ := sc.trial(t, 0, before, 0, "")
			k, step := 1, 3
			if !full {
				k, step = 1+(7*i)%(3*sample), 3*sample
			}
			for struck := true; struck && !t.Failed(); k += step {
				t.Run(fmt.Sprintf("SIGTERM at request %d", k), func(t *testing.T) {
					_, _, struck = sc.trial(t, k, before, syscall.SIGTERM, want)
				})
			}
		})
	}
}

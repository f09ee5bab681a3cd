package faults

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gitlab.com/rollstep/rollstep/internal/labtest"
	"gitlab.com/rollstep/rollstep/step"
)

// every makes a fault of each k-th request, and forwards the others.
func every(k int, f func(w http.ResponseWriter, r *http.Request, forward http.Handler)) fault {
	return func(n int, w http.ResponseWriter, r *http.Request, forward http.Handler) {
		if n%k == 0 {
			tally.fault()
			f(w, r, forward)
			return
		}
		forward.ServeHTTP(w, r)
	}
}

// answer is the API server's way to refuse a request.
func answer(code int, reason string, headers ...string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"injected","reason":%q,"code":%d}`, reason, code)
	}
}

func onlyWatches(f func(http.ResponseWriter, *http.Request, http.Handler)) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
		if !isWatch(r) {
			forward.ServeHTTP(w, r)
			return
		}
		f(w, r, forward)
	}
}

func onlyWrites(f func(http.ResponseWriter, *http.Request, http.Handler)) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
		if r.Method == http.MethodGet {
			forward.ServeHTTP(w, r)
			return
		}
		f(w, r, forward)
	}
}

// rollout plays the staged way from v1 to v2 and back through a proxy.
func rollout(t *testing.T, f func() fault) {
	p := &process{}
	space := labtest.New(t, p.run)
	front := newProxy(space)
	front.set(f())
	jobs := func(id int, tag string) labtest.Pipeline {
		return space.Pipeline(id, staged(t, tag)).With("KUBECONFIG=" + front.kubeconfig)
	}
	jobs(1, "v1").Run("canary").Succeeds()
	guard := space.Guard("app", 4)
	second := jobs(2, "v2")
	second.Run("canary", "25%").Succeeds()
	second.Run("canary", "50%").Succeeds()
	second.Run("promote").Succeeds()
	second.Run("rollback").Succeeds()
	guard.Check(4)
	require.Empty(t, space.Leftovers())
	require.Contains(t, space.Image("app"), ":v1")
	tally.end(guard, 4)
}

func TestStages_surviveABadServer(t *testing.T) {
	for name, f := range map[string]func() fault{
		"conflicts among writes": func() fault { return every(3, onlyWrites(answer(409, "Conflict"))) },
		"too many requests":      func() fault { return every(4, answer(429, "TooManyRequests", "Retry-After", "1")) },
		"internal errors":        func() fault { return every(3, answer(500, "InternalError")) },
		"unavailable":            func() fault { return every(3, answer(503, "ServiceUnavailable")) },
		"broken connections":     func() fault { return every(3, func(http.ResponseWriter, *http.Request, http.Handler) { abort() }) },
		"answers lost on the way": func() fault {
			return every(3, func(_ http.ResponseWriter, r *http.Request, forward http.Handler) {
				if !isWatch(r) {
					forward.ServeHTTP(newDiscard(), r)
				}
				abort()
			})
		},
		"expired watches": func() fault { return every(2, onlyWatches(answer(410, "Expired"))) },
		"watches that close at once": func() fault {
			return every(1, onlyWatches(func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
				ctx, cancel := context.WithTimeout(r.Context(), 300*time.Millisecond)
				defer cancel()
				forward.ServeHTTP(w, r.WithContext(ctx))
			}))
		},
		"a restart of the API server": func() fault {
			// Every connection breaks, and for a while none comes to be.
			var down atomic.Pointer[time.Time]
			return func(n int, w http.ResponseWriter, r *http.Request, forward http.Handler) {
				if n == 40 {
					until := time.Now().Add(8 * time.Second)
					down.Store(&until)
				}
				if until := down.Load(); until != nil && time.Now().Before(*until) {
					tally.fault()
					abort()
				}
				ctx, cancel := context.WithCancel(r.Context())
				defer cancel()
				if isWatch(r) { // one that is open when the server goes
					go func() {
						for down.Load() == nil && ctx.Err() == nil {
							select {
							case <-ctx.Done():
							case <-time.After(50 * time.Millisecond):
							}
						}
						if until := down.Load(); until != nil && time.Now().Before(*until) {
							cancel()
						}
					}()
				}
				forward.ServeHTTP(w, r.WithContext(ctx))
			}
		},
		"watches that begin and send nothing": func() fault {
			var silent atomic.Int32
			return every(1, onlyWatches(func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
				if silent.Add(1) > 2 {
					forward.ServeHTTP(w, r)
					return
				}
				silence(w, r)
			}))
		},
		"a request that is never answered": func() fault {
			var stalled atomic.Bool
			return every(11, func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
				if !stalled.CompareAndSwap(false, true) {
					forward.ServeHTTP(w, r)
					return
				}
				_, _ = io.Copy(io.Discard, r.Body) // else the client's going is not noticed
				<-r.Context().Done()
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rollout(t, f)
		})
	}
}

// silence answers a watch with its headers, and then with nothing.
func silence(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// A server all of whose watches are silent ends a stage with that word, long
// before the stage's own end, and nothing is changed.
func TestStages_endWhereNoWatchSendsAnything(t *testing.T) {
	t.Parallel()
	p := &process{}
	space := labtest.New(t, p.run)
	space.Pipeline(1, staged(t, "v1")).Run("canary").Succeeds()
	front := newProxy(space)
	front.set(every(1, onlyWatches(func(w http.ResponseWriter, r *http.Request, _ http.Handler) { silence(w, r) })))
	before := space.State()
	job := space.Pipeline(2, staged(t, "v2")).With("KUBECONFIG="+front.kubeconfig, "ROLLSTEP_TIMEOUT=30m").Run("canary", "50%")
	require.NotEqual(t, step.ExitDone, job.Wait(), "%s", job.Log())
	require.Contains(t, job.Errors(), "the API server accepts watches but does not send what there is")
	require.Contains(t, job.Errors(), "→ Run the job again")
	space.Unchanged(before)
}

// failing makes every request from the k-th on a fault.
func failing(k int, f func(http.ResponseWriter, *http.Request, http.Handler)) fault {
	return func(n int, w http.ResponseWriter, r *http.Request, forward http.Handler) {
		if n >= k {
			tally.fault()
			f(w, r, forward)
			return
		}
		forward.ServeHTTP(w, r)
	}
}

func TestStages_endWithAClearErrorWhenTheServerStaysAway(t *testing.T) {
	for name, c := range map[string]struct {
		f             func(http.ResponseWriter, *http.Request, http.Handler)
		atFirst, says string
	}{
		"gone":              {func(http.ResponseWriter, *http.Request, http.Handler) { abort() }, "the cluster cannot be reached", "the lock was lost: the cluster did not answer"},
		"unavailable":       {answer(503, "ServiceUnavailable"), "the API server is not available", "the lock was lost: the cluster did not answer"},
		"the token ran out": {answer(401, "Unauthorized"), "the cluster does not accept the credentials", "the cluster does not accept the credentials"},
	} {
		for _, k := range []int{1, 12, 20} {
			t.Run(fmt.Sprintf("%s from request %d", name, k), func(t *testing.T) {
				t.Parallel()
				p := &process{}
				space := labtest.New(t, p.run)
				space.Pipeline(1, staged(t, "v1")).Run("canary").Succeeds()
				guard := space.Guard("app", 4)
				front := newProxy(space)
				front.set(failing(k, c.f))
				job := space.Pipeline(2, staged(t, "v2")).With("KUBECONFIG="+front.kubeconfig, "CI_JOB_ID=77").Start("canary", "50%")
				require.NotEqual(t, step.ExitDone, job.Wait(), "%s", job.Log())
				if k == 1 {
					require.Contains(t, job.Errors(), c.atFirst)
				} else {
					require.Contains(t, job.Errors(), c.says)
				}
				require.Contains(t, job.Errors(), "→", "what to do next")
				front.set(nil)
				space.Pipeline(2, staged(t, "v2")).With("CI_JOB_ID=77").Run("canary", "50%").Succeeds()
				guard.Check(4)
				tally.end(guard, 4)
			})
		}
	}
}

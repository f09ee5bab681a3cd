package faults

import (
	"net/http"
	"net/http/httputil"
	"sync"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

// proxy stands between one run of rollstep and the lab's API server, acts as
// user ci, and does to each request what its fault says.
type proxy struct {
	kubeconfig string
	forward    *httputil.ReverseProxy

	mu    sync.Mutex
	count int
	fault fault
}

// fault does something to request number n, counted from 1, instead of or
// around forward. A nil fault forwards everything.
type fault func(n int, w http.ResponseWriter, r *http.Request, forward http.Handler)

// abort breaks the connection without an answer.
func abort() { panic(http.ErrAbortHandler) }

func newProxy(s *labtest.Space) *proxy {
	p := &proxy{}
	p.kubeconfig = s.Front(func(forward *httputil.ReverseProxy) http.Handler {
		p.forward = forward
		return p
	})
	return p
}

// set makes f the fault of the requests to come, and counts them anew.
func (p *proxy) set(f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count, p.fault = 0, f
}

func (p *proxy) requests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.count++
	n, f := p.count, p.fault
	p.mu.Unlock()
	if f == nil {
		p.forward.ServeHTTP(w, r)
		return
	}
	f(n, w, r, p.forward)
}

// discard is where the answer goes of a request whose sender is killed.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}
func newDiscard() http.ResponseWriter         { return discard{http.Header{}} }
func isWatch(r *http.Request) bool            { return r.URL.Query().Get("watch") != "" }

package faults

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
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

func newProxy(t *testing.T) *proxy {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("LAB_CI_KUBECONFIG"))
	require.NoError(t, err, "LAB_CI_KUBECONFIG: run make test, or lab run -- go test ./...")
	transport, err := rest.TransportFor(config)
	require.NoError(t, err)
	target, err := url.Parse(config.Host)
	require.NoError(t, err)
	p := &proxy{forward: httputil.NewSingleHostReverseProxy(target)}
	p.forward.Transport = transport
	p.forward.FlushInterval = -1                    // watches
	p.forward.ErrorLog = log.New(io.Discard, "", 0) // broken connections are the purpose
	p.forward.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { abort() }
	server := httptest.NewUnstartedServer(p)
	server.Config.ErrorLog = p.forward.ErrorLog
	server.Start()
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	p.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(p.kubeconfig, fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Config","current-context":"proxy",
"contexts":[{"name":"proxy","context":{"cluster":"proxy"}}],"clusters":[{"name":"proxy","cluster":{"server":%q}}]}`, server.URL), 0o600))
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

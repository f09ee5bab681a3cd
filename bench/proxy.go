package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// proxy stands between a command and the API server and counts what passes.
type proxy struct {
	kubeconfig string
	server     *httptest.Server

	mu    sync.Mutex
	tally tally
}

// tally is what has passed: bodies as they are on the wire, compressed.
type tally struct {
	requests, writes, logs int
	locks                  int   // requests for the lock's Lease
	sent, received         int64 // by the command
	first                  time.Time
}

// steady are the requests but for those whose number is a matter of time: the
// lock is asked for, taken, given back, and renewed every five seconds.
func (t tally) steady() int { return t.requests - max(0, t.locks-3) }

func (b *bench) proxy() (*proxy, error) {
	transport, err := rest.TransportFor(b.config)
	if err != nil {
		return nil, err
	}
	target, err := url.Parse(b.config.Host)
	if err != nil {
		return nil, err
	}
	p := &proxy{}
	reverse := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1,
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
		ModifyResponse: func(r *http.Response) error {
			r.Body = counted{r.Body, func(n int) { p.count(func(t *tally) { t.received += int64(n) }) }}
			return nil
		},
	}
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.admit(r)
		if b.trace {
			defer p.trace(r.Method, r.URL.RequestURI(), time.Now())
		}
		r.Body = counted{r.Body, func(n int) { p.count(func(t *tally) { t.sent += int64(n) }) }}
		reverse.ServeHTTP(w, r)
	}))
	p.kubeconfig = filepath.Join(b.dir, "proxy.kubeconfig")
	err = clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"proxy": {Server: p.server.URL}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"bench": {}},
		Contexts:       map[string]*clientcmdapi.Context{"proxy": {Cluster: "proxy", AuthInfo: "bench"}},
		CurrentContext: "proxy",
	}, p.kubeconfig)
	return p, err
}

func (p *proxy) admit(r *http.Request) {
	query := r.URL.Query()
	p.count(func(t *tally) {
		if t.requests == 0 {
			t.first = time.Now()
		}
		t.requests++
		switch {
		case strings.Contains(r.URL.Path, "/leases"):
			t.locks++
		case strings.HasSuffix(r.URL.Path, "/log"):
			t.logs++
		case r.Method != http.MethodGet && query.Get("dryRun") == "" && !strings.Contains(r.URL.Path, "/authorization.k8s.io/"):
			t.writes++
		}
	})
}

// trace prints a request that has ended, and when it was under way.
func (p *proxy) trace(method, uri string, began time.Time) {
	p.mu.Lock()
	first := p.tally.first
	p.mu.Unlock()
	fmt.Fprintf(os.Stderr, "  %4d + %4d ms  %s %s\n", began.Sub(first).Milliseconds(), time.Since(began).Milliseconds(), method, uri)
}

func (p *proxy) count(f func(*tally)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.tally)
}

// take returns what has passed since the last take.
func (p *proxy) take() tally {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() { p.tally = tally{} }()
	return p.tally
}

func (p *proxy) close() {
	p.server.CloseClientConnections()
	p.server.Close()
}

// through lets a command reach the API server through the proxy.
func (c command) through(p *proxy) command {
	c.env = append(c.env, "KUBECONFIG="+p.kubeconfig)
	return c
}

type counted struct {
	io.ReadCloser
	tell func(int)
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.tell(n)
	return n, err
}

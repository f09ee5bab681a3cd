// Package controlplane starts a real Kubernetes control plane as child
// processes: etcd, the API server, the controller manager, the scheduler, and
// KWOK, which plays the nodes.
package controlplane

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"gitlab.com/rollstep/rollstep/lab/internal/part"
)

// startTimeout is for each part to get ready; on two busy cores the API server may take half of it.
const startTimeout = 2 * time.Minute

// Settings are what a control plane is told from outside.
type Settings struct {
	Dir         string // for data, keys and logs
	NodePorts   string // range for Services, "FROM-TO"
	KubeletPort int    // where container logs are served, and through which (HTTP CONNECT) the API server dials pods
	Progress    func(format string, args ...any)
	// Ports chooses n free ports; FreePorts if nil.
	Ports func(n int) ([]int, error)
}

// ControlPlane is a running control plane.
type ControlPlane struct {
	settings Settings
	plan     plan
	files    *files
	ended    chan *part.Part

	mu    sync.Mutex
	parts []*part.Part // in the order of their start
}

// errAddressTaken says that another process took a port between its choice and its use.
var errAddressTaken = errors.New("a port was taken by another process")

// Start returns once the API server answers and the nodes are ready. A port
// that was taken meanwhile is answered by a new start with other ports.
func Start(ctx context.Context, settings Settings) (*ControlPlane, error) {
	if settings.Ports == nil {
		settings.Ports = FreePorts
	}
	for attempt := 1; ; attempt++ {
		c := &ControlPlane{settings: settings, ended: make(chan *part.Part, 8)}
		err := c.start(ctx)
		if err == nil {
			return c, nil
		}
		c.Kill()
		if attempt == 3 || !errors.Is(err, errAddressTaken) {
			return nil, err
		}
		settings.Progress("%v; starting again with other ports", err)
	}
}

func (c *ControlPlane) start(ctx context.Context) error {
	ports, err := c.settings.Ports(3)
	if err != nil {
		return err
	}
	p := plan{Settings: c.settings, etcdPort: ports[0], etcdPeerPort: ports[1], apiPort: ports[2]}
	c.plan = p
	if c.files, err = writeFiles(p); err != nil {
		return err
	}
	if err := c.startPart(ctx, Etcd, p.etcdArgs(), c.answers(fmt.Sprintf("https://127.0.0.1:%d/health", p.etcdPort))); err != nil {
		return err
	}
	if err := c.startAPIServer(ctx); err != nil {
		return err
	}
	c.settings.Progress("API server is ready")
	if err := c.startPart(ctx, ControllerManager, p.controllerManagerArgs(), nil); err != nil {
		return err
	}
	if err := c.startPart(ctx, Scheduler, p.schedulerArgs(), nil); err != nil {
		return err
	}
	if err := c.startPart(ctx, Kwok, p.kwokArgs(), nil); err != nil {
		return err
	}
	return c.populate(ctx)
}

func (c *ControlPlane) startAPIServer(ctx context.Context) error {
	return c.startPart(ctx, APIServer, c.plan.apiServerArgs(), c.answers(fmt.Sprintf("https://127.0.0.1:%d/readyz", c.plan.apiPort)))
}

// Names of the parts, also on the hidden command line.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	Kwok              = "kwok"
)

// startPart starts a part and waits until ready says so.
func (c *ControlPlane) startPart(ctx context.Context, name string, args []string, ready func(context.Context) bool) error {
	started, err := part.Start(c.settings.Dir, name, args...)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.parts = append(c.parts, started)
	c.mu.Unlock()
	go func() {
		<-started.Done()
		if c.has(started) {
			c.ended <- started
		}
	}()
	if ready == nil {
		return nil
	}
	return c.await(ctx, name, ready)
}

// await waits until ready, a part ends, or the time is up.
func (c *ControlPlane) await(ctx context.Context, what string, ready func(context.Context) bool) error {
	timeout := time.After(startTimeout)
	for {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		ok := ready(attempt)
		cancel()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case p := <-c.ended:
			if p.AddressTaken() {
				return fmt.Errorf("%s: %w", p.Name, errAddressTaken)
			}
			return p.Failure()
		case <-timeout:
			last := c.last()
			return fmt.Errorf("%s was not ready after %v; the last lines of the log of %s:\n%s", what, startTimeout, last.Name, last.Tail(15))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// answers tells whether a server of this control plane, and no other, answers 200.
func (c *ControlPlane) answers(url string) func(context.Context) bool {
	return func(ctx context.Context) bool {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return false
		}
		response, err := c.files.client.Do(request)
		if err != nil {
			return false
		}
		defer func() { _ = response.Body.Close() }()
		return response.StatusCode == http.StatusOK
	}
}

// Ended yields a part that ended although nobody asked it to.
func (c *ControlPlane) Ended() <-chan *part.Part { return c.ended }

// Kubeconfig is the administrator's.
func (c *ControlPlane) Kubeconfig() string { return c.files.admin }

// CIKubeconfig is that of user "ci", who has no rights until somebody binds a Role.
func (c *ControlPlane) CIKubeconfig() string { return c.files.ci }

// KubeletTLS is what the kubelet's server needs: it serves only the API server.
func (c *ControlPlane) KubeletTLS() *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{c.files.server},
		ClientCAs:    c.files.roots, ClientAuth: tls.RequireAndVerifyClientCert,
		MinVersion: tls.VersionTLS12,
	}
}

// Kill ends all parts, the last started first.
func (c *ControlPlane) Kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range slices.Backward(c.parts) {
		p.Kill()
	}
}

// FreePorts returns ports that nobody listens on at this moment.
func FreePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		// Closed only at the end, so that all ports differ.
		defer func() { _ = listener.Close() }()
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

func httpClient(certificate tls.Certificate, roots *x509.CertPool) *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: roots, MinVersion: tls.VersionTLS12},
	}}
}

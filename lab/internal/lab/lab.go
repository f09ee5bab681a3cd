// Package lab puts a lab together: a control plane, the kubelet that lets pods
// behave, and the traffic that reaches them.
package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"gitlab.com/rollstep/rollstep/lab/internal/controlplane"
	"gitlab.com/rollstep/rollstep/lab/internal/datadir"
	"gitlab.com/rollstep/rollstep/lab/internal/kubelet"
	"gitlab.com/rollstep/rollstep/lab/internal/traffic"
)

// Lab is a running lab.
type Lab struct {
	dir     *datadir.Dir
	plane   *controlplane.ControlPlane
	traffic *traffic.Slice
	cancel  context.CancelFunc
	running sync.WaitGroup
	closers []io.Closer
}

// Start starts a lab in dir and returns when it is ready. Progress goes to stderr.
func Start(ctx context.Context, dir *datadir.Dir, stderr io.Writer) (_ *Lab, err error) {
	began := time.Now()
	progress := func(format string, args ...any) { fmt.Fprintf(stderr, "lab: "+format+"\n", args...) }
	progress("starting a Kubernetes control plane")

	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l := &Lab{dir: dir, cancel: cancel}
	defer func() {
		if err != nil {
			l.stopParts()
		}
	}()

	logs, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return l, err
	}
	l.closers = append(l.closers, logs)
	if l.traffic, err = traffic.Claim(); err != nil {
		return l, err
	}
	l.closers = append(l.closers, l.traffic)

	l.plane, err = controlplane.Start(ctx, controlplane.Settings{
		Dir:         dir.Path,
		NodePorts:   l.traffic.NodePorts(),
		KubeletPort: logs.Addr().(*net.TCPAddr).Port,
		Progress:    progress,
	})
	if err != nil {
		return l, err
	}
	if err := l.play(run, logs); err != nil {
		return l, err
	}
	progress("ready after %.1f s", time.Since(began).Seconds())
	return l, nil
}

// play starts what the lab itself adds to the control plane.
func (l *Lab) play(ctx context.Context, logs net.Listener) error {
	config, err := clientcmd.BuildConfigFromFlags("", l.plane.Kubeconfig())
	if err != nil {
		return err
	}
	config.QPS = -1 // the API server is ours; it limits us itself if need be
	config.UserAgent = "kubelet"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(l.dir.Path, "lab.log"))
	if err != nil {
		return err
	}
	l.closers = append(l.closers, file)
	log := slog.New(slog.NewTextHandler(file, nil))
	klog.SetSlogLogger(log) // what client-go has to say

	factory := informers.NewSharedInformerFactory(client, 0)
	pods := kubelet.New(client, factory, log)
	requests := traffic.New(client, factory, l.traffic, logs.Addr().String(), log)
	requests.Restart = l.plane.RestartAPIServer
	factory.Start(ctx.Done())
	for kind, ok := range factory.WaitForCacheSync(ctx.Done()) {
		if !ok {
			return fmt.Errorf("could not watch %v", kind)
		}
	}

	// Log requests of clients that the API server broke off end in errors nobody needs to see.
	server := &http.Server{Handler: forAPIServer(pods.Handler(), requests.Connect), TLSConfig: l.plane.KubeletTLS(), ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug), ReadHeaderTimeout: 10 * time.Second}
	l.closers = append(l.closers, server)
	l.running.Go(func() { _ = server.ServeTLS(logs, "", "") })
	l.running.Go(func() { pods.Run(ctx) })
	l.running.Go(func() { requests.Run(ctx) })
	return nil
}

// forAPIServer is all that the API server asks of nodes: the kubelets' API, and the way to pods.
func forAPIServer(kubelet http.Handler, connect http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect {
			connect(w, r)
			return
		}
		kubelet.ServeHTTP(w, r)
	})
}

// Variables are what a command needs to use the lab, as NAME=value.
func (l *Lab) Variables() []string {
	return []string{
		"KUBECONFIG=" + l.plane.Kubeconfig(),
		"LAB_CI_KUBECONFIG=" + l.plane.CIKubeconfig(),
		"LAB_TRAFFIC=" + l.traffic.URL(),
	}
}

// Wait returns when ctx ends (nil) or a part of the lab died.
func (l *Lab) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case p := <-l.plane.Ended():
		return p.Failure()
	}
}

// Stop ends everything and removes the lab's data.
func (l *Lab) Stop() error {
	l.stopParts()
	return l.dir.Remove()
}

func (l *Lab) stopParts() {
	l.cancel()
	if l.plane != nil {
		l.plane.Kill()
	}
	var all error
	for _, c := range l.closers {
		all = errors.Join(all, c.Close())
	}
	l.closers = nil
	l.running.Wait()
}

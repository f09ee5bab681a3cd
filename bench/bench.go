package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// bench is one run: the cluster, where everything is, and what was measured.
type bench struct {
	options
	self       string // this program
	dir        string // for manifests and what the tools keep
	kubeconfig string
	config     *rest.Config
	client     kubernetes.Interface
	made       []string // namespaces
	began      time.Time
	report     report
}

func newBench(o options) (*bench, error) {
	b := &bench{options: o, kubeconfig: os.Getenv("KUBECONFIG"), began: time.Now()}
	if b.kubeconfig == "" {
		return nil, errors.New("KUBECONFIG is not set: run make bench, or bin/lab run -- bin/bench")
	}
	for _, tool := range []string{"rollstep", "kubectl", "helm"} {
		if !exists(filepath.Join(b.bin, tool)) {
			return nil, fmt.Errorf("%s is not in %s: make bench builds it", tool, b.bin)
		}
	}
	var err error
	if b.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if b.config, err = clientcmd.BuildConfigFromFlags("", b.kubeconfig); err != nil {
		return nil, err
	}
	b.config.QPS = -1 // unlimited
	if b.client, err = kubernetes.NewForConfig(b.config); err != nil {
		return nil, err
	}
	b.dir, err = os.MkdirTemp("", "rollstep-bench-")
	return b, err
}

// environ is what every command gets: nothing of a pipeline that the bench may
// itself run in, and nothing of the person's own tools.
func (b *bench) environ() []string {
	return []string{
		"PATH=" + b.bin + string(os.PathListSeparator) + os.Getenv("PATH"),
		"HOME=" + b.dir, "TMPDIR=" + b.dir, "KUBECONFIG=" + b.kubeconfig, "USER=bench",
		"ROLLSTEP_SETTLE=0s", "ROLLSTEP_RELEASE=shop",
	}
}

// namespace makes a namespace whose pods can start.
func (b *bench) namespace(ctx context.Context) (string, error) {
	ns, err := b.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "rollstep-bench-"},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	b.made = append(b.made, ns.Name)
	for until := time.Now().Add(time.Minute); ; {
		_, err := b.client.CoreV1().ServiceAccounts(ns.Name).Get(ctx, "default", metav1.GetOptions{})
		if err == nil {
			return ns.Name, nil
		}
		if !apierrors.IsNotFound(err) || time.Now().After(until) {
			return "", err
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return "", err
		}
	}
}

// remove deletes a namespace and waits until its pods have made room.
func (b *bench) remove(ctx context.Context, namespace string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for {
		err := b.client.CoreV1().Namespaces().Delete(ctx, namespace, metav1.DeleteOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil && !apierrors.IsConflict(err) { // it is on its way out
			return err
		}
		if err := pause(ctx, time.Second); err != nil {
			return fmt.Errorf("namespace %s is not gone yet: %w", namespace, err)
		}
	}
}

// pause lets the cluster's controllers come to rest between two runs.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

func (b *bench) cleanUp() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // also after Ctrl-C
	defer cancel()
	errs := []error{os.RemoveAll(b.dir)}
	for _, name := range b.made {
		if err := b.client.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("namespace %s is left: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// writeFile makes a file below the bench's directory and returns its path.
func (b *bench) writeFile(name, text string) (string, error) {
	path := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	return path, os.WriteFile(path, []byte(text), 0o644)
}

func (b *bench) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%4.0f s  %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}

// environment says where and with what was measured.
func (b *bench) environment(began time.Time) []string {
	server := "of unknown version"
	if v, err := b.client.Discovery().ServerVersion(); err == nil {
		server = v.GitVersion
	}
	return []string{
		fmt.Sprintf("%s, %d processors, %s/%s, which the tools and the cluster share", began.Format("2006-01-02"), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH),
		fmt.Sprintf("Kubernetes %s, kubectl %s, Helm %s, all built by %s", server,
			b.moduleVersion("kubectl", "k8s.io/kubernetes"), b.moduleVersion("helm", "helm.sh/helm/v4"), runtime.Version()),
		fmt.Sprintf("%d rounds; the commands of a round run one after the other, and each round begins with another one; %s in all",
			b.rounds, time.Since(began).Round(time.Second)),
	}
}

// moduleVersion is that of the module that a tool was built from.
func (b *bench) moduleVersion(tool, module string) string {
	info, err := buildinfo.ReadFile(filepath.Join(b.bin, tool))
	if err != nil {
		return "of unknown version"
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == module {
			return m.Version
		}
	}
	return "of unknown version"
}

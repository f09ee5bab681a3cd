package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"gitlab.com/rollstep/rollstep/lab/internal/datadir"
	"gitlab.com/rollstep/rollstep/lab/internal/lab"
)

// The test binary is also the lab's: a lab starts its own binary for its parts,
// and some tests start it as a user would.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") {
		signals := make(chan os.Signal, 2)
		signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
		os.Exit(run(context.Background(), os.Args[1:], os.Environ(), signals, os.Stdout, os.Stderr))
	}
	code := m.Run()
	if shared != nil {
		if err := shared.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// shared is the lab that most tests use; each in a namespace of its own.
var shared *lab.Lab

var start = sync.OnceValue(func() error {
	dir, err := datadir.Temporary()
	if err != nil {
		return err
	}
	shared, err = lab.Start(context.Background(), dir, os.Stderr)
	return err
})

// world is one test's part of the shared lab.
type world struct {
	*testing.T
	client    *kubernetes.Clientset
	namespace string
}

func newWorld(t *testing.T) world {
	require.NoError(t, start())
	w := world{T: t, client: clientFrom(t, variable(t, "KUBECONFIG"))}
	namespace, err := w.client.CoreV1().Namespaces().Create(t.Context(), named("test-"), metav1.CreateOptions{})
	require.NoError(t, err)
	w.namespace = namespace.Name
	w.eventually("the default service account", func() bool {
		_, err := w.client.CoreV1().ServiceAccounts(w.namespace).Get(t.Context(), "default", metav1.GetOptions{})
		return err == nil
	})
	return w
}

func variable(t *testing.T, name string) string {
	value := lookup(shared.Variables(), name)
	require.NotEmpty(t, value)
	return value
}

func clientFrom(t *testing.T, kubeconfig string) *kubernetes.Clientset {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	require.NoError(t, err)
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	return client
}

// eventually waits for a condition; the limit is only there so that a broken lab does not hang.
func (w world) eventually(what string, condition func() bool) {
	w.Helper()
	require.Eventually(w.T, condition, 2*time.Minute, 50*time.Millisecond, what)
}

func TestRun_explainsMistakes(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, `unknown command ""`},
		{[]string{"start"}, `unknown command "start"`},
		{[]string{"up", "here"}, `up takes no argument "here"`},
		{[]string{"up", "--port", "1"}, "flag provided but not defined"},
		{[]string{"run"}, "run needs a command"},
		{[]string{"load", "app"}, `"app" is not NAMESPACE/SERVICE`},
		{[]string{"load", "--requests", "0", "a/b"}, "load needs one NAMESPACE/SERVICE"},
	} {
		var stderr bytes.Buffer
		assert.Equal(t, 2, run(t.Context(), test.args, nil, nil, nil, &stderr), test.args)
		assert.Contains(t, stderr.String(), test.want)
	}
	var stdout bytes.Buffer
	assert.Equal(t, 0, run(t.Context(), []string{"help"}, nil, nil, &stdout, nil))
	assert.Contains(t, stdout.String(), "lab run -- COMMAND")
}

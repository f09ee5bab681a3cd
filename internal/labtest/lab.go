// Package labtest runs rollstep in tests against the lab: a real Kubernetes
// whose pods behave as their image tags say. Nothing in it is faked, and
// nothing waits but by watching.
package labtest

import (
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
)

// hangGuard bounds every wait of a test: it is no expectation of how long
// something takes.
const hangGuard = 2 * time.Minute

// lab is how to reach the lab.
type lab struct {
	admin        dynamic.Interface
	ciKubeconfig string
	traffic      string // URL of its load balancer
	http         *http.Client
}

var theLab = sync.OnceValues(func() (*lab, string) {
	l := &lab{ciKubeconfig: os.Getenv("LAB_CI_KUBECONFIG"), traffic: os.Getenv("LAB_TRAFFIC")}
	kubeconfig := os.Getenv("KUBECONFIG")
	if kubeconfig == "" || l.ciKubeconfig == "" || l.traffic == "" {
		return nil, "this test needs the lab (KUBECONFIG, LAB_CI_KUBECONFIG and LAB_TRAFFIC are not all set): run make test, or lab run -- go test ./..."
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, "KUBECONFIG of the lab: " + err.Error()
	}
	config.QPS = -1 // unlimited
	if l.admin, err = dynamic.NewForConfig(config); err != nil {
		return nil, "KUBECONFIG of the lab: " + err.Error()
	}
	l.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 30 * time.Second}
	return l, ""
})

func find(t testing.TB) *lab {
	l, problem := theLab()
	if problem != "" {
		t.Fatal(problem)
	}
	return l
}

// Repository is the directory of the checkout that the test runs in.
func Repository(t testing.TB) string {
	dir, err := os.Getwd()
	require.NoError(t, err)
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		require.NotEqual(t, dir, filepath.Dir(dir), "no go.mod above the test")
		dir = filepath.Dir(dir)
	}
}

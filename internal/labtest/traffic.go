package labtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// ask sends one request to a Service and returns the version that answered.
func (s *Space) ask(ctx context.Context, service string) (version string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.lab.traffic+"/"+s.Name+"/"+service+"/", nil)
	if err != nil {
		return "", err
	}
	response, err := s.lab.http.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", response.Status, body)
	}
	var answer struct{ Version string }
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", err
	}
	return answer.Version, nil
}

// Ask sends n requests to a Service and counts the versions that answer, which
// must be among those given. The lab's load balancer learns of changes a moment
// later than we do: first it is asked until no other version answers.
func (s *Space) Ask(service string, n int, versions ...string) map[string]int {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.context(), hangGuard)
	defer cancel()
	for inRow := 0; inRow < 100; inRow++ {
		version, err := s.ask(ctx, service)
		require.NoError(s.t, err)
		if !slices.Contains(versions, version) {
			require.NoError(s.t, ctx.Err(), "Service %s still answers with %s", service, version)
			inRow = -1
		}
	}
	var (
		mu      sync.Mutex
		failure error
		next    atomic.Int64
		wait    sync.WaitGroup
		counts  = map[string]int{}
	)
	for range clients {
		wait.Go(func() {
			for next.Add(1) <= int64(n) {
				version, err := s.ask(ctx, service)
				mu.Lock()
				if err != nil {
					failure = err
				} else {
					counts[version]++
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	require.NoError(s.t, failure)
	return counts
}

// AwaitEndpoints waits until a Service has so many ready endpoints.
func (s *Space) AwaitEndpoints(service string, n int) {
	s.t.Helper()
	ready := -1
	err := s.follow(EndpointSlices, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=" + service},
		func(slices map[string]*unstructured.Unstructured) bool {
			ready = len(readyEndpoints(slices))
			return ready == n
		})
	require.NoError(s.t, err, "Service %s has %d ready endpoints", service, ready)
}

package labtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// answer is what a pod says.
type answer struct{ Version, Pod string }

// ask sends one request to a Service and returns what answered.
func (s *Space) ask(ctx context.Context, service string) (answer, error) {
	a := answer{}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.lab.traffic+"/"+s.Name+"/"+service+"/", nil)
	if err != nil {
		return a, err
	}
	response, err := s.lab.http.Do(request)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return a, err
	}
	if response.StatusCode != http.StatusOK {
		return a, fmt.Errorf("%s: %s", response.Status, body)
	}
	return a, json.Unmarshal(body, &a)
}

// Ask sends n requests to a Service and counts the versions that answer, which
// must be among those given.
func (s *Space) Ask(service string, n int, versions ...string) map[string]int {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.context(), hangGuard)
	defer cancel()
	s.reach(ctx, service, versions)
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
				answer, err := s.ask(ctx, service)
				mu.Lock()
				if err != nil {
					failure = err
				} else {
					counts[answer.Version]++
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	require.NoError(s.t, failure)
	return counts
}

// reach asks a Service until all of its ready endpoints have answered, and
// nothing else does: the lab's load balancer learns of changes a moment later
// than we do. From the first answer on, no request may fail.
func (s *Space) reach(ctx context.Context, service string, versions []string) {
	s.t.Helper()
	ready := s.ready(service)
	answered := map[string]bool{}
	a, err := s.firstAnswer(ctx, service)
	for inRow := 1; ; inRow++ {
		require.NoError(s.t, err, "Service %s: %d of %d endpoints have answered", service, len(answered), len(ready))
		answered[a.Pod] = true
		if !ready[a.Pod] || !slices.Contains(versions, a.Version) {
			require.NoError(s.t, ctx.Err(), "Service %s still answers with %s of pod %s", service, a.Version, a.Pod)
			ready, answered, inRow = s.ready(service), map[string]bool{}, 0
		}
		if inRow >= 100 && len(answered) == len(ready) {
			return
		}
		a, err = s.ask(ctx, service)
	}
}

// firstAnswer asks a Service until it answers, which it does not before the lab's
// load balancer has learnt of its endpoints.
func (s *Space) firstAnswer(ctx context.Context, service string) (answer, error) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var failure error
	for {
		a, err := s.ask(ctx, service)
		if err == nil {
			return a, nil
		}
		if ctx.Err() != nil {
			return a, errors.Join(failure, err)
		}
		failure = err
		<-ticker.C
	}
}

// ready are the names of the pods that are ready endpoints of a Service now.
func (s *Space) ready(service string) map[string]bool {
	s.t.Helper()
	slices := map[string]*unstructured.Unstructured{}
	for _, o := range s.List(EndpointSlices) {
		if o.GetLabels()["kubernetes.io/service-name"] == service {
			slices[o.GetName()] = &o
		}
	}
	pods := map[string]bool{}
	for _, pod := range readyEndpoints(slices) {
		pods[pod] = true
	}
	return pods
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

// RestartAPIServer kills the lab's API server, and returns once it is there
// again. It is everybody's: only for tests with a lab of their own.
func (s *Space) RestartAPIServer() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.context(), hangGuard)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.lab.traffic+"/restart/kube-apiserver", nil)
	require.NoError(s.t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(s.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	require.Equal(s.t, http.StatusNoContent, response.StatusCode, "%s", body)
}

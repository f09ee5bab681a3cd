package labtest

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
)

// Guard watches a Service from the moment it is made: how many endpoints are
// ready, how many pods the Deployments behind it ask for, and what its users
// get who send requests all the time.
type Guard struct {
	space   *Space
	service string
	stop    context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	changed  *sync.Cond
	seen     map[string]string // resourceVersion by kind and name
	from     int
	reached  bool
	min, max int // ready endpoints since there were from
	most     int // pods asked for
	answers  map[string]int
	failures []string
	broken   error
}

const (
	clients  = 3
	interval = 5 * time.Millisecond // between two requests of all clients
)

// Guard begins to watch a Service that has n ready endpoints, or will have.
func (s *Space) Guard(service string, n int) *Guard {
	s.t.Helper()
	o := s.Get(Services, service)
	require.NotNil(s.t, o, "Service %s", service)
	selector, _, err := unstructured.NestedStringMap(o.Object, "spec", "selector")
	require.NoError(s.t, err)
	ctx, stop := context.WithCancel(s.context())
	g := &Guard{space: s, service: service, from: n, stop: stop, seen: map[string]string{}, answers: map[string]int{}}
	g.changed = sync.NewCond(&g.mu)
	g.follow(ctx, EndpointSlices, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=" + service}, g.count)
	g.follow(ctx, Deployments, metav1.ListOptions{}, func(all map[string]*unstructured.Unstructured) {
		g.most = max(g.most, asked(all, labels.SelectorFromSet(selector)))
	})
	g.request(ctx)
	s.t.Cleanup(g.end)
	return g
}

// Users begins to send requests to a Service all the time, and watches nothing:
// for where the API server goes away meanwhile.
func (s *Space) Users(service string) *Guard {
	s.t.Helper()
	ctx, stop := context.WithCancel(s.context())
	g := &Guard{space: s, service: service, stop: stop, answers: map[string]int{}}
	g.request(ctx)
	s.t.Cleanup(g.end)
	return g
}

// CheckAnswers checks that every request was answered.
func (g *Guard) CheckAnswers() {
	g.space.t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.space.t
	assert.Empty(t, g.failures[:min(5, len(g.failures))], "%d requests failed", len(g.failures))
	assert.NotEmpty(t, g.answers, "nobody asked")
}

func (g *Guard) end() {
	g.stop()
	g.running.Wait()
}

func (g *Guard) follow(ctx context.Context, resource Resource, some metav1.ListOptions, look func(map[string]*unstructured.Unstructured)) {
	began := make(chan struct{})
	begin := sync.OnceFunc(func() { close(began) })
	g.running.Go(func() {
		defer begin()
		err := follow(ctx, g.space.of(resource), some, func(all map[string]*unstructured.Unstructured) bool {
			g.mu.Lock()
			defer g.mu.Unlock()
			look(all)
			for name, o := range all {
				g.seen[resource.Resource+"/"+name] = o.GetResourceVersion()
			}
			g.changed.Broadcast()
			begin()
			return false
		})
		if ctx.Err() == nil {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.broken = fmt.Errorf("guard of Service %s: %w", g.service, err)
			g.changed.Broadcast()
		}
	})
	<-began
}

// count counts the ready endpoints: an address may be in two slices while these
// are rearranged.
func (g *Guard) count(slices map[string]*unstructured.Unstructured) {
	ready := len(readyEndpoints(slices))
	if !g.reached && ready >= g.from {
		g.reached, g.min, g.max = true, ready, ready
	}
	g.min, g.max = min(g.min, ready), max(g.max, ready)
}

// readyEndpoints are the pods at the addresses that get traffic.
func readyEndpoints(slices map[string]*unstructured.Unstructured) map[string]string {
	ready := map[string]string{}
	for _, slice := range slices {
		endpoints, _, _ := unstructured.NestedSlice(slice.Object, "endpoints")
		for _, e := range endpoints {
			endpoint, _ := e.(map[string]any)
			is, said, _ := unstructured.NestedBool(endpoint, "conditions", "ready")
			addresses, _, _ := unstructured.NestedStringSlice(endpoint, "addresses")
			if (is || !said) && len(addresses) > 0 {
				ready[addresses[0]], _, _ = unstructured.NestedString(endpoint, "targetRef", "name")
			}
		}
	}
	return ready
}

func asked(deployments map[string]*unstructured.Unstructured, selector labels.Selector) int {
	sum := 0
	for _, d := range deployments {
		podLabels, _, _ := unstructured.NestedStringMap(d.Object, "spec", "template", "metadata", "labels")
		if selector.Matches(labels.Set(podLabels)) {
			n, _, _ := unstructured.NestedInt64(d.Object, "spec", "replicas")
			sum += int(n)
		}
	}
	return sum
}

// request sends requests all the time, from the first one that is answered.
func (g *Guard) request(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, hangGuard)
	defer cancel()
	_, err := g.space.firstAnswer(bounded, g.service)
	require.NoError(g.space.t, err, "nobody answers")
	ticker := time.NewTicker(interval)
	for range clients {
		g.running.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-ticker.C:
				}
				a, err := g.space.ask(ctx, g.service)
				if ctx.Err() != nil {
					return
				}
				g.note(a.Version, err)
			}
		})
	}
	go func() {
		<-ctx.Done()
		ticker.Stop()
	}()
}

func (g *Guard) note(version string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		g.failures = append(g.failures, time.Now().Format("15:04:05.000 ")+err.Error())
		return
	}
	g.answers[version]++
}

// catchUp waits until the guard has seen what is in the cluster now.
func (g *Guard) catchUp() {
	g.space.t.Helper()
	now := map[string]string{}
	for _, o := range g.space.List(Deployments) {
		now[Deployments.Resource+"/"+o.GetName()] = o.GetResourceVersion()
	}
	for _, o := range g.space.List(EndpointSlices) {
		if o.GetLabels()["kubernetes.io/service-name"] == g.service {
			now[EndpointSlices.Resource+"/"+o.GetName()] = o.GetResourceVersion()
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.broken == nil && !g.hasSeen(now) {
		g.changed.Wait()
	}
	require.NoError(g.space.t, g.broken)
}

func (g *Guard) hasSeen(now map[string]string) bool {
	for name, version := range now {
		if len(g.seen[name]) < len(version) || len(g.seen[name]) == len(version) && g.seen[name] < version {
			return false
		}
	}
	return true
}

// Most is the largest number of pods that the Deployments behind the Service
// have asked for together.
func (g *Guard) Most() int {
	g.space.t.Helper()
	g.catchUp()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.most
}

// Answers are the answers so far by version.
func (g *Guard) Answers() map[string]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.answers)
}

// Fewest is the smallest number of endpoints that were ready together.
func (g *Guard) Fewest() int {
	g.space.t.Helper()
	g.catchUp()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.min
}

// Requests counts the requests so far.
func (g *Guard) Requests() (answered, failed int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, n := range g.answers {
		answered += n
	}
	return answered, len(g.failures)
}

// Check checks that there were never fewer than least ready endpoints, and that
// every request was answered.
func (g *Guard) Check(least int) {
	g.space.t.Helper()
	g.catchUp()
	g.CheckAnswers()
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.space.t
	assert.True(t, g.reached, "Service %s never had %d ready endpoints", g.service, g.from)
	assert.GreaterOrEqual(t, g.min, least, "fewest ready endpoints of Service %s", g.service)
}

package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

// stageCosts are the stages of a rollout in turn, and how many requests each may
// take, watches included. They do not depend on the number of pods, but for the
// batches of a move. What a stage costs more must be worth it: raise a number
// only with a reason.
var stageCosts = []struct {
	version, stage string
	requests       int
}{
	{"v1", "canary 10%", 20}, // the first release
	{"v1", "apply", 18},      // nothing to do
	{"v2", "plan", 15},
	{"v2", "canary 10%", 25},
	{"v2", "canary 10%", 22}, // again: nothing to do
	{"v2", "status", 8},
	{"v2", "promote", 26},
	{"v2", "promote", 16}, // again: nothing to do
	{"v2", "rollback", 25},
}

func TestCost_requestsOfAStage(t *testing.T) {
	var mu sync.Mutex
	seen := map[int][]int{}
	t.Run("with", func(t *testing.T) {
		for _, pods := range []int{3, 30} {
			t.Run(fmt.Sprintf("%d pods", pods), func(t *testing.T) {
				s := space(t)
				between := s.Between()
				pipelines := map[string]labtest.Pipeline{"v1": s.Pipeline(1, few(t, "v1", pods)), "v2": s.Pipeline(2, few(t, "v2", pods))}
				var taken []int
				for _, stage := range stageCosts {
					requests := cost(t, between, pipelines[stage.version], strings.Fields(stage.stage)...)
					assert.LessOrEqual(t, len(requests), stage.requests, "requests of %s of %s:\n%s", stage.stage, stage.version, strings.Join(requests, "\n"))
					taken = append(taken, len(requests))
				}
				t.Log("requests of each stage:", taken)
				mu.Lock()
				defer mu.Unlock()
				seen[pods] = taken
			})
		}
	})
	assert.Equal(t, seen[3], seen[30], "the same requests with 3 pods and with 30")
}

// An object takes a dry run, and a write if it changed. Whether it is live is
// asked once for all of a kind.
func TestCost_requestsOfManyObjects(t *testing.T) {
	requests := map[int][2]int{}
	var mu sync.Mutex
	t.Run("with", func(t *testing.T) {
		for _, n := range []int{20, 50} {
			t.Run(fmt.Sprintf("%d ConfigMaps", n), func(t *testing.T) {
				s := space(t)
				between := s.Between()
				p := s.Pipeline(1, labtest.Files{"all.yaml": configMaps(n)})
				first := cost(t, between, p, "apply")
				again := cost(t, between, p, "apply")
				mu.Lock()
				defer mu.Unlock()
				requests[n] = [2]int{len(first), len(again)}
			})
		}
	})
	assert.Equal(t, 2*30, requests[50][0]-requests[20][0], "30 more objects: a dry run and a write each")
	assert.Equal(t, 30, requests[50][1]-requests[20][1], "30 more objects that are live already: a dry run each")
	assert.LessOrEqual(t, requests[20][0], 2*20+20, "besides the objects themselves")
}

// Where the live objects cannot be listed at once they are asked for one by one.
func TestCost_objectsThatCannotBeListed(t *testing.T) {
	accounts := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"serviceaccounts"}, Verbs: []string{"get", "create", "patch"}}
	for name, test := range map[string]struct {
		manifests string
		others    int // ConfigMaps in the same namespace
		size      int // of each, in bytes
	}{
		"not allowed":      {manifests: strings.ReplaceAll(configMaps(12), "ConfigMap", "ServiceAccount")},
		"among too many":   {manifests: configMaps(12), others: 60, size: 1},
		"among large ones": {manifests: configMaps(12), others: 10, size: 1 << 20 * 9 / 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := labtest.New(t, run, accounts)
			for i := range test.others {
				s.Create(labtest.ConfigMaps, fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: other-%d}, data: {x: %s}}", i, strings.Repeat("x", test.size)))
			}
			p := s.Pipeline(1, labtest.Files{"all.yaml": test.manifests})
			p.Run("apply").Succeeds("created ", "part-11", "applied release")
			p.Run("apply").Succeeds("nothing to apply")
			p.Run("plan").Succeeds("objects that change: 0, that stay as they are: 12")
		})
	}
}

// cost runs a stage and returns the requests that it took, but for those whose
// number is a matter of time, or of pods up to a bound: renewals of the lock;
// writes of the record, which are spared where it says the same within a second;
// whether what was just written and is not seen yet is still there; and the logs
// of some pods, five of a track at most.
func cost(t *testing.T, between *labtest.Between, p labtest.Pipeline, args ...string) []string {
	t.Helper()
	before := len(between.Requests())
	p.Through(between).Run(args...).Succeeds()
	requests := between.Requests()[before:]
	require.NotEmpty(t, requests)
	written, locks, records, logs := map[string]bool{}, 0, 0, 0
	rest := slices.DeleteFunc(requests, func(request string) bool {
		method, uri, _ := strings.Cut(request, " ")
		path, _, _ := strings.Cut(uri, "?")
		switch {
		case strings.Contains(path, "/leases"):
			locks++
			return locks > 3 // asked for, taken, given back
		case method == "PUT" && strings.Contains(path, "/configmaps/rollstep-"):
			records++
			return true
		case strings.HasSuffix(path, "/log"):
			logs++
			return true
		case method == "PATCH" && !strings.Contains(uri, "dryRun"):
			written[path] = true
		case method == "GET":
			return written[path]
		}
		return false
	})
	assert.LessOrEqual(t, records, 2, "writes of the record by %v", args)
	assert.LessOrEqual(t, logs, 10, "logs that %v reads", args)
	return rest
}

func configMaps(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: part-%02d}\n", i)
	}
	return text.String()
}

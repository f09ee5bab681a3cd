package main

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

// neighbours are a Deployment of somebody else in the same namespace, behind no
// Service of the release.
const neighbours = `apiVersion: apps/v1
kind: Deployment
metadata: {name: others}
spec:
  replicas: 2
  selector: {matchLabels: {app: others}}
  template:
    metadata: {labels: {app: others, part-of: shop}}
    spec: {containers: [{name: others, image: registry.example.com/shop/others:v7}]}
`

// Stages watch what the release and its Services select, and all of a namespace
// only where no selector takes that. Either way they see all that they wait for.
func TestScope_asNarrowAsTheReleaseAllows(t *testing.T) {
	t.Parallel()
	worker := strings.ReplaceAll(neighbours, "others", "worker")
	for name, test := range map[string]struct {
		more string // manifests beside the example's
		pods []string
	}{
		"one workload":           {"", []string{"app in (app)"}},
		"two":                    {worker, []string{"app in (app,worker)"}},
		"with nothing in common": {strings.ReplaceAll(worker, "{app: ", "{name: "), []string{""}},
		"and a pod without labels": {"apiVersion: batch/v1\nkind: Job\nmetadata: {name: once}\n" +
			"spec: {template: {spec: {restartPolicy: Never, containers: [{name: once, image: example/once:v1}]}}}\n", []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := labtest.New(t, run, rbacv1.PolicyRule{APIGroups: []string{"batch"}, Resources: []string{"jobs"}, Verbs: []string{"*"}})
			s.Create(labtest.Deployments, neighbours)
			between := s.Between()
			files := func(tag string) labtest.Files {
				f := few(t, tag, 3)
				if test.more != "" {
					f["more.yaml"] = test.more
				}
				return f
			}
			s.Pipeline(1, files("v1")).Through(between).Run("apply").Succeeds("3 of 3 pods (100.0 %) serve")
			p := s.Pipeline(2, files("v2")).Through(between)
			p.Run("canary", "33%").Succeeds("app-canary has 33.3 % of Service app")
			p.Run("status").Succeeds("33.3 %")
			before := len(between.Requests())
			p.Run("promote").Succeeds("3 of 3 pods (100.0 %) serve")
			watched := selectors(t, between.Requests()[before:])
			p.Run("rollback").Succeeds("rolled back")
			complete(t, s, "app", 3)
			assert.Equal(t, test.pods, watched["pods"])
			assert.Equal(t, test.pods, watched["replicasets"])
			assert.NotContains(t, watched["endpointslices"], "", "never those of all Services")
		})
	}
}

// selectors are the label selectors of the watches among requests, by resource.
func selectors(t *testing.T, requests []string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, request := range requests {
		_, uri, _ := strings.Cut(request, " ")
		u, err := url.Parse(uri)
		require.NoError(t, err)
		if u.Query().Get("watch") == "" {
			continue
		}
		resource := u.Path[strings.LastIndexByte(u.Path, '/')+1:]
		if selector := u.Query().Get("labelSelector"); !slices.Contains(all[resource], selector) {
			all[resource] = append(all[resource], selector)
		}
	}
	return all
}

// A Service that nobody told the stage of shares the release's pods with those of
// others, by a label that the release's Deployment does not select.
func TestScope_sharedService(t *testing.T) {
	s := space(t)
	s.Create(labtest.Deployments, neighbours)
	s.Create(labtest.Services, "{apiVersion: v1, kind: Service, metadata: {name: all}, spec: {selector: {part-of: shop}, ports: [{port: 80}]}}")
	s.AwaitEndpoints("all", 2)
	files := func(tag string) labtest.Files {
		return few(t, tag, 4).Edit("deploy.yaml", "        app: app\n    spec:", "        app: app\n        part-of: shop\n    spec:")
	}
	s.Pipeline(1, files("v1")).Run("apply").Succeeds(
		"Service all: 2 of 6 pods (33.3 %) serve registry.example.com/shop/others:v7",
		"Service app: 4 of 4 pods (100.0 %) serve")
	s.Pipeline(2, files("v2")).Run("canary", "50%").Succeeds("app-canary has 33.3 % of Service all", "app-canary has 50.0 % of Service app")
}

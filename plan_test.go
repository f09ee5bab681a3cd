package main

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

func TestPlan_saysWhatFollowsAndChangesNothing(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		files func(labtest.Files) labtest.Files
		says  []string
	}{
		"nothing": {func(f labtest.Files) labtest.Files { return f }, []string{
			"objects that change: 0, that stay as they are: 2", "plan: nothing changes: live is what the manifests say",
		}},
		"an image": {func(f labtest.Files) labtest.Files { return f.Edit("deploy.yaml", "example-app:v1", "example-app:v2") }, []string{
			"objects that change: 1, that stay as they are: 1",
			"-      - image: registry.gitlab.com/wuestkamp/k8s-deployment-example-app:v1",
			"+      - image: registry.gitlab.com/wuestkamp/k8s-deployment-example-app:v2",
			"Deployment app takes part in the canary: its pod template changes",
			"plan: canary creates app-canary; promote brings release ",
		}},
		"a count": {func(f labtest.Files) labtest.Files { return f.Edit("deploy.yaml", "replicas: 10", "replicas: 12") }, []string{
			"-  replicas: 10", "+  replicas: 12", "plan: nothing to canary; promote brings the changes",
		}},
		"a new object": {func(f labtest.Files) labtest.Files { return f.With("settings.yaml", settingsV1) }, []string{
			"objects that change: 1, that stay as they are: 2", "plan: nothing to canary; promote brings the changes",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := released(t, staged(t, "v1"))
			before := s.State()
			job := s.Pipeline(2, test.files(staged(t, "v1"))).Run("plan").Succeeds(test.says...)
			if name == "a new object" {
				row(t, job.Log(), "ConfigMap", "settings", "created")
			}
			s.Unchanged(before)
		})
	}
}

// What each weight means for this workload, in pods.
func TestPlan_saysThePodsForEachWeight(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		pods      int
		variables []string
		rows      [][]string
	}{
		"10 pods": {10, nil, [][]string{{"10 %", "9", "1", "10.0 %"}, {"25 %", "7", "3", "30.0 %"}, {"50 %", "5", "5", "50.0 %"}}},
		"3 pods and another weight": {3, []string{"ROLLSTEP_WEIGHT=70%"},
			[][]string{{"10 %", "2", "1", "33.3 %"}, {"25 %", "2", "1", "33.3 %"}, {"50 %", "1", "2", "66.7 %"}, {"70 %", "1", "2", "66.7 %"}}},
		"a single pod":   {1, nil, [][]string{{"10 %", "1", "1", "50.0 %"}, {"25 %", "1", "1", "50.0 %"}, {"50 %", "1", "1", "50.0 %"}}},
		"an exact count": {10, []string{"ROLLSTEP_CANARY_REPLICAS=4"}, [][]string{{"4 pods", "6", "4", "40.0 %"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := released(t, few(t, "v1", test.pods))
			job := s.Pipeline(2, few(t, "v2", test.pods)).With(test.variables...).Run("plan").Succeeds()
			for _, want := range test.rows {
				row(t, job.Log(), strings.Fields(strings.Join(want, " "))...)
			}
		})
	}
}

// During a rollout the pods for each weight are those of the whole, not of what
// the stable has left.
func TestPlan_inARollout(t *testing.T) {
	s := released(t, staged(t, "v1"))
	p := s.Pipeline(2, staged(t, "v2"))
	p.Run("canary", "50%").Succeeds()
	before := s.State()
	job := p.Run("plan").Succeeds("a rollout by pipeline #2 (job canary 50%, ann)", "(canary, 50 %)")
	row(t, job.Log(), "25", "%", "7", "3", "30.0", "%")
	s.Unchanged(before)
}

// Nobody reads a Secret's value in a job log, whatever happens to it.
func TestSecrets_areNeverShown(t *testing.T) {
	const first, second, added = "first-hunter2-value", "second-hunter2-value", "added-hunter2-value"
	secret := func(values string) string {
		return "apiVersion: v1\nkind: Secret\nmetadata: {name: credentials}\nstringData: {" + values + "}\n"
	}
	s := released(t, configured(t, "v1", settingsV1, secret("password: "+first+", same: "+added)))
	p := s.Pipeline(2, configured(t, "v2-crash", settingsV1, secret("password: "+second+", more: "+added)))
	healthy := s.Pipeline(3, configured(t, "v2", settingsV1, secret("password: "+second+", more: "+added)))
	jobs := []*labtest.Job{
		p.Run("plan").Succeeds("Secret credentials", "hidden"),
		p.Run("canary").Exits(3),
		healthy.Run("canary", "50%").Succeeds(),
		healthy.Run("status").Succeeds(),
		healthy.Run("promote").Succeeds(),
		healthy.Run("rollback").Succeeds(),
	}
	for _, job := range jobs {
		for _, value := range []string{first, second, added} {
			assert.NotContains(t, job.Log(), value)
			assert.NotContains(t, job.Log(), base64.StdEncoding.EncodeToString([]byte(value)))
		}
	}
	record := s.Get(labtest.ConfigMaps, "rollstep-shop-app")
	text, err := json.Marshal(record.Object)
	require.NoError(t, err)
	assert.NotContains(t, string(text), "hunter2")
}

// A permission that is missing is named before a stage needs it.
func TestPlan_namesMissingPermissions(t *testing.T) {
	t.Parallel()
	for resource, says := range map[string]string{
		"endpointslices":           "list, watch on endpointslices.discovery.k8s.io",
		"replicasets":              "list, watch on replicasets.apps",
		"pods/log":                 "get on pods/log",
		"leases":                   "get, create, update on leases.coordination.k8s.io",
		"horizontalpodautoscalers": "list on horizontalpodautoscalers.autoscaling",
		"events":                   "list on events",
	} {
		t.Run(resource, func(t *testing.T) {
			s := released(t, few(t, "v1", 2))
			guard := s.Guard("app", 2)
			p := s.Pipeline(2, few(t, "v2", 2))
			p.Run("plan").Succeeds()
			forbid(t, s, resource)
			before := s.State()
			p.Run("plan").Succeeds("lacks permissions that the stages need", "namespace "+s.Name+": "+says)
			s.Unchanged(before)

			// A stage says so too: before it changes anything, or it does without.
			job := p.Run("canary")
			guard.Check(2)
			if job.Wait() != 0 {
				s.Unchanged(before)
				job.Exits(2, resource, "forbidden", "→ Give the CI identity that permission")
			}
		})
	}
}

// forbid takes a resource out of what user ci may do.
func forbid(t *testing.T, s *labtest.Space, resource string) {
	t.Helper()
	rules := labtest.ExampleRules(t)
	i := slices.IndexFunc(rules, func(r rbacv1.PolicyRule) bool { return slices.Contains(r.Resources, resource) })
	require.GreaterOrEqual(t, i, 0)
	was := rules[i]
	for i := range rules {
		rules[i].Resources = slices.DeleteFunc(slices.Clone(rules[i].Resources), func(r string) bool { return r == resource })
	}
	rules = slices.DeleteFunc(rules, func(r rbacv1.PolicyRule) bool { return len(r.Resources) == 0 })
	patch, err := json.Marshal(map[string]any{"rules": rules})
	require.NoError(t, err)
	s.Patch(labtest.Roles, "rollstep-ci", string(patch))
	s.AwaitForbidden(was, resource)
}

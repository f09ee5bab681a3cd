package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

// Of N pods the canary gets the nearest to N·w/100, ties up, neither all nor
// none for 1 to 99 percent.
func TestCanary_splitsThePods(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pods     int
		weights  []string
		counts   [][2]int
		achieved []string
	}{
		{1, []string{"10%", "100%", "0%"}, [][2]int{{1, 1}, {0, 1}, {1, 0}}, []string{"50.0 %", "100.0 %", "0.0 %"}},
		{2, []string{"1%", "50%", "99%", "100%"}, [][2]int{{1, 1}, {1, 1}, {1, 1}, {0, 2}}, []string{"50.0 %", "50.0 %", "50.0 %", "100.0 %"}},
		{3, []string{"10%", "50%", "99", "0"}, [][2]int{{2, 1}, {1, 2}, {1, 2}, {3, 0}}, []string{"33.3 %", "66.7 %", "66.7 %", "0.0 %"}},
		{10, []string{"0", "1", "99", "100"}, [][2]int{{10, 0}, {9, 1}, {1, 9}, {0, 10}}, []string{"0.0 %", "10.0 %", "90.0 %", "100.0 %"}},
	} {
		t.Run(fmt.Sprintf("%d pods", test.pods), func(t *testing.T) {
			s := released(t, few(t, "v1", test.pods))
			guard := s.Guard("app", test.pods)
			p := s.Pipeline(2, few(t, "v2", test.pods))
			for i, weight := range test.weights {
				p.Run("canary", weight).Succeeds(test.achieved[i])
				assert.Equal(t, test.counts[i], counts(s, "app"), "at %s", weight)
				guard.Check(test.pods)
			}
			most := test.pods + (test.pods+3)/4 // a surge of 25 %, rounded up
			assert.LessOrEqual(t, guard.Most(), most)
			p.Run("promote").Succeeds()
			guard.Check(test.pods)
			complete(t, s, "app", test.pods)
			assert.Empty(t, s.Leftovers())
		})
	}
}

func TestCanary_of100Pods(t *testing.T) {
	s := released(t, few(t, "v1", 100))
	guard := s.Guard("app", 100)
	p := s.Pipeline(2, few(t, "v2", 100))
	p.Run("canary", "1%").Succeeds("1.0 %")
	assert.Equal(t, [2]int{99, 1}, counts(s, "app"))
	p.Run("canary", "50%").Succeeds("50.0 %")
	assert.Equal(t, [2]int{50, 50}, counts(s, "app"))
	assert.LessOrEqual(t, guard.Most(), 125)
	p.Run("promote").Succeeds()
	guard.Check(100)
	complete(t, s, "app", 100)
}

func TestCanary_countsPodsExactly(t *testing.T) {
	s := released(t, few(t, "v1", 5))
	guard := s.Guard("app", 5)
	p := s.Pipeline(2, few(t, "v2", 5))
	for n, want := range map[string][2]int{"0": {5, 0}, "2": {3, 2}, "5": {0, 5}} {
		p.With("ROLLSTEP_CANARY_REPLICAS=" + n).Run("canary").Succeeds(n + " pods")
		assert.Equal(t, want, counts(s, "app"))
	}
	p.With("ROLLSTEP_CANARY_REPLICAS=2").Run("canary", "80%").Succeeds("80.0 %")
	assert.Equal(t, [2]int{1, 4}, counts(s, "app"), "an argument wins")
	guard.Check(5)
}

// Without a surge the stable is lowered first, by what may be unavailable.
func TestCanary_withoutSurgeStaysWithinMaxUnavailable(t *testing.T) {
	files := func(tag string) labtest.Files {
		return staged(t, tag).Edit("deploy.yaml", "maxSurge: 25%", "maxSurge: 0").Edit("deploy.yaml", "maxUnavailable: 0", "maxUnavailable: 2")
	}
	s := released(t, files("v1"))
	guard := s.Guard("app", wanted)
	p := s.Pipeline(2, files("v2"))
	p.Run("canary", "10%").Succeeds()
	p.Run("canary", "50%").Succeeds()
	assert.Equal(t, [2]int{5, 5}, counts(s, "app"))
	p.Run("canary", "20%").Succeeds()
	assert.Equal(t, [2]int{8, 2}, counts(s, "app"))
	p.Run("rollback").Succeeds()
	guard.Check(8)
	assert.Equal(t, wanted, guard.Most())
	complete(t, s, "app", 10)
}

const autoscaler = `apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: app}
spec:
  minReplicas: 6
  maxReplicas: 20
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: app}
  metrics:
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}
`

// The count belongs to the autoscaler: the canary comes on top of it, and the
// manifest, which says none, never resets it.
func TestCanary_leavesTheCountToAnAutoscaler(t *testing.T) {
	files := func(tag string) labtest.Files { return staged(t, tag).Edit("deploy.yaml", "  replicas: 10\n", "") }
	s := released(t, files("v1"))
	s.Create(labtest.Autoscalers, autoscaler)
	s.AwaitReplicas("app", 6)
	s.AwaitEndpoints("app", 6)
	guard := s.Guard("app", 6)
	p := s.Pipeline(2, files("v2"))
	p.Run("canary", "50%").Succeeds("HorizontalPodAutoscaler app", "3 canary pods")
	assert.Equal(t, [2]int{6, 3}, counts(s, "app"))
	s.Patch(labtest.Autoscalers, "app", `{"spec":{"minReplicas":8}}`)
	s.AwaitReplicas("app", 8)
	p.Run("promote").Succeeds()
	complete(t, s, "app", 8)
	p.Run("rollback").Succeeds()
	guard.Check(6)
	complete(t, s, "app", 8)
	s.Ask("app", 100, "v1")
}

// kubectl apply once wrote a count; the manifest of today leaves it out.
func TestReplicas_leftOutOfTheManifestAreNeverReset(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{"apply", "canary and promote"} {
		t.Run(stage, func(t *testing.T) {
			s := space(t)
			files := few(t, "v1", 5)
			s.KubectlApply(labtest.Deployments, files["deploy.yaml"])
			s.KubectlApply(labtest.Services, files["service.yaml"])
			s.AwaitReplicas("app", 5)
			s.AwaitEndpoints("app", 5)
			guard := s.Guard("app", 5)
			p := s.Pipeline(1, few(t, "v2", 5).Edit("deploy.yaml", "  replicas: 5\n", ""))
			if stage == "apply" {
				p.Run("apply").Succeeds()
			} else {
				p.Run("canary", "40%").Succeeds()
				assert.Equal(t, [2]int{3, 2}, counts(s, "app"))
				p.Run("promote").Succeeds()
			}
			guard.Check(5)
			complete(t, s, "app", 5)
			s.Ask("app", 100, "v2")
		})
	}
}

func TestCanary_warns(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		edit func(labtest.Files) labtest.Files
		says []string
	}{
		"about strategy Recreate": {
			func(f labtest.Files) labtest.Files {
				return f.Edit("deploy.yaml", "    rollingUpdate:\n      maxSurge: 25%\n      maxUnavailable: 0 # never fewer than 10 ready pods\n", "    type: Recreate\n")
			},
			[]string{"warning: ", "Deployment app has strategy Recreate"},
		},
		"about session affinity": {
			func(f labtest.Files) labtest.Files {
				return f.Edit("service.yaml", "spec:", "spec:\n  sessionAffinity: ClientIP")
			},
			[]string{"warning: ", "Service app has session affinity"},
		},
		"about topology-aware routing": {
			func(f labtest.Files) labtest.Files {
				return f.Edit("service.yaml", "spec:", "spec:\n  trafficDistribution: PreferClose")
			},
			[]string{"warning: ", "Service app", "topology"},
		},
		"about a headless Service": {
			func(f labtest.Files) labtest.Files {
				return f.Edit("service.yaml", "type: LoadBalancer", "clusterIP: None")
			},
			[]string{"warning: ", "Service app is headless"},
		},
		"about a Service of the stable track only": {
			func(f labtest.Files) labtest.Files {
				return f.Edit("deploy.yaml", "      labels:\n        app: app", "      labels:\n        app: app\n        track: stable").
					Edit("service.yaml", "  selector:\n    app: app", "  selector:\n    app: app\n    track: stable")
			},
			[]string{"warning: ", "Service app selects only stable pods"},
		},
		"about pods of others": {
			func(f labtest.Files) labtest.Files {
				return f.With("other.yaml", strings.Replace(strings.Replace(strings.ReplaceAll(f["deploy.yaml"], "name: app\n", "name: other\n"),
					"      app: app\n  strategy", "      app: app\n      of: other\n  strategy", 1), "        app: app\n    spec", "        app: app\n        of: other\n    spec", 1))
			},
			[]string{"warning: ", "Service app also reaches pods of 1 other Deployment"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := released(t, test.edit(few(t, "v1", 2)))
			files := test.edit(few(t, "v1", 2)).Edit("deploy.yaml", "example-app:v1", "example-app:v2")
			p := s.Pipeline(2, files)
			p.Run("plan").Succeeds(test.says...)
			p.Run("canary", "50%").Succeeds(test.says...)
			assert.Equal(t, 1, s.Replicas("app-canary"))
			p.Run("promote").Succeeds()
			s.AwaitReplicas("app", 2)
			assert.Contains(t, s.Image("app"), ":v2")
			assert.Empty(t, s.Leftovers())
		})
	}
}

// The examples select by one label only, which canary pods have too: their
// ReplicaSets keep them apart.
func TestCanary_worksWithOverlappingSelectors(t *testing.T) {
	s := released(t, few(t, "v1", 6))
	s.Create(labtest.Autoscalers, autoscaler)
	s.Pipeline(2, few(t, "v2", 6)).Run("canary").Succeeds("the selector of Deployment app also matches canary pods", "HorizontalPodAutoscaler app counts canary pods too")
}

func TestCanary_refusesADeploymentOfSomebodyElse(t *testing.T) {
	s := released(t, few(t, "v1", 3))
	foreign := few(t, "v1", 1)["deploy.yaml"]
	foreign = strings.ReplaceAll(strings.ReplaceAll(foreign, "name: app\n", "name: app-canary\n"), "app: app", "app: other")
	s.Create(labtest.Deployments, foreign)
	s.AwaitReplicas("app-canary", 1)
	before := s.State()
	p := s.Pipeline(2, few(t, "v2", 3))
	p.Run("canary").Exits(2, "Deployment app-canary exists and is not rollstep's", "→ Rename it or, if nothing needs it, remove it")
	s.Unchanged(before)
	p.Run("rollback").Succeeds("nothing to roll back")
	s.Unchanged(before)
}

func TestCanary_refusesACanaryThatTheManifestsDeclare(t *testing.T) {
	s := space(t)
	s.Pipeline(1, labtest.Examples(t, "declared/i/k8s")).Run("apply").Succeeds()
	before := s.State()
	files := labtest.Examples(t, "declared/i/k8s").Edit("deploy.yaml", ":v1", ":v2")
	s.Pipeline(2, files).Run("canary").Exits(2, "Deployment app-canary", "rollstep apply")
	s.Unchanged(before)
}

// Of several Deployments only the one that changes takes part.
func TestCanary_takesOnlyChangedDeployments(t *testing.T) {
	two := func(app, worker string) labtest.Files {
		files := few(t, app, 3)
		return files.With("worker.yaml", strings.ReplaceAll(strings.ReplaceAll(files["deploy.yaml"], "app: app", "app: worker"), "name: app\n", "name: worker\n")).
			Edit("worker.yaml", "example-app:"+app, "example-app:"+worker)
	}
	s := released(t, two("v1", "v1"))
	worker := s.Deployment("worker").ResourceVersion
	p := s.Pipeline(2, two("v2", "v1"))
	p.Run("canary", "50%").Succeeds()
	assert.Equal(t, [2]int{1, 2}, counts(s, "app"))
	assert.Nil(t, s.Deployment("worker-canary"))
	p.Run("promote").Succeeds()
	assert.Equal(t, worker, s.Deployment("worker").ResourceVersion)

	// A newer commit changes the other one while the first is in flight.
	s.Pipeline(3, two("v3", "v1")).Run("canary", "50%").Succeeds()
	s.Pipeline(4, two("v2", "v4")).Run("canary", "50%").Succeeds()
	complete(t, s, "app", 3)
	assert.Nil(t, s.Deployment("app-canary"))
	assert.Equal(t, [2]int{1, 2}, counts(s, "worker"))
	s.Pipeline(4, two("v2", "v4")).Run("rollback").Succeeds()
	complete(t, s, "worker", 3)
	assert.Empty(t, s.Leftovers())
}

func TestCanary_inTwoNamespaces(t *testing.T) {
	s, other := space(t), labtest.New(t, run)
	files := func(tag string) labtest.Files {
		f := few(t, tag, 3)
		return f.With("other.yaml", strings.ReplaceAll(f["deploy.yaml"]+"---\n"+f["service.yaml"], "\nmetadata:\n", "\nmetadata:\n  namespace: "+other.Name+"\n"))
	}
	s.Pipeline(1, files("v1")).Run("canary").Succeeds()
	p := s.Pipeline(2, files("v2"))
	p.Run("canary", "50%").Succeeds()
	for _, space := range []*labtest.Space{s, other} {
		assert.Equal(t, [2]int{1, 2}, counts(space, "app"))
		space.Ask("app-canary", 50, "v2")
	}
	p.Run("promote").Succeeds()
	for _, space := range []*labtest.Space{s, other} {
		space.Ask("app", 50, "v2")
		assert.Empty(t, space.Leftovers())
	}
	p.Run("rollback").Succeeds()
	s.Pipeline(3, files("v3")).Run("canary").Succeeds()
	s.Pipeline(3, files("v3")).Run("rollback").Succeeds()
	for _, space := range []*labtest.Space{s, other} {
		space.Ask("app", 50, "v1")
		assert.Empty(t, space.Leftovers())
		complete(t, space, "app", 3)
	}
}

// Another track label, such as the article's type.
func TestCanary_replacesTheStablesTrackLabel(t *testing.T) {
	files := func(tag string) labtest.Files {
		return few(t, tag, 3).Edit("deploy.yaml", "app: app", "app: app\n        type: main").
			Edit("deploy.yaml", "  labels:\n    app: app\n        type: main", "  labels:\n    app: app").
			Edit("deploy.yaml", "      app: app\n        type: main\n  strategy", "      app: app\n      type: main\n  strategy")
	}
	s := released(t, files("v1"))
	s.Pipeline(2, files("v2")).With("ROLLSTEP_TRACK_LABEL=type").Run("canary", "50%").Succeeds()
	d := s.Deployment("app-canary")
	require.NotNil(t, d)
	assert.Equal(t, "canary", d.Labels["type"])
	assert.Equal(t, "canary", d.Spec.Selector.MatchLabels["type"])
	assert.Equal(t, "canary", d.Spec.Template.Labels["type"])
	assert.Equal(t, "shop-app", d.Annotations["app.gitlab.com/app"])
	assert.Equal(t, "production", d.Spec.Template.Annotations["app.gitlab.com/env"])
	s.Ask("app-canary", 50, "v2")
}

func TestPreview_isAsAskedFor(t *testing.T) {
	s := released(t, few(t, "v1", 2))
	p := s.Pipeline(2, few(t, "v2", 2))
	p.With("ROLLSTEP_PREVIEW=off").Run("canary").Succeeds()
	assert.Nil(t, s.Get(labtest.Services, "app-canary"))
	for _, kind := range []string{"ClusterIP", "NodePort", "LoadBalancer"} {
		p.With("ROLLSTEP_PREVIEW=" + kind).Run("canary").Succeeds()
		o := s.Get(labtest.Services, "app-canary")
		require.NotNil(t, o)
		assert.Equal(t, kind, o.Object["spec"].(map[string]any)["type"])
		s.Ask("app-canary", 50, "v2")
	}
	p.With("ROLLSTEP_PREVIEW=off").Run("promote").Succeeds()
	assert.Empty(t, s.Leftovers())
}

func TestImage_isSetByVariable(t *testing.T) {
	const repository = "registry.gitlab.com/wuestkamp/k8s-deployment-example-app"
	s := released(t, few(t, "v1", 3))
	p := s.Pipeline(2, few(t, "v1", 3)).With("ROLLSTEP_IMAGE=app=" + repository + ":v2")
	p.Run("canary").Succeeds()
	assert.Equal(t, repository+":v2", s.Image("app-canary"))
	p.Run("promote").Succeeds()
	assert.Equal(t, repository+":v2", s.Image("app"))
}

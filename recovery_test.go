package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"gitlab.com/rollstep/rollstep/internal/labtest"
	"gitlab.com/rollstep/rollstep/step"
)

// A rollback waits for no canary, whatever keeps it from coming up.
func TestRollback_worksWhateverHoldsTheCanaryUp(t *testing.T) {
	t.Parallel()
	same := func(f labtest.Files) labtest.Files { return f }
	for name, test := range map[string]struct {
		tag     string
		edit    func(labtest.Files) labtest.Files
		cluster func(*testing.T, *labtest.Space)
		stuck   func(*labtest.Space)
	}{
		"it crashes":           {"v2-crash", same, nil, podsAre(labtest.Waiting("CrashLoopBackOff"))},
		"its image is missing": {"v2-image-missing", same, nil, podsAre(labtest.Waiting("ImagePullBackOff"))},
		"its configuration is missing": {"v2", func(f labtest.Files) labtest.Files {
			return withContainer(f, "envFrom: [{configMapRef: {name: settings}}]")
		}, nil, podsAre(labtest.Waiting("CreateContainerConfigError"))},
		"it is never ready":    {"v2-never-ready", same, nil, podsAre(labtest.Condition(corev1.PodReady, "ContainersNotReady"))},
		"no node takes it":     {"v2", func(f labtest.Files) labtest.Files { return f.Edit("deploy.yaml", "cpu: 100m", "cpu: 1000") }, nil, podsAre(labtest.Condition(corev1.PodScheduled, corev1.PodReasonUnschedulable))},
		"admission refuses it": {"v2", same, admitNoCanary, func(s *labtest.Space) { s.AwaitEvent("FailedCreate", "images must be signed") }},
		"a quota leaves no room": {"v2", same, func(_ *testing.T, s *labtest.Space) { s.Create(labtest.Quotas, fullQuota) },
			func(s *labtest.Space) { s.AwaitEvent("FailedCreate", "exceeded quota") }},
	} {
		t.Run(name, func(t *testing.T) {
			s := released(t, few(t, "v1", 3))
			check := untouched(t, s, 3)
			if test.cluster != nil {
				test.cluster(t, s)
			}
			p := s.Pipeline(2, test.edit(few(t, test.tag, 3)))
			job := p.With("ROLLSTEP_ON_FAILURE=hold").Start("canary")
			test.stuck(s)
			job.Cancel()
			assert.NotZero(t, job.Wait())
			p.Run("rollback").Succeeds("rolled back to release", "3 of 3 pods (100.0 %) serve registry.gitlab.com/wuestkamp/k8s-deployment-example-app:v1")
			check()
		})
	}
}

func podsAre(fulfil func(*corev1.Pod) bool) func(*labtest.Space) {
	return func(s *labtest.Space) { s.AwaitPods("app-canary", 1, fulfil) }
}

// The stable has given pods to the canary, and gets them back although that
// breaks, or although there is room only for as many pods as there are.
func TestRollback_givesTheStableItsPodsBack(t *testing.T) {
	t.Parallel()
	quota := strings.ReplaceAll(fullQuota, `"3"`, `"6"`)
	breaks := func(s *labtest.Space) { // what the canary needs goes, and its pods with it
		s.Delete(labtest.ConfigMaps, "settings")
		s.DeletePods(s.PodsOf("app-canary")...)
		s.AwaitPods("app-canary", 3, labtest.Waiting("ContainerCreating"))
	}
	for name, test := range map[string]struct {
		gate  func(*labtest.Space)
		ready int // at the gate
	}{
		"from a canary that broke at the gate": {breaks, 3},
		"under a quota of the pods there are":  {func(s *labtest.Space) { s.Create(labtest.Quotas, quota) }, 6},
		"under such a quota from a canary that broke": {func(s *labtest.Space) {
			breaks(s)
			s.Create(labtest.Quotas, quota)
		}, 3},
		"from a canary that somebody deleted": {func(s *labtest.Space) { s.Delete(labtest.Deployments, "app-canary") }, 3},
	} {
		t.Run(name, func(t *testing.T) {
			s := released(t, few(t, "v1", 6))
			stable := s.Deployment("app").Spec
			p := s.Pipeline(2, configured(t, "v2", settingsV1, credentialsV1).Edit("deploy.yaml", "replicas: 3", "replicas: 6"))
			p.Run("canary", "50%").Succeeds()
			test.gate(s)
			guard := s.Guard("app", test.ready)
			p.Run("rollback").Succeeds("rolled back to release", "6 of 6 pods (100.0 %) serve registry.gitlab.com/wuestkamp/k8s-deployment-example-app:v1")
			guard.Check(3) // those of the stable: a quota leaves no other way
			complete(t, s, "app", 6)
			assert.Equal(t, stable, s.Deployment("app").Spec)
			assert.Empty(t, s.Leftovers())
		})
	}
}

// A promotion that was cancelled half way goes back as well as forth.
func TestRollback_fromAHalfFinishedPromotion(t *testing.T) {
	t.Parallel()
	for name, gate := range map[string]func(*labtest.Space){
		"with its record":    func(*labtest.Space) {},
		"without its record": func(s *labtest.Space) { s.Delete(labtest.ConfigMaps, "rollstep-shop-app") },
		"without the canary": func(s *labtest.Space) { s.Delete(labtest.Deployments, "app-canary") },
	} {
		t.Run(name, func(t *testing.T) {
			s := released(t, staged(t, "v1"))
			stable := s.Deployment("app").Spec
			guard := s.Guard("app", wanted)
			p := s.Pipeline(2, staged(t, "v2-slow"))
			p.Run("canary", "20%").Succeeds()
			job := p.Start("promote")
			s.Await(labtest.Deployments, "app", func(o *unstructured.Unstructured) bool {
				d := deployment(t, o)
				return strings.HasSuffix(d.Spec.Template.Spec.Containers[0].Image, ":v2-slow") && d.Status.ObservedGeneration == d.Generation && d.Status.UpdatedReplicas > 0 && d.Status.UpdatedReplicas < wanted
			})
			job.Cancel()
			job.Exits(143)
			gate(s)
			p.Run("rollback").Succeeds("rolled back to release", "(100.0 %) serve registry.gitlab.com/wuestkamp/k8s-deployment-example-app:v1")
			guard.Check(8)
			complete(t, s, "app", wanted)
			assert.Equal(t, stable, s.Deployment("app").Spec)
			assert.Empty(t, s.Leftovers())
			s.Ask("app", 100, "v1")
			p.Run("rollback").Succeeds("nothing to roll back")
		})
	}
}

// Somebody deletes a Deployment in the middle of a rollout: the next stage,
// whichever it is, brings back what it needs.
func TestStages_goOnWithoutADeploymentThatSomebodyDeleted(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		deleted string
		stages  [][]string
		final   [2]int
		answers []string
	}{
		"the canary's, then canary":             {"app-canary", [][]string{{"canary", "50%"}}, [2]int{2, 2}, []string{"v1", "v2"}},
		"the canary's, then canary and promote": {"app-canary", [][]string{{"canary", "25%"}, {"promote"}}, [2]int{4, 0}, []string{"v2"}},
		"the canary's, then promote":            {"app-canary", [][]string{{"promote"}}, [2]int{4, 0}, []string{"v2"}},
		"the stable's, then promote":            {"app", [][]string{{"promote"}}, [2]int{4, 0}, []string{"v2"}},
		"the stable's, then rollback":           {"app", [][]string{{"rollback"}}, [2]int{4, 0}, []string{"v1"}},
		"both, then rollback":                   {"app app-canary", [][]string{{"rollback"}}, [2]int{4, 0}, []string{"v1"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := released(t, few(t, "v1", 4))
			guard := s.Guard("app", 4)
			p := s.Pipeline(2, few(t, "v2", 4))
			p.Run("canary", "50%").Succeeds()
			for deployment := range strings.FieldsSeq(test.deleted) {
				s.Delete(labtest.Deployments, deployment)
			}
			for _, args := range test.stages {
				p.Run(args...).Succeeds()
			}
			if test.deleted != "app app-canary" {
				guard.Check(2) // what the other track served with
			}
			assert.Equal(t, test.final, counts(s, "app"))
			s.Ask("app", 100, test.answers...)
			if test.final[1] == 0 {
				complete(t, s, "app", 4)
				assert.Empty(t, s.Leftovers())
			}
		})
	}
}

// Without its record a canary is found by its labels, its copies and its
// preview too.
func TestRollback_withoutTheRecordRemovesAllThatTheCanaryBrought(t *testing.T) {
	s := released(t, configured(t, "v1", settingsV1, credentialsV1))
	stable := s.Deployment("app").Spec
	guard := s.Guard("app", 3)
	p := s.Pipeline(2, configured(t, "v2", settingsV2, credentialsV2))
	p.Run("canary", "50%").Succeeds()
	s.Delete(labtest.ConfigMaps, "rollstep-shop-app")
	p.Run("rollback").Succeeds("the record knows no rollout", "rolled back")
	guard.Check(3)
	complete(t, s, "app", 3)
	assert.Equal(t, stable, s.Deployment("app").Spec)
	assert.Empty(t, s.Leftovers())
	p.Run("rollback").Succeeds("nothing to roll back")
}

// Without its record a promoted release still goes back to the one before.
func TestRollback_ofAPromotionWithoutTheRecord(t *testing.T) {
	s := released(t, few(t, "v1", 3))
	stable := s.Deployment("app").Spec
	p := s.Pipeline(2, few(t, "v2", 3))
	p.Run("canary").Succeeds()
	p.Run("promote").Succeeds()
	s.Delete(labtest.ConfigMaps, "rollstep-shop-app")
	s.Pipeline(1, few(t, "v1", 3)).Run("rollback").Exits(step.ExitRefused, "this pipeline is outdated")
	p.Run("rollback").Succeeds("the record is lost", "rolled back to release", "k8s-deployment-example-app:v1")
	complete(t, s, "app", 3)
	assert.Equal(t, stable, s.Deployment("app").Spec)
}

// A release in two namespaces is found in both without its record.
func TestRollback_withoutTheRecordInTwoNamespaces(t *testing.T) {
	s := space(t)
	other := labtest.New(t, run)
	files := func(tag string) labtest.Files {
		f := few(t, tag, 3)
		return f.With("other.yaml", strings.ReplaceAll(f["deploy.yaml"]+"---\n"+f["service.yaml"], "\nmetadata:\n", "\nmetadata:\n  namespace: "+other.Name+"\n"))
	}
	s.Pipeline(1, files("v1")).Run("canary").Succeeds("first release")
	p := s.Pipeline(2, files("v2"))
	p.Run("canary", "34%").Succeeds()
	s.Delete(labtest.ConfigMaps, "rollstep-shop-app")
	p.Run("rollback").Succeeds("the record is lost", "rolled back to release")
	for _, space := range []*labtest.Space{s, s.At(other.Name)} {
		complete(t, space, "app", 3)
		assert.Empty(t, space.Leftovers())
	}
}

// Nobody knows what was live before where its manifests are gone too: that is
// said, and not that all is as it was.
func TestRollback_saysWhatItDoesNotKnow(t *testing.T) {
	s := released(t, few(t, "v1", 3))
	p := s.Pipeline(2, few(t, "v2", 3))
	p.Run("canary", "50%").Succeeds()
	s.Delete(labtest.ConfigMaps, "rollstep-shop-app")
	for _, secret := range s.List(labtest.Secrets) {
		s.Delete(labtest.Secrets, secret.GetName())
	}
	job := p.Run("rollback").Succeeds("the canary is removed; the stable pods are as they were found", "3 of 3 pods (100.0 %) serve")
	assert.NotContains(t, job.Log(), "rolled back to")
	complete(t, s, "app", 3)
	assert.Empty(t, s.Leftovers())
}

// Whoever changes a count or a template while a stage moves, the stage ends
// where it was asked to.
func TestCanary_endsAtItsWeightWhoeverScalesMeanwhile(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ of, patch string }{
		"kubectl scale of the stable up":                  {"app", `{"spec":{"replicas":12}}`},
		"kubectl scale of the stable down":                {"app", `{"spec":{"replicas":6}}`},
		"kubectl scale of the canary up":                  {"app-canary", `{"spec":{"replicas":7}}`},
		"kubectl scale of the canary to 0":                {"app-canary", `{"spec":{"replicas":0}}`},
		"kubectl rollout pause of the canary, and resume": {"app-canary", `{"spec":{"paused":true}}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := released(t, staged(t, "v1"))
			guard := s.Guard("app", wanted)
			p := s.Pipeline(2, staged(t, "v2"))
			job := p.Start("canary", "50%")
			s.Await(labtest.Deployments, "app", func(o *unstructured.Unstructured) bool { return *deployment(t, o).Spec.Replicas < wanted })
			s.Patch(labtest.Deployments, test.of, test.patch)
			if strings.Contains(name, "resume") {
				s.Patch(labtest.Deployments, test.of, `{"spec":{"paused":false}}`)
			}
			job.Succeeds("50.0 %")
			assert.Equal(t, [2]int{5, 5}, counts(s, "app"))
			p.Run("promote").Succeeds()
			complete(t, s, "app", wanted)
			assert.Empty(t, s.Leftovers())
			if !strings.HasSuffix(name, "down") && !strings.HasSuffix(name, "to 0") {
				guard.Check(wanted)
			}
		})
	}
}

// What somebody edits by hand at the gate does not outlive it: promote brings
// what Git says, rollback what was promoted before.
func TestGate_whatSomebodyEditsThere(t *testing.T) {
	t.Parallel()
	const hotfix = `{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"registry.gitlab.com/wuestkamp/k8s-deployment-example-app:hotfix",` +
		`"ports":[{"containerPort":5000}],"readinessProbe":{"httpGet":{"path":"/","port":5000}},"resources":{"limits":{"cpu":"100m","memory":"100Mi"}}}]}}}}`
	for name, test := range map[string]struct {
		patch   string
		stages  [][]string
		counts  [2]int
		answers []string
	}{
		"the stable's image, then promote":          {hotfix, [][]string{{"promote"}}, [2]int{4, 0}, []string{"v2"}},
		"the stable's image, then canary":           {hotfix, [][]string{{"canary", "25%"}}, [2]int{3, 1}, []string{"hotfix", "v2"}},
		"the stable's image, then canary, promote":  {hotfix, [][]string{{"canary", "75%"}, {"promote"}}, [2]int{4, 0}, []string{"v2"}},
		"the stable's image, then promote and back": {hotfix, [][]string{{"promote"}, {"rollback"}}, [2]int{4, 0}, []string{"v1"}},
		"the stable's count, then promote":          {`{"spec":{"replicas":6}}`, [][]string{{"promote"}}, [2]int{4, 0}, []string{"v2"}},
		"the stable's count, then canary":           {`{"spec":{"replicas":6}}`, [][]string{{"canary", "25%"}}, [2]int{3, 1}, []string{"v1", "v2"}},
		"the stable's count to 0, then rollback":    {`{"spec":{"replicas":0}}`, [][]string{{"rollback"}}, [2]int{4, 0}, []string{"v1"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := released(t, few(t, "v1", 4))
			p := s.Pipeline(2, few(t, "v2", 4))
			p.Run("canary", "50%").Succeeds()
			s.Patch(labtest.Deployments, "app", test.patch)
			s.State() // once it has settled
			guard := s.Guard("app", 2)
			for _, args := range test.stages {
				p.Run(args...).Succeeds()
			}
			guard.Check(2)
			assert.Equal(t, test.counts, counts(s, "app"))
			s.Ask("app", 100, test.answers...)
			if test.counts[1] == 0 {
				complete(t, s, "app", 4)
				assert.Empty(t, s.Leftovers())
			}
		})
	}
}

// The autoscaler changes its mind at the gate.
func TestGate_whereAnAutoscalerChangesTheCount(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		min, max int
		stage    []string
		counts   [2]int
	}{
		"up, then canary":     {9, 20, []string{"canary", "33%"}, [2]int{9, 3}},
		"up, then rollback":   {9, 20, []string{"rollback"}, [2]int{9, 0}},
		"up, then promote":    {9, 20, []string{"promote"}, [2]int{9, 0}},
		"down, then canary":   {2, 4, []string{"canary", "25%"}, [2]int{4, 1}},
		"down, then rollback": {2, 4, []string{"rollback"}, [2]int{4, 0}},
		"down, then promote":  {2, 4, []string{"promote"}, [2]int{4, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			files := func(tag string) labtest.Files { return staged(t, tag).Edit("deploy.yaml", "  replicas: 10\n", "") }
			s := released(t, files("v1"))
			s.Create(labtest.Autoscalers, autoscaler)
			s.AwaitReplicas("app", 6)
			s.AwaitEndpoints("app", 6)
			guard := s.Guard("app", 6)
			p := s.Pipeline(2, files("v2"))
			p.Run("canary", "50%").Succeeds()
			s.Patch(labtest.Autoscalers, "app", fmt.Sprintf(`{"spec":{"minReplicas":%d,"maxReplicas":%d}}`, test.min, test.max))
			s.AwaitReplicas("app", test.counts[0])
			p.Run(test.stage...).Succeeds()
			guard.Check(min(6, test.counts[0]))
			assert.Equal(t, test.counts, counts(s, "app"))
		})
	}
}

// Pods die between two stages, one by one or with their node.
func TestGate_wherePodsDie(t *testing.T) {
	t.Parallel()
	for name, kill := range map[string]func(*labtest.Space) []string{
		"two of the stable": func(s *labtest.Space) []string { return s.PodsOf("app")[:2] },
		"all of the canary": func(s *labtest.Space) []string { return s.PodsOf("app-canary") },
		"those of a node": func(s *labtest.Space) []string {
			node := s.List(labtest.Nodes)[0].GetName() // always the same: other tests need the rest
			s.Cordon(node)
			return s.PodsOn(node)
		},
	} {
		for _, stages := range [][][]string{{{"promote"}}, {{"canary", "30%"}}, {{"rollback"}}} {
			t.Run(name+", then "+strings.Join(stages[0], " "), func(t *testing.T) {
				s := released(t, staged(t, "v1"))
				guard := s.Guard("app", wanted)
				p := s.Pipeline(2, staged(t, "v2"))
				p.Run("canary", "50%").Succeeds()
				dead := kill(s)
				s.DeletePods(dead...)
				for _, args := range stages {
					p.Run(args...).Succeeds()
				}
				guard.Check(wanted - len(dead))
				switch stages[0][0] {
				case "canary":
					assert.Equal(t, [2]int{7, 3}, counts(s, "app"))
				default:
					complete(t, s, "app", wanted)
					assert.Empty(t, s.Leftovers())
				}
			})
		}
	}
}

func TestCanary_isRefusedWithoutAStableTrack(t *testing.T) {
	s := released(t, few(t, "v1", 4))
	p := s.Pipeline(2, few(t, "v2", 4))
	p.Run("canary", "50%").Succeeds()
	s.Delete(labtest.Deployments, "app")
	p.Run("canary", "50%").Exits(step.ExitRefused, "Deployment app was deleted by somebody else", "→ Run rollback, which brings it back")
	p.Run("rollback").Succeeds()
	assert.Equal(t, [2]int{4, 0}, counts(s, "app"))
}

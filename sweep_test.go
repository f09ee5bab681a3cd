package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

func TestSweep_rollsBackWhatIsAbandoned(t *testing.T) {
	s := released(t, few(t, "v1", 4))
	stable := s.Deployment("app").Spec
	guard := s.Guard("app", 4)
	p := s.Pipeline(2, configured(t, "v2", settingsV1, credentialsV1).Edit("deploy.yaml", "replicas: 3", "replicas: 4"))
	p.Run("canary", "50%").Succeeds()
	before := s.State()
	p.With("ROLLSTEP_MAX_AGE=24h").Run("sweep").Succeeds("nothing to sweep")
	s.Unchanged(before)
	p.With("ROLLSTEP_MAX_AGE=1ms", "ROLLSTEP_DRY_RUN=true").Run("sweep").
		Succeeds("would roll back release shop-app: its rollout by pipeline #2 (job canary 50%, ann)", "nothing was changed")
	s.Unchanged(before)
	p.With("ROLLSTEP_MAX_AGE=1ms").Run("sweep").Succeeds("release shop-app: its rollout by pipeline #2 (job canary 50%, ann)", "1 releases rolled back")
	guard.Check(4)
	complete(t, s, "app", 4)
	assert.Equal(t, stable, s.Deployment("app").Spec)
	assert.Empty(t, s.Leftovers())
	assert.Nil(t, s.Get(labtest.ConfigMaps, "settings"), "what the rollout brought")
	p.Run("promote").Exits(5, "was rolled back")
	before = s.State()
	p.With("ROLLSTEP_MAX_AGE=1ms").Run("sweep").Succeeds("nothing to sweep")
	s.Unchanged(before)
}

// A canary that no record knows goes at any age, and the stable gets its pods
// back. It need not be the sweeping job's own release.
func TestSweep_removesOrphans(t *testing.T) {
	s := released(t, few(t, "v1", 4))
	stable := s.Deployment("app").Spec
	guard := s.Guard("app", 4)
	s.Pipeline(2, few(t, "v2", 4)).Run("canary", "50%").Succeeds()
	s.Delete(labtest.ConfigMaps, "rollstep-shop-app")
	p := s.Pipeline(3, few(t, "v2", 4)).With("ROLLSTEP_RELEASE=janitor")
	before := s.State()
	p.With("ROLLSTEP_DRY_RUN=true").Run("sweep").Succeeds("would roll back release shop-app: no record knows its Deployment app-canary", "nothing was changed")
	s.Unchanged(before)
	p.Run("sweep").Succeeds("release shop-app: no record knows its Deployment app-canary", "swept")
	guard.Check(4)
	complete(t, s, "app", 4)
	assert.Equal(t, stable, s.Deployment("app").Spec)
	assert.Empty(t, s.Leftovers())
}

// Of several releases of a namespace only the abandoned one is swept.
func TestSweep_leavesOtherReleasesAlone(t *testing.T) {
	other := func(tag string) labtest.Files {
		f := few(t, tag, 2)
		return f.With("deploy.yaml", strings.ReplaceAll(strings.ReplaceAll(f["deploy.yaml"], "app: app", "app: shop"), "name: app\n", "name: shop\n")).
			With("service.yaml", strings.ReplaceAll(strings.ReplaceAll(f["service.yaml"], "app: app", "app: shop"), "name: app\n", "name: shop\n"))
	}
	s := released(t, few(t, "v1", 2))
	s.Pipeline(1, other("v1")).With("ROLLSTEP_RELEASE=shop").Run("canary").Succeeds()
	s.Pipeline(2, few(t, "v2", 2)).Run("canary").Succeeds()
	s.Pipeline(3, other("v2")).With("ROLLSTEP_RELEASE=shop").Run("canary").Succeeds()
	s.Delete(labtest.ConfigMaps, "rollstep-shop-app")
	s.Pipeline(4, few(t, "v2", 2)).Run("sweep").Succeeds("release shop-app: ", "1 releases rolled back")
	complete(t, s, "app", 2)
	assert.Equal(t, [2]int{1, 1}, counts(s, "shop"))
}

// What cannot be known is left alone, and said.
func TestSweep_leavesAloneWhatItCannotRead(t *testing.T) {
	s := released(t, few(t, "v1", 2))
	s.Pipeline(2, few(t, "v2", 2)).Run("canary").Succeeds()
	s.Patch(labtest.ConfigMaps, "rollstep-shop-app", `{"data":{"record":"phase: [broken"}}`)
	before := s.State()
	s.Pipeline(3, few(t, "v2", 2)).With("ROLLSTEP_RELEASE=janitor", "ROLLSTEP_MAX_AGE=1ms").Run("sweep").
		Succeeds("warning: ", "ConfigMap "+s.Name+"/rollstep-shop-app", "Repair it", "nothing to sweep")
	s.Unchanged(before)
}

// A promotion that was abandoned half way goes back to the release before.
func TestSweep_rollsBackAHalfFinishedPromotion(t *testing.T) {
	s := released(t, few(t, "v1", 4))
	guard := s.Guard("app", 4)
	p := s.Pipeline(2, few(t, "v2-slow", 4))
	p.Run("canary", "50%").Succeeds()
	job := p.Start("promote")
	s.AwaitPods("app", 1, func(pod *corev1.Pod) bool { return strings.HasSuffix(pod.Spec.Containers[0].Image, ":v2-slow") })
	job.Cancel()
	job.Exits(143)
	s.Pipeline(3, few(t, "v1", 4)).With("ROLLSTEP_MAX_AGE=1ms").Run("sweep").Succeeds("(promoting, ", "swept")
	guard.Check(2) // the job was cancelled before the stable had its pods back
	complete(t, s, "app", 4)
	assert.Empty(t, s.Leftovers())
	s.Ask("app", 100, "v1")
}

// A rollout that a job is working on is not abandoned, however old.
func TestSweep_waitsForTheJobThatWorks(t *testing.T) {
	s := released(t, few(t, "v1", 4))
	p := s.Pipeline(2, few(t, "v2", 4))
	p.Run("canary").Succeeds()
	s.HoldLock(7, "bob")
	before := s.State()
	p.With("ROLLSTEP_MAX_AGE=1ms", "ROLLSTEP_TIMEOUT=8s").Run("sweep").Exits(5, "release shop-app", "locked by pipeline #7 (job promote, bob)")
	s.Unchanged(before)
}

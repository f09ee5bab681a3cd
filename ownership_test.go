package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

func TestNewerPipeline_takesTheRolloutOver(t *testing.T) {
	s := released(t, staged(t, "v1"))
	guard := s.Guard("app", wanted)
	older, newer := s.Pipeline(2, staged(t, "v2")), s.Pipeline(3, staged(t, "v3"))
	older.Run("canary", "50%").Succeeds()
	newer.Run("canary", "20%").Succeeds("taking over", "pipeline #2")
	assert.Equal(t, [2]int{8, 2}, counts(s, "app"))
	assert.LessOrEqual(t, guard.Most(), wanted+surge)
	s.Ask("app-canary", 100, "v3")

	before := s.State()
	for _, args := range [][]string{{"canary", "10%"}, {"promote"}, {"rollback"}} {
		older.Run(args...).Exits(5, "pipeline #3", "https://gitlab.example.com/shop/app/-/jobs/")
		s.Unchanged(before)
	}
	newer.Run("promote").Succeeds()
	guard.Check(wanted)
	s.Ask("app", 100, "v3")

	before = s.State()
	for _, args := range [][]string{{"canary", "10%"}, {"promote"}, {"rollback"}} {
		older.Run(args...).Exits(5)
		s.Unchanged(before)
	}
}

func TestPromote_needsACanary(t *testing.T) {
	s := released(t, few(t, "v1", 3))
	p := s.Pipeline(2, few(t, "v2", 3))
	before := s.State()
	p.Run("promote").Exits(5, "no canary", "ROLLSTEP_SKIP_CANARY=true")
	s.Unchanged(before)
	guard := s.Guard("app", 3)
	p.With("ROLLSTEP_SKIP_CANARY=true").Run("promote").Succeeds()
	guard.Check(3)
	s.Ask("app", 100, "v2")
}

func TestPromote_refusesWhatTheCanaryDidNotTest(t *testing.T) {
	s := released(t, few(t, "v1", 3))
	s.Pipeline(2, few(t, "v2", 3)).Run("canary").Succeeds()
	before := s.State()
	s.Pipeline(2, few(t, "v3", 3)).Run("promote").Exits(5, "not what the canary tested", "canary again")
	s.Unchanged(before)
	s.Pipeline(2, few(t, "v2", 3)).With("ROLLSTEP_IMAGE=registry.gitlab.com/wuestkamp/k8s-deployment-example-app:v4").
		Run("promote").Exits(5, "not what the canary tested")
	s.Unchanged(before)
}

// GitLab's rollback button runs the promote job of an old pipeline again: a new
// job, the same pipeline and commit.
func TestPromote_ofAnOldPipelineBringsItsReleaseBack(t *testing.T) {
	s := released(t, staged(t, "v1"))
	pipelines := map[string]labtest.Pipeline{}
	for i, tag := range []string{"v2", "v3"} {
		pipelines[tag] = s.Pipeline(2+i, staged(t, tag))
		pipelines[tag].Run("canary").Succeeds()
		pipelines[tag].Run("promote").Succeeds()
	}
	guard := s.Guard("app", wanted)
	pipelines["v2"].Run("promote").Succeeds("promoted release")
	guard.Check(wanted)
	s.Ask("app", 100, "v2")
	pipelines["v3"].Run("promote").Succeeds("promoted release")
	guard.Check(wanted)
	s.Ask("app", 100, "v3")
}

func TestPromote_afterARollbackNeedsANewCanary(t *testing.T) {
	s := released(t, few(t, "v1", 3))
	p := s.Pipeline(2, few(t, "v2", 3))
	p.Run("canary").Succeeds()
	p.Run("rollback").Succeeds()
	before := s.State()
	p.Run("promote").Exits(5, "was rolled back", "canary")
	s.Unchanged(before)
	p.Run("canary").Succeeds()
	p.Run("promote").Succeeds()
	s.Ask("app", 100, "v2")
}

func TestPromote_afterARolledBackPromotionNeedsANewCanary(t *testing.T) {
	s := released(t, few(t, "v1", 3))
	p := s.Pipeline(2, few(t, "v2", 3))
	p.Run("canary").Succeeds()
	p.Run("promote").Succeeds()
	p.Run("rollback").Succeeds()
	before := s.State()
	p.Run("promote").Exits(5, "was rolled back", "canary")
	s.Unchanged(before)
	p.Run("canary").Succeeds()
	p.Run("promote").Succeeds()
	s.Ask("app", 100, "v2")
}

func TestPromote_twiceInARowRollsBackOneByOne(t *testing.T) {
	s := released(t, few(t, "v1", 3))
	for i, tag := range []string{"v2", "v3"} {
		p := s.Pipeline(2+i, few(t, tag, 3))
		p.Run("canary").Succeeds()
		p.Run("promote").Succeeds()
	}
	s.Pipeline(3, few(t, "v3", 3)).Run("rollback").Succeeds()
	s.Ask("app", 100, "v2")
	s.Pipeline(3, few(t, "v3", 3)).Run("rollback").Succeeds("nothing to roll back")
	s.Ask("app", 100, "v2")
}

// A canary in flight is found by its labels.
func TestRollback_withoutTheRecordFindsTheCanary(t *testing.T) {
	s := released(t, staged(t, "v1"))
	p := s.Pipeline(2, staged(t, "v2"))
	p.Run("canary", "50%").Succeeds()
	s.Delete(labtest.ConfigMaps, "rollstep-shop-app")
	guard := s.Guard("app", wanted)
	p.Run("rollback").Succeeds()
	guard.Check(wanted)
	complete(t, s, "app", 10)
	assert.Empty(t, s.Leftovers())
	s.Ask("app", 100, "v1")
}

func TestCanary_withoutTheRecordContinues(t *testing.T) {
	s := released(t, staged(t, "v1"))
	p := s.Pipeline(2, staged(t, "v2"))
	p.Run("canary", "50%").Succeeds()
	s.Delete(labtest.ConfigMaps, "rollstep-shop-app")
	guard := s.Guard("app", wanted)
	p.Run("canary", "10%").Succeeds()
	assert.Equal(t, [2]int{9, 1}, counts(s, "app"))
	p.Run("promote").Succeeds()
	guard.Check(wanted)
	complete(t, s, "app", 10)
	p.Run("rollback").Succeeds()
	guard.Check(wanted)
	s.Ask("app", 100, "v1")
}

func TestRecord_thatCannotBeReadIsRefused(t *testing.T) {
	s := released(t, few(t, "v1", 2))
	s.Patch(labtest.ConfigMaps, "rollstep-shop-app", `{"data":{"record":"phase: [broken"}}`)
	before := s.State()
	s.Pipeline(2, few(t, "v2", 2)).Run("canary").Exits(5, "ConfigMap "+s.Name+"/rollstep-shop-app", "Repair it")
	s.Unchanged(before)
}

// The lock of a running job is waited for; one that ended without giving it
// back is taken over once it has run out.
func TestLock_isWaitedForAndRunsOut(t *testing.T) {
	s := released(t, few(t, "v1", 2))
	s.Await(labtest.Leases, "rollstep-shop-app", func(o *unstructured.Unstructured) bool { return o != nil })
	s.Patch(labtest.Leases, "rollstep-shop-app", `{"spec":{"holderIdentity":"4711","leaseDurationSeconds":15,"renewTime":"`+
		metav1.NowMicro().UTC().Format(metav1.RFC3339Micro)+`"}}`)
	s.Pipeline(2, few(t, "v2", 2)).Run("canary").Succeeds("waiting for the lock, held by 4711")
}

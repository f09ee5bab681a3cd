package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
)

// Of two jobs of a pipeline at the same time one waits, and says for whom.
func TestLock_letsOneJobAfterTheOther(t *testing.T) {
	s := released(t, few(t, "v1", 4))
	guard := s.Guard("app", 4)
	p := s.Pipeline(2, few(t, "v2-slow", 4))
	first := p.Start("canary", "25%")
	s.AwaitLock()
	second := p.Start("canary", "50%")
	first.Succeeds("25.0 %")
	second.Succeeds("waiting for the lock, held by pipeline #2 (job canary 25%, ann) https://gitlab.example.com/shop/app/-/jobs/", ", since ", "50.0 %")
	guard.Check(4)
	assert.Equal(t, [2]int{2, 2}, counts(s, "app"))
}

// A killed job's lock runs out, and the next job takes it and the rollout up.
func TestLock_ofAKilledJobRunsOut(t *testing.T) {
	s := released(t, few(t, "v1", 4))
	guard := s.Guard("app", 4)
	p := s.Pipeline(2, few(t, "v2", 4))
	between := s.Between()
	between.CutAfter(5)
	p.Through(between).Start("canary", "50%").Kill(between)
	p.Run("canary", "50%").Succeeds("waiting for the lock, held by pipeline #2 (job canary 50%, ann) https://gitlab.example.com/shop/app/-/jobs/", "50.0 %")
	guard.Check(4)
	assert.Equal(t, [2]int{2, 2}, counts(s, "app"))
}

func TestLock_thatRanOutLongAgoIsTakenAtOnce(t *testing.T) {
	s := released(t, few(t, "v1", 2))
	s.Lock(7, "bob", time.Now().Add(-time.Hour))
	job := s.Pipeline(8, few(t, "v2", 2)).Run("canary").Succeeds()
	assert.NotContains(t, job.Log(), "waiting for the lock")
}

// A job that holds the lock for longer than another one can wait is named.
func TestLock_thatIsHeldEndsTheOthers(t *testing.T) {
	t.Parallel()
	const says = "pipeline #7 (job promote, bob) https://gitlab.example.com/shop/app/-/jobs/700, since 03:04:05 UTC"
	for _, stage := range []string{"canary", "promote", "apply", "rollback"} {
		t.Run(stage, func(t *testing.T) {
			s := released(t, few(t, "v1", 2))
			before := s.State()
			timeout := "ROLLSTEP_TIMEOUT=8s"
			if stage == "canary" {
				timeout = "ROLLSTEP_TIMEOUT=100s" // it waits for longer than the lock of a killed job lives
			}
			s.HoldLock(7, "bob")
			job := s.Pipeline(8, few(t, "v2", 2)).With(timeout).Run(stage).
				Exits(5, "waiting for the lock, held by "+says, "the release is locked by "+says)
			assert.Contains(t, job.Errors(), "→ Wait until it has ended")
			s.Unchanged(before)
		})
	}
}

// What changes nothing needs no lock.
func TestLock_keepsNobodyFromLooking(t *testing.T) {
	s := released(t, few(t, "v1", 2))
	s.HoldLock(7, "bob")
	p := s.Pipeline(8, few(t, "v2", 2))
	p.Run("plan").Succeeds("plan: canary creates app-canary")
	p.Run("status").Succeeds("no rollout is in flight")
}

// A job that has lost its lock writes nothing more.
func TestLock_thatIsLostStopsTheJob(t *testing.T) {
	s := released(t, few(t, "v1", 4))
	guard := s.Guard("app", 4)
	files := few(t, "v2-slow", 4).Edit("deploy.yaml", "    metadata:\n", "    metadata:\n      annotations: {lab.rollstep/ready-after: 20s}\n")
	p := s.Pipeline(2, files)
	job := p.Start("canary", "50%")
	s.AwaitPods("app-canary", 1, func(*corev1.Pod) bool { return true })
	s.Lock(7, "bob", time.Now())
	before := s.State()
	job.Exits(5, "the lock was lost: pipeline #7 (job promote, bob) https://gitlab.example.com/shop/app/-/jobs/700",
		"4 of 4 pods (100.0 %) serve registry.gitlab.com/wuestkamp/k8s-deployment-example-app:v1")
	s.Unchanged(before)
	guard.Check(4)
}

// A cancel is a cancel, and no trouble with the cluster, whatever request it
// meets.
func TestSigterm_isToldFromATroubledCluster(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		at   string
		args []string
	}{
		"taking the lock, looking":   {"GET /apis/coordination.k8s.io/v1/", []string{"canary"}},
		"taking the lock":            {"PUT /apis/coordination.k8s.io/v1/", []string{"canary"}},
		"reading the record":         {"/configmaps/rollstep-shop-app", []string{"canary"}},
		"asking for kinds":           {"GET /apis/apps/v1", []string{"canary"}},
		"dry run":                    {"dryRun=All", []string{"canary"}},
		"dry run of the canary":      {"/deployments/app-canary?dryRun=All", []string{"canary"}},
		"writing the record":         {"PUT /api/v1/namespaces/", []string{"canary"}},
		"beginning to watch":         {"/pods?", []string{"canary"}},
		"creating the canary":        {"/deployments/app-canary?fieldManager=rollstep&force=true", []string{"canary"}},
		"scaling":                    {"/deployments/app-canary?fieldManager=rollstep", []string{"canary"}},
		"status, beginning to watch": {"/pods?", []string{"status"}},
		"plan, dry run":              {"dryRun=All", []string{"plan"}},
		"rollback, beginning":        {"/deployments?", []string{"rollback"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := released(t, few(t, "v1", 2))
			p := s.Pipeline(2, few(t, "v2", 2))
			between := s.Between()
			between.HangAt(test.at)
			job := p.Through(between).Start(test.args...)
			job.CancelHanging(between)
			job.Exits(143, "cancelled (SIGTERM)")
			p.Run("canary").Succeeds()
		})
	}
}

// A retried job is a new job of the same pipeline and commit.
func TestRetry_takesTheRolloutUp(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		tag, again string
		code       int
	}{
		"after it succeeded":  {"v2", "v2", 0},
		"after it was killed": {"v2", "v2", 143},
		"after it failed":     {"v2-image-missing", "v2", 3}, // the image was pushed meanwhile
	} {
		t.Run(name, func(t *testing.T) {
			s := released(t, few(t, "v1", 3))
			guard := s.Guard("app", 3)
			job := s.Pipeline(2, few(t, test.tag, 3)).Start("canary", "50%")
			if test.code == 143 {
				s.AwaitPods("app-canary", 1, func(*corev1.Pod) bool { return true })
				job.Cancel()
			}
			job.Exits(test.code)
			p := s.Pipeline(2, few(t, test.again, 3))
			job = p.Run("canary", "50%").Succeeds("66.7 %")
			assert.NotContains(t, job.Log(), "taking over")
			assert.Equal(t, [2]int{1, 2}, counts(s, "app"))
			p.Run("promote").Succeeds()
			p.Run("promote").Succeeds("nothing to promote")
			guard.Check(3)
			s.Ask("app", 100, "v2")
		})
	}
}

// A person at a terminal is named, may take a rollout over and bring it to its
// end. The same log has no section marks there.
func TestOutsideCI_aPersonTakesOver(t *testing.T) {
	s := released(t, few(t, "v1", 4))
	guard := s.Guard("app", 4)
	pipeline := s.Pipeline(2, few(t, "v2", 4))
	pipeline.Run("canary", "25%").Succeeds()
	person := s.Pipeline(2, few(t, "v3", 4)).OutsideCI("bob", "laptop")
	job := person.Run("canary", "50%").Succeeds("taking over the rollout of pipeline #2 (job canary 25%, ann) https://gitlab.example.com/shop/app/-/jobs/", "50.0 %")
	assert.NotContains(t, job.Log(), "section_start")
	s.Ask("app-canary", 100, "v3")
	pipeline.Run("status").Succeeds("a run outside CI by bob@laptop")

	before := s.State()
	pipeline.Run("promote").Exits(5, "these manifests are not what the canary tested")
	s.Unchanged(before)
	person.Run("promote").Succeeds("promoted release")
	s.Ask("app", 100, "v3")
	person.Run("rollback").Succeeds("rolled back to release")
	guard.Check(4)
	s.Ask("app", 100, "v1")
}

// The newest pipeline takes over from a person as well.
func TestOutsideCI_aPipelineTakesOver(t *testing.T) {
	s := released(t, few(t, "v1", 4))
	guard := s.Guard("app", 4)
	person := s.Pipeline(2, few(t, "v2", 4)).OutsideCI("bob", "laptop")
	person.Run("canary", "50%").Succeeds()
	p := s.Pipeline(3, few(t, "v3", 4))
	p.Run("canary", "25%").Succeeds("taking over the rollout of a run outside CI by bob@laptop", "25.0 %")
	p.Run("promote").Succeeds()
	guard.Check(4)
	s.Ask("app", 100, "v3")
}

// Two people at once: their lock tells them apart.
func TestOutsideCI_isLockedToo(t *testing.T) {
	s := released(t, few(t, "v1", 4))
	bob := s.Pipeline(2, few(t, "v2-slow", 4)).OutsideCI("bob", "laptop")
	first := bob.Start("canary", "25%")
	s.AwaitLock()
	second := s.Pipeline(2, few(t, "v2-slow", 4)).OutsideCI("eve", "desktop").Run("canary", "50%")
	first.Succeeds()
	second.Succeeds("waiting for the lock, held by a run outside CI by bob@laptop, since ")
	assert.Equal(t, [2]int{2, 2}, counts(s, "app"))
}

package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// What is watched may arrive later than the answer to what was written: no
// stage may take the state before its own change for the one after it.
func TestStages_waitForTheirOwnChangesHoweverLateTheyAreSeen(t *testing.T) {
	s := space(t)
	behind := s.Between()
	behind.Lag = time.Second
	s.Pipeline(1, staged(t, "v1")).Through(behind).Run("apply").Succeeds()
	complete(t, s, "app", wanted)
	guard := s.Guard("app", wanted)

	p := s.Pipeline(2, staged(t, "v2")).Through(behind)
	p.Run("canary", "50%").Succeeds("50.0 %")
	assert.Equal(t, [2]int{5, 5}, counts(s, "app"))
	p.Run("canary", "20%").Succeeds("20.0 %")
	assert.LessOrEqual(t, guard.Most(), wanted+surge)
	p.Run("promote").Succeeds("10 of 10 pods (100.0 %) serve registry.gitlab.com/wuestkamp/k8s-deployment-example-app:v2")
	complete(t, s, "app", wanted)
	p.Run("rollback").Succeeds("10 of 10 pods (100.0 %) serve registry.gitlab.com/wuestkamp/k8s-deployment-example-app:v1")
	complete(t, s, "app", wanted)
	s.Pipeline(3, staged(t, "v3")).Through(behind).Run("apply").Succeeds("10 of 10 pods (100.0 %) serve registry.gitlab.com/wuestkamp/k8s-deployment-example-app:v3")
	complete(t, s, "app", wanted)
	guard.Check(wanted)
}

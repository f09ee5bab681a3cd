package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"gitlab.com/rollstep/rollstep/internal/labtest"
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

// Where ready pods do not become endpoints, the cluster is asked to look again at
// the Service, which is left as it was.
func TestStages_urgeStalledEndpointsOn(t *testing.T) {
	files := func(tag string) labtest.Files {
		return few(t, tag, 3).Edit("deploy.yaml", "maxSurge: 25%", "maxSurge: 100%")
	}
	s := released(t, files("v1"))
	between := s.Between()
	before := s.Get(labtest.Services, "app")
	job := s.Pipeline(2, files("v2-slow")).Through(between).With("ROLLSTEP_SKIP_CANARY=true").Start("promote")
	s.Await(labtest.Deployments, "app", func(o *unstructured.Unstructured) bool { return o.GetGeneration() > 1 })
	between.Hold("/endpointslices?", "PATCH /api/v1/namespaces/"+s.Name+"/services/app?fieldManager=rollstep")
	job.Succeeds("Service app does not send traffic to all ready pods: the cluster is asked to look at it again", "promoted release")
	complete(t, s, "app", 3)
	after := s.Get(labtest.Services, "app")
	assert.Equal(t, before.GetAnnotations(), after.GetAnnotations())
	assert.Equal(t, before.Object["spec"], after.Object["spec"])
	assert.Equal(t, before.GetManagedFields()[0].FieldsV1, after.GetManagedFields()[0].FieldsV1)
}

package main

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

// What an overtaken release brought, and the one that overtook it does not have,
// goes when the rollout ends, whichever way.
func TestTakeover_leavesNothingOfTheOvertakenRelease(t *testing.T) {
	t.Parallel()
	const extra = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: extra}\ndata: {a: b}\n---\n" +
		"apiVersion: v1\nkind: Service\nmetadata: {name: extra}\nspec: {selector: {app: app}, ports: [{port: 81, targetPort: 5000}]}\n"
	const more = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\ndata: {a: b}\n"
	for _, stage := range []string{"promote", "rollback"} {
		t.Run(stage, func(t *testing.T) {
			s := released(t, few(t, "v1", 3))
			s.Pipeline(2, few(t, "v2", 3).With("extra.yaml", extra).With("more.yaml", more)).Run("canary", "34%").Succeeds()
			assert.NotNil(t, s.Get(labtest.ConfigMaps, "extra"))
			p := s.Pipeline(3, few(t, "v3", 3).With("more.yaml", more))
			p.Run("canary", "34%").Succeeds("taking over the rollout")
			p.Run(stage).Succeeds()
			assert.Nil(t, s.Get(labtest.ConfigMaps, "extra"))
			assert.Nil(t, s.Get(labtest.Services, "extra"))
			assert.Equal(t, stage == "promote", s.Get(labtest.ConfigMaps, "more") != nil, "what both have")
			complete(t, s, "app", 3)
			assert.Empty(t, s.Leftovers())
		})
	}
}

// A canary that is already where it is asked to be is left alone.
func TestCanary_writesNothingTheSecondTime(t *testing.T) {
	s := released(t, configured(t, "v1", settingsV1, credentialsV1))
	p := s.Pipeline(2, configured(t, "v2", settingsV2, credentialsV1))
	p.Run("canary", "34%").Succeeds()
	written := func() labtest.State {
		state := s.State()
		delete(state, "ConfigMap rollstep-shop-app") // the record tells who looked last
		return state
	}
	before := written()
	job := p.With("ROLLSTEP_SETTLE=10m").Run("canary", "34%").Succeeds()
	assert.NotContains(t, job.Log(), "watching the canary")
	assert.Equal(t, before, written())
}

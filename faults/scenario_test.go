package faults

import (
	"testing"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

// scenario is a stage, what was done before it, and what it promises.
type scenario struct {
	name    string
	prepare func(s *labtest.Space, run func(labtest.Pipeline, ...string))
	stage   []string
	commit  func(t *testing.T) labtest.Files
	// pods that serve at least, from the moment when prepare has ended; 0 where
	// there is nothing yet
	least    int
	pipeline int
}

// pods is how many the examples' Deployments have here.
const pods = "4"

func staged(t *testing.T, tag string) labtest.Files {
	return labtest.Examples(t, "staged/k8s").
		Edit("deploy.yaml", "replicas: 10", "replicas: "+pods).
		Edit("deploy.yaml", ":v1", ":"+tag)
}

func configured(t *testing.T, colour string) labtest.Files {
	return staged(t, "v1").
		Edit("deploy.yaml", "- name: app\n", "- name: app\n          envFrom: [{configMapRef: {name: settings}}]\n").
		With("settings.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {colour: "+colour+"}\n")
}

func declared(t *testing.T, stable, canary, tag string) labtest.Files {
	return labtest.Examples(t, "declared/i/k8s").
		Edit("deploy.yaml", "replicas: 10", "replicas: "+stable).
		Edit("deploy.yaml", ":v1", ":"+tag).
		Edit("deploy-canary.yaml", "replicas: 0", "replicas: "+canary)
}

func scenarios(t *testing.T) []scenario {
	v1 := func(s *labtest.Space, run func(labtest.Pipeline, ...string)) {
		run(s.Pipeline(1, staged(t, "v1")), "canary")
	}
	then := func(before func(*labtest.Space, func(labtest.Pipeline, ...string)), stage ...string) func(*labtest.Space, func(labtest.Pipeline, ...string)) {
		return func(s *labtest.Space, run func(labtest.Pipeline, ...string)) {
			before(s, run)
			run(s.Pipeline(2, staged(t, "v2")), stage...)
		}
	}
	v2 := func(t *testing.T) labtest.Files { return staged(t, "v2") }
	half := then(v1, "canary", "50%")
	return []scenario{
		{"declared, initial", nil, []string{"apply"}, func(t *testing.T) labtest.Files { return declared(t, "4", "0", "v1") }, 0, 1},
		{"declared, step 1", func(s *labtest.Space, run func(labtest.Pipeline, ...string)) {
			run(s.Pipeline(1, declared(t, "4", "0", "v1")), "apply")
		}, []string{"apply"}, func(t *testing.T) labtest.Files { return declared(t, "3", "1", "v1") }, 4, 2},
		{"declared, step 2", func(s *labtest.Space, run func(labtest.Pipeline, ...string)) {
			run(s.Pipeline(1, declared(t, "3", "1", "v1")), "apply")
		}, []string{"apply"}, func(t *testing.T) labtest.Files { return declared(t, "4", "0", "v2") }, 3, 2},
		{"first release", nil, []string{"canary", "25%"}, v2, 0, 1},
		{"canary up to 25 %", v1, []string{"canary", "25%"}, v2, 4, 2},
		{"canary up to 50 %", then(v1, "canary", "25%"), []string{"canary", "50%"}, v2, 4, 2},
		{"canary down to 25 %", half, []string{"canary", "25%"}, v2, 4, 2},
		{"promote", half, []string{"promote"}, v2, 4, 2},
		{"rollback of a canary", half, []string{"rollback"}, v2, 4, 2},
		{"rollback of a promotion", then(half, "promote"), []string{"rollback"}, v2, 4, 2},
		{"canary taken over", half, []string{"canary", "25%"}, func(t *testing.T) labtest.Files { return staged(t, "v3") }, 4, 3},
		{"promotion of configuration", func(s *labtest.Space, run func(labtest.Pipeline, ...string)) {
			run(s.Pipeline(1, configured(t, "blue")), "canary")
			run(s.Pipeline(2, configured(t, "red")), "canary", "25%")
		}, []string{"promote"}, func(t *testing.T) labtest.Files { return configured(t, "red") }, 4, 2},
		{"plan at the gate", half, []string{"plan"}, v2, 4, 2},
		{"status at the gate", half, []string{"status"}, v2, 4, 2},
		{"sweep of a canary", half, []string{"sweep"}, v2, 4, 3},
	}
}

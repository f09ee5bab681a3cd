package main

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

// Mistakes of the user are told before anything changes.
func TestBadInput_isExplainedAndChangesNothing(t *testing.T) {
	t.Parallel()
	good := few(t, "v2", 2)
	for name, test := range map[string]struct {
		files     labtest.Files
		variables []string
		args      []string
		says      []string
	}{
		"unreadable YAML": {
			files: good.With("extra.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: [b\n"),
			says:  []string{"extra.yaml", "document 2", "line"},
		},
		"unknown kind": {
			files: good.With("extra.yaml", "apiVersion: apps/v1\nkind: Deploymint\nmetadata:\n  name: a\n"),
			says:  []string{"extra.yaml, document 1", "Deploymint", "apps/v1 has: ", "Deployment"},
		},
		"unknown group": {
			files: good.With("extra.yaml", "apiVersion: shop.example.org/v1\nkind: Order\nmetadata:\n  name: a\n"),
			says:  []string{"extra.yaml", "no kind Order in shop.example.org/v1", "CustomResourceDefinition"},
		},
		"missing namespace": {
			files: good.With("extra.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  namespace: nowhere-to-be-found\n"),
			says:  []string{"extra.yaml", "ConfigMap a", "nowhere-to-be-found"},
		},
		"a Deployment that the server rejects": {
			files: good.Edit("deploy.yaml", "containerPort: 5000", "containerPort: 500000"),
			says:  []string{"deploy.yaml", "Deployment app", "containerPort", "500000"},
		},
		"a field that the server does not know": {
			files: good.Edit("deploy.yaml", "replicas:", "replcas: 3\n  replicas:"),
			says:  []string{"deploy.yaml", "Deployment app", "replcas"},
		},
		"a selector that differs from the live one": {
			files: good.Edit("deploy.yaml", "app: app", "app: application"),
			says:  []string{"deploy.yaml", "Deployment app", "spec.selector", "immutable"},
		},
		"an image name that matches nothing": {
			files:     good,
			variables: []string{"ROLLSTEP_IMAGE=web=registry.example.com/web:v2"},
			says:      []string{"ROLLSTEP_IMAGE", `"web"`, "app"},
		},
		"an image without a container": {
			files:     good.Edit("deploy.yaml", "        - name: app", "        - {name: sidecar, image: proxy}\n        - name: app"),
			variables: []string{"ROLLSTEP_IMAGE=registry.example.com/web:v2"},
			says:      []string{"ROLLSTEP_IMAGE", "registry.example.com/web:v2", "sidecar"},
		},
		"a weight that is no number": {files: good, args: []string{"canary", "abc"}, says: []string{`"abc" is no weight`, "rollstep canary 25%"}},
		"a weight above 100":         {files: good, args: []string{"canary", "101%"}, says: []string{`"101%" is no weight`}},
		"a negative weight":          {files: good, args: []string{"canary", "-1"}, says: []string{`"-1" is no weight`}},
		"a weight of half a percent": {files: good, args: []string{"canary", "0.5"}, says: []string{`"0.5" is no weight`}},
		"a weight variable": {
			files: good, variables: []string{"ROLLSTEP_WEIGHT=abc"}, says: []string{"ROLLSTEP_WEIGHT", `"abc" is no weight`},
		},
		"a negative number of canary pods": {
			files: good, variables: []string{"ROLLSTEP_CANARY_REPLICAS=-1"}, says: []string{"ROLLSTEP_CANARY_REPLICAS", `"-1"`},
		},
		"more canary pods than pods": {
			files: good, variables: []string{"ROLLSTEP_CANARY_REPLICAS=3"}, says: []string{"ROLLSTEP_CANARY_REPLICAS", "3", "Deployment app", "2 pods"},
		},
		"no manifests": {
			files: good, variables: []string{"ROLLSTEP_MANIFESTS=/nowhere/k8s"}, says: []string{"ROLLSTEP_MANIFESTS", "/nowhere/k8s"},
		},
		"an empty directory of manifests": {files: labtest.Files{"README.md": "nothing"}, says: []string{"k8s holds no Kubernetes objects"}},
		"a wrong stage":                   {files: good, args: []string{"cannary"}, says: []string{`"cannary"`, "plan, apply, canary, promote, rollback, sweep, rbac, status"}},
		"a wrong stage from the job":      {files: good, variables: []string{"CI_JOB_STAGE=deploy"}, args: []string{}, says: []string{`"deploy"`, "CI_JOB_STAGE"}},
		"an unknown variable":             {files: good, variables: []string{"ROLLSTEP_WIEGHT=20"}, says: []string{"ROLLSTEP_WIEGHT"}},
		"a duration without a unit":       {files: good, variables: []string{"ROLLSTEP_TIMEOUT=90"}, says: []string{"ROLLSTEP_TIMEOUT", `"90"`}},
		"an unknown way to fail":          {files: good, variables: []string{"ROLLSTEP_ON_FAILURE=panic"}, says: []string{"ROLLSTEP_ON_FAILURE", `"panic"`}},
		"a preview of an unknown type":    {files: good, variables: []string{"ROLLSTEP_PREVIEW=Ingress"}, says: []string{"ROLLSTEP_PREVIEW", `"Ingress"`, "NodePort"}},
		"two mistakes in the environment": {
			files:     good,
			variables: []string{"ROLLSTEP_WEIGHT=abc", "ROLLSTEP_SETTLE=soon"},
			says:      []string{"ROLLSTEP_WEIGHT", "ROLLSTEP_SETTLE"},
		},
		"two mistakes in two files": {
			files: good.Edit("deploy.yaml", "containerPort: 5000", "containerPort: 500000").Edit("service.yaml", "port: 80", "port: 800000"),
			says:  []string{"deploy.yaml", "500000", "service.yaml", "800000"},
		},
		"two mistakes of different kinds": {
			files: good.Edit("deploy.yaml", "containerPort: 5000", "containerPort: 500000").
				With("extra.yaml", "apiVersion: apps/v1\nkind: Deploymint\nmetadata:\n  name: a\n"),
			says: []string{"deploy.yaml", "500000", "Deploymint"},
		},
		"a mistake in the environment and one in the manifests": {
			files:     good.With("extra.yaml", "kind: [\n"),
			variables: []string{"ROLLSTEP_WEIGHT=abc"},
			says:      []string{"ROLLSTEP_WEIGHT", "extra.yaml"},
		},
		"a kubeconfig that is not there and unreadable YAML": {
			files:     good.With("extra.yaml", "kind: [\n"),
			variables: []string{"KUBECONFIG=/nowhere/kubeconfig"},
			says:      []string{"/nowhere/kubeconfig", "extra.yaml"},
		},
		"the same object twice": {
			files: good.With("zz.yaml", good["service.yaml"]),
			says:  []string{"service.yaml", "zz.yaml", "Service app"},
		},
		"a namespace that is not there": {
			files: good, variables: []string{"KUBE_NAMESPACE=nowhere-to-be-found"}, says: []string{"nowhere-to-be-found"},
		},
		"a kind that the job may not write": {
			files: good.With("extra.yaml", "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata:\n  name: app\nspec:\n  maxUnavailable: 1\n  selector: {matchLabels: {app: app}}\n"),
			says:  []string{"PodDisruptionBudget app", "forbidden", `User "ci" cannot`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := released(t, few(t, "v1", 2))
			before := s.State()
			args := test.args
			if args == nil {
				args = []string{"canary"}
			}
			job := s.Pipeline(2, test.files).With(test.variables...).Run(args...).Exits(2, test.says...)
			assert.Contains(t, job.Errors(), "error: ")
			assert.Contains(t, job.Errors(), "→", "what to do next")
			s.Unchanged(before)
		})
	}
}

// The same mistakes stop every stage that changes something.
func TestBadInput_stopsEveryStage(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{"plan", "apply", "canary", "promote"} {
		t.Run(stage, func(t *testing.T) {
			s := released(t, few(t, "v1", 2))
			before := s.State()
			files := few(t, "v2", 2).Edit("deploy.yaml", "containerPort: 5000", "containerPort: 500000")
			s.Pipeline(2, files).Run(stage).Exits(2, "deploy.yaml", "500000")
			s.Unchanged(before)
		})
	}
}

func TestErrors_neverShowASecret(t *testing.T) {
	s := released(t, few(t, "v1", 2))
	const secret = "hunter2-is-no-password"
	files := few(t, "v2", 2).With("secret.yaml", "apiVersion: v1\nkind: Secret\nmetadata:\n  name: credentials\ndata:\n  password: "+secret+"\n")
	job := s.Pipeline(2, files).Run("canary").Exits(2, "secret.yaml", "Secret credentials")
	assert.NotContains(t, job.Log(), secret)
}

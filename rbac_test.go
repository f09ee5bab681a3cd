package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

const others = `
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: worker}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: worker}
  minReplicas: 1
  maxReplicas: 3
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker}
spec:
  selector: {matchLabels: {app: worker}}
  template:
    metadata: {labels: {app: worker}}
    spec: {containers: [{name: worker, image: "worker:v1"}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: app}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: app}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: app}
spec: {defaultBackend: {service: {name: app, port: {number: 80}}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: app}
spec: {podSelector: {}, ingress: [{}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: db, image: "db:v1"}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec:
  template:
    spec: {restartPolicy: Never, containers: [{name: migrate, image: "migrate:v1"}]}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: app}
`

// printedRules are those of the Role that rollstep rbac prints.
func printedRules(t *testing.T, files labtest.Files) []rbacv1.PolicyRule {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	var out, problems bytes.Buffer
	require.Zero(t, run(t.Context(), []string{"rbac"}, []string{"ROLLSTEP_MANIFESTS=" + dir}, &out, &problems), problems.String())
	for document := range strings.SplitSeq(out.String(), "\n---\n") {
		role := &rbacv1.Role{}
		require.NoError(t, yaml.UnmarshalStrict([]byte(document), role))
		if role.Kind == "Role" {
			return role.Rules
		}
	}
	t.Fatalf("no Role is printed:\n%s", out.String())
	return nil
}

// What rollstep rbac prints is enough for every stage, whatever the manifests
// contain, and plan misses nothing.
func TestRBAC_isEnough(t *testing.T) {
	t.Parallel()
	files := few(t, "v1", 2).With("others.yaml", others)
	s := labtest.New(t, run, printedRules(t, files)...)
	plan := s.Pipeline(1, files).Run("plan").Succeeds()
	assert.NotContains(t, plan.Log(), "lacks permissions")
	s.Pipeline(1, files).Run("apply").Succeeds()
	next := files.Edit("deploy.yaml", ":v1", ":v2").
		Edit("others.yaml", "maxReplicas: 3", "maxReplicas: 4").Edit("others.yaml", "db:v1", "db:v2")
	p := s.Pipeline(2, next)
	for _, stage := range []string{"plan", "canary", "status", "promote", "rollback", "sweep"} {
		p.Run(stage).Succeeds()
	}
}

func TestRBAC_ofTheWholeCluster(t *testing.T) {
	var out, problems bytes.Buffer
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "all.yaml"), []byte(`
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: oxen.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Ox, plural: oxen}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
---
apiVersion: example.com/v1
kind: Ox
metadata: {name: bill}
`), 0o644))
	code := run(t.Context(), []string{"rbac"}, []string{"ROLLSTEP_MANIFESTS=" + dir, "KUBE_NAMESPACE=shop"}, &out, &problems)
	require.Zero(t, code, problems.String())
	assert.Contains(t, out.String(), "kind: ClusterRole\nmetadata:\n  name: rollstep-ci-shop\n")
	assert.Contains(t, out.String(), "    resources: [namespaces]\n    resourceNames: [shop]\n")
	assert.Contains(t, out.String(), "    resources: [customresourcedefinitions]\n    resourceNames: [oxen.example.com]\n")
	assert.Contains(t, out.String(), "  - apiGroups: [example.com]\n    resources: [oxen]\n")

	out.Reset()
	code = run(t.Context(), []string{"rbac"}, []string{"ROLLSTEP_MANIFESTS=" + filepath.Join(dir, "none")}, &out, &problems)
	assert.Equal(t, 2, code)
	assert.Empty(t, out.String())
	assert.Contains(t, problems.String(), "none")
}

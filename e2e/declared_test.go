package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The two steps of the README of examples/declared, each a commit.
func TestDeclared_everyPushIsAStep(t *testing.T) {
	p := newProject(t, "declared")
	p.push().ran("deploy").job("deploy").succeeds().reports()
	p.has(10, 0)

	p.edit("i/k8s/deploy-canary.yaml", "replicas: 0", "replicas: 1")
	p.edit("i/k8s/deploy.yaml", "replicas: 10", "replicas: 9")
	p.commit("Some users get v2")
	p.push().job("deploy").succeeds("10.0 %").reports()
	p.has(9, 1)
	require.Equal(t, []string{"v1", "v2"}, p.serving())

	p.edit("i/k8s/deploy.yaml", "replicas: 9", "replicas: 10")
	p.edit("i/k8s/deploy.yaml", "example-app:v1", "example-app:v2")
	p.edit("i/k8s/deploy-canary.yaml", "replicas: 1", "replicas: 0")
	p.commit("Everyone gets v2")
	p.push().job("deploy").succeeds("100.0 %").reports()
	p.has(10, 0)
	require.Equal(t, []string{"v2"}, p.serving())
}

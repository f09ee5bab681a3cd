package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"gitlab.com/rollstep/rollstep/step"
)

func TestReadme_namesEveryStage(t *testing.T) {
	for _, s := range step.Stages {
		row := "| `" + strings.TrimSpace(s.Name+" "+s.Argument) + "` |"
		assert.True(t, strings.Contains(readme(t), row), "README.md has no row %s", row)
	}
}

// The Role of the example is the one that its manifests need.
func TestExample_hasTheRoleThatRollstepPrints(t *testing.T) {
	var want, problems bytes.Buffer
	code := run(t.Context(), []string{"rbac"}, []string{"ROLLSTEP_MANIFESTS=examples/staged/k8s"}, &want, &problems)
	require.Equal(t, step.ExitDone, code, problems.String())
	is, err := os.ReadFile("examples/staged/rbac.yaml")
	require.NoError(t, err)
	assert.Equal(t, want.String(), string(is), "ROLLSTEP_MANIFESTS=examples/staged/k8s rollstep rbac > examples/staged/rbac.yaml")
	assert.Contains(t, readme(t), "```yaml\n"+want.String()+"```", "the Role in README.md")
}

func readme(t *testing.T) string {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	return string(text)
}

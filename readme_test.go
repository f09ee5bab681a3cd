package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"gitlab.com/rollstep/rollstep/step"
)

func TestReadme_showsTheRoleOfTheExample(t *testing.T) {
	role, err := os.ReadFile("examples/staged/rbac.yaml")
	require.NoError(t, err)
	require.Contains(t, readme(t), "```yaml\n"+string(role)+"```\n")
}

func TestReadme_namesEveryStage(t *testing.T) {
	for _, s := range step.Stages {
		require.Contains(t, readme(t), "| `"+strings.TrimSpace(s.Name+" "+s.Argument)+"` |")
	}
}

func readme(t *testing.T) string {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	return string(text)
}

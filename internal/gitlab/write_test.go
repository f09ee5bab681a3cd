package gitlab

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWrite_replacesWhatIsThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	require.NoError(t, failedReport().Write(dir))
	require.NoError(t, canaryReport().Write(dir))
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, files, 4, "nothing but the reports is left")
	for _, f := range files {
		info, err := f.Info()
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o644), info.Mode(), f.Name())
	}
	assert.Contains(t, read(t, dir, DotenvFile), "ROLLSTEP_OUTCOME=done\n")
	assert.Contains(t, read(t, dir, PageFile), "canary is healthy")
}

func TestWrite_oneThatFailsKeepsNoOtherBack(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, JUnitFile, "in the way"), 0o755))
	err := canaryReport().Write(dir)
	assert.ErrorContains(t, err, "report junit.xml: ")
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	assert.Equal(t, []string{AnnotationsFile, JUnitFile, PageFile, DotenvFile}, names)
}

func TestWrite_saysWhyThereIsNoDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	assert.ErrorContains(t, canaryReport().Write(filepath.Join(file, "dir")), file)
}

func read(t *testing.T, dir, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, file))
	require.NoError(t, err)
	return string(text)
}

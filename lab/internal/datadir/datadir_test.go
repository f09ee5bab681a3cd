package datadir

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAt_removesWhatAKilledLabLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lab")
	first, err := At(path)
	require.NoError(t, err)
	left := filepath.Join(path, "etcd.log")
	require.NoError(t, os.WriteFile(left, nil, 0o600))
	require.NoError(t, first.lock.Close()) // as the kernel does when a process dies

	second, err := At(path)
	require.NoError(t, err)
	assert.NoFileExists(t, left)
	require.NoError(t, second.Remove())
	entries, err := os.ReadDir(path)
	require.NoError(t, err)
	assert.Empty(t, entries)
}

func TestAt_refusesTheDirectoryOfARunningLab(t *testing.T) {
	dir, err := At(filepath.Join(t.TempDir(), "lab"))
	require.NoError(t, err)
	_, err = At(dir.Path)
	assert.ErrorContains(t, err, "another lab is running in "+dir.Path)
	require.NoError(t, dir.Remove())
	assert.NoDirExists(t, dir.Path)
}

func TestAt_refusesADirectoryThatIsNotALabs(t *testing.T) {
	path := t.TempDir()
	theirs := filepath.Join(path, "theirs")
	require.NoError(t, os.WriteFile(theirs, nil, 0o600))
	_, err := At(path)
	assert.ErrorContains(t, err, "was not made by a lab")
	assert.FileExists(t, theirs)
}

func TestTemporary_removesThoseOfKilledLabsOnly(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	killed, err := Temporary()
	require.NoError(t, err)
	require.NoError(t, killed.lock.Close())
	running, err := Temporary()
	require.NoError(t, err)
	assert.NoDirExists(t, killed.Path)
	third, err := Temporary()
	require.NoError(t, err)
	assert.DirExists(t, running.Path)
	require.NoError(t, running.Remove())
	require.NoError(t, third.Remove())
}

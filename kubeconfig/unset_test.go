package kubeconfig

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// serviceAccount lays out a directory as Kubernetes mounts it into a pod.
func serviceAccount(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "token"), []byte(secret+"\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "namespace"), []byte("ci-jobs"), 0o600))
	return dir
}

func TestLoad_usesTheServiceAccountOfItsPod(t *testing.T) {
	dir := serviceAccount(t)
	in := Input{Environ: map[string]string{"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}, ServiceAccountDir: dir}
	got, err := Load(in)
	require.NoError(t, err)
	assert.Equal(t, "https://[fd00::1]:443", got.Config.Host)
	assert.Equal(t, secret, got.Config.BearerToken)
	assert.Equal(t, filepath.Join(dir, "token"), got.Config.BearerTokenFile)
	assert.Equal(t, float32(-1), got.Config.QPS)
	assert.Equal(t, "ci-jobs", got.Namespace)
	assert.Len(t, got.Notes, 1)

	in.Namespace = "shop"
	got, err = Load(in)
	require.NoError(t, err)
	assert.Equal(t, "shop", got.Namespace)
}

func TestLoad_prefersKubeconfigToTheServiceAccount(t *testing.T) {
	got, err := Load(Input{Kubeconfig: write(t, config("ci")), Environ: map[string]string{"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, ServiceAccountDir: serviceAccount(t)})
	require.NoError(t, err)
	assert.Equal(t, "ci", got.Context)
}

// A job that names a context means a cluster that the runner's own account,
// being elsewhere, must not stand in for.
func TestLoad_refusesTheServiceAccountWhenAContextIsWanted(t *testing.T) {
	_, err := Load(Input{Context: "g/p:agent", Environ: map[string]string{"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, ServiceAccountDir: serviceAccount(t)})
	assert.ErrorContains(t, err, "g/p:agent")
}

func TestLoad_ignoresAServiceAccountOutsideOfAPod(t *testing.T) {
	_, err := Load(Input{ServiceAccountDir: serviceAccount(t)})
	assert.ErrorContains(t, err, "KUBECONFIG is not set")
}

package manifest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"gitlab.com/rollstep/rollstep/internal/hint"
)

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 10
  template: {spec: {containers: [{name: app, image: app:v1}]}}
`

func overlays() map[string]string {
	return map[string]string{
		"k8s/base/kustomization.yaml":          "resources: [deploy.yaml]\n",
		"k8s/base/deploy.yaml":                 deployment,
		"k8s/overlays/prod/kustomization.yaml": "resources: [../../base]\nnamespace: shop\nconfigMapGenerator:\n- {name: web, literals: [x=y]}\nimages:\n- {name: app, newTag: v2}\n",
	}
}

func TestLoad_buildsAKustomization(t *testing.T) {
	files(t, overlays())
	for _, path := range []string{"k8s/overlays/prod", "k8s/overlays/prod/kustomization.yaml"} {
		m, err := Load(path)
		require.NoError(t, err)
		require.Len(t, m.Objects, 2)
		assert.Equal(t, "web", m.Objects[0].GetName())
		assert.Equal(t, "shop", m.Objects[0].GetNamespace())
		replicas, _, err := unstructured.NestedInt64(m.Objects[0].Object, "spec", "replicas")
		require.NoError(t, err)
		assert.Equal(t, int64(10), replicas)
		assert.Equal(t, "ConfigMap", m.Objects[1].GetKind())
		assert.Equal(t, "kustomization k8s/overlays/prod", m.Origin(m.Objects[1]))
	}
}

func TestLoad_pointsFromADirectoryToTheKustomizationsInIt(t *testing.T) {
	_, err := Load(files(t, overlays()))
	require.ErrorContains(t, err, "k8s is no kustomization, but holds k8s/base, k8s/overlays/prod")
	assert.Contains(t, hint.Of(err), "overlay")
}

func TestLoad_explainsMistakesInKustomizations(t *testing.T) {
	for name, tt := range map[string]struct {
		kustomization string
		want          []string
	}{
		"remote repository":       {"resources: ['https://user:" + secret + "@github.com/org/repo?ref=v1']\n", []string{"k8s/kustomization.yaml: resources: https://github.com/org/repo", "fetches nothing"}},
		"repository over SSH":     {"resources: ['git@gitlab.com:org/repo.git']\n", []string{"is remote"}},
		"repository by host":      {"bases: [github.com/org/repo]\n", []string{"bases: github.com/org/repo is remote"}},
		"remote component":        {"components: ['ssh://git@example.com/x//y']\n", []string{"components", "is remote"}},
		"remote patch":            {"resources: [deploy.yaml]\npatches: [{path: 'https://example.com/p.yaml'}]\n", []string{"https://example.com/p.yaml is remote"}},
		"remote file of a map":    {"configMapGenerator: [{name: a, files: ['x=https://example.com/x']}]\n", []string{"https://example.com/x is remote"}},
		"remote in a base":        {"resources: [base]\n", []string{"k8s/base/kustomization.yaml: resources: https://example.com/x is remote"}},
		"missing file":            {"resources: [deploy.yml, gone]\n", []string{"resources: deploy.yml does not exist", "resources: gone does not exist"}},
		"directory without one":   {"resources: [plain]\n", []string{"k8s/plain has no kustomization file"}},
		"unknown field":           {"ressources: []\n", []string{"k8s/kustomization.yaml", "ressources"}},
		"no YAML":                 {"resources: [\n", []string{"k8s/kustomization.yaml"}},
		"empty":                   {"", []string{"kustomization k8s", "empty"}},
		"Helm chart":              {"helmCharts: [{name: x}]\n", []string{"helmCharts"}},
		"secret literal":          {"secretGenerator: [{name: a, literals: [" + secret + "]}]\n", []string{"invalid literal source (left out)"}},
		"secret literal twice":    {"secretGenerator: [{name: a, literals: [p=" + secret + ", p=" + secret + "]}]\n", []string{"repeats the key `p`"}},
		"secret with other error": {"resources: [deploy.yaml]\nsecretGenerator: [{name: a, literals: [p=" + secret + "], behavior: merge}]\n", []string{"merge"}},
		"patch without a target":  {"resources: [deploy.yaml]\npatches: [{patch: 'a: " + secret + "'}]\n", []string{"left out"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(files(t, map[string]string{
				"k8s/kustomization.yaml":      tt.kustomization,
				"k8s/deploy.yaml":             deployment,
				"k8s/plain/x.yaml":            configMap("x"),
				"k8s/base/kustomization.yaml": "resources: ['https://example.com/x']\n",
			}))
			require.Error(t, err)
			for _, want := range tt.want {
				assert.Contains(t, err.Error(), want)
			}
			assert.NotEmpty(t, hint.Of(err))
			assert.NotContains(t, err.Error()+hint.Of(err), secret)
		})
	}
}

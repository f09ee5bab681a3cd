package manifest

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func fill(t *testing.T, content string, namespaced func(schema.GroupVersionKind) (bool, error)) (*Manifests, error) {
	t.Helper()
	c := newCollection()
	c.addContent("x.yaml", []byte(content))
	require.Empty(t, c.problems)
	m := &Manifests{Objects: c.objects, origins: c.origins}
	return m, m.FillNamespaces("shop", namespaced)
}

// likeKubernetes answers for the kinds used here, and counts its calls.
func likeKubernetes(calls *int) func(schema.GroupVersionKind) (bool, error) {
	return func(gvk schema.GroupVersionKind) (bool, error) {
		*calls++
		switch gvk.Kind {
		case "Namespace", "CustomResourceDefinition":
			return false, nil
		case "ConfigMap":
			return true, nil
		}
		return false, errors.New("no such kind in the cluster")
	}
}

func TestFillNamespaces_setsOnlyWhatIsEmptyAndNamespaced(t *testing.T) {
	calls := 0
	m, err := fill(t, configMap("a")+"---\n"+configMap("b")+"  namespace: other\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n", likeKubernetes(&calls))
	require.NoError(t, err)
	assert.Equal(t, "shop", m.Objects[0].GetNamespace())
	assert.Equal(t, "other", m.Objects[1].GetNamespace())
	assert.Empty(t, m.Objects[2].GetNamespace())
	assert.Equal(t, 2, calls, "asks once per kind")
}

func TestFillNamespaces_knowsTheKindsThatTheManifestsDefine(t *testing.T) {
	calls := 0
	m, err := fill(t, `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec: {group: example.com, scope: Namespaced, names: {kind: Widget, plural: widgets}}
---
apiVersion: example.com/v1
kind: Widget
metadata: {name: w}
`, likeKubernetes(&calls))
	require.NoError(t, err)
	assert.Equal(t, "shop", m.Objects[1].GetNamespace())
	assert.Equal(t, 1, calls)
}

func TestFillNamespaces_reportsAllMistakes(t *testing.T) {
	calls := 0
	_, err := fill(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: team, namespace: shop}\n---\n"+
		configMap("a")+"---\n"+configMap("a")+"  namespace: shop\n---\napiVersion: v9\nkind: Gone\nmetadata: {name: g}\n", likeKubernetes(&calls))
	require.Error(t, err)
	assert.Equal(t, `x.yaml, document 1, line 1: Namespace shop/team has a namespace, but a Namespace belongs to the whole cluster
x.yaml, document 3, line 10: ConfigMap shop/a is already declared in x.yaml, document 2, line 5
x.yaml, document 4, line 16: Gone g: no such kind in the cluster`, err.Error())
}

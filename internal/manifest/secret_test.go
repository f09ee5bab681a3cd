package manifest

import (
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestEncodeSecrets_movesStringDataAsTheServerDoes(t *testing.T) {
	secret := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret",
		"data":       map[string]any{"a": "b2xk", "b": "Yg=="},
		"stringData": map[string]any{"a": "new"},
	}}
	other := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "example.org/v1", "kind": "Secret", "stringData": map[string]any{"a": "x"}}}
	broken := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Secret", "stringData": map[string]any{"a": int64(1)}}}

	EncodeSecrets([]*unstructured.Unstructured{secret, other, broken})

	require.Equal(t, map[string]any{"a": "bmV3", "b": "Yg=="}, secret.Object["data"])
	require.NotContains(t, secret.Object, "stringData")
	require.Contains(t, other.Object, "stringData")
	require.Contains(t, broken.Object, "stringData")
}

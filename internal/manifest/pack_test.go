package manifest

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestHash_isOfTheContentAlone(t *testing.T) {
	objects := parse(t, configMap("a")+"data: {x: '1', z: '2'}\n---\n"+configMap("b"))
	written := parse(t, "# other words\n"+configMap("b")+"---\n"+`{"kind":"ConfigMap","data":{"z":"2","x":"1"},"apiVersion":"v1","metadata":{"name":"a"}}`)
	assert.Equal(t, Hash(objects), Hash(written))
	assert.Len(t, Hash(objects), 64)
	assert.NotEqual(t, Hash(objects), Hash(objects[:1]))
	assert.NotEqual(t, Hash(objects), Hash(parse(t, configMap("a")+"data: {x: '1', z: '3'}\n---\n"+configMap("b"))))
}

func TestPack_unpacksToTheSameObjectsInOrder(t *testing.T) {
	objects := parse(t, configMap("b")+"data: {html: '<a & b>'}\n---\n"+deployment+"---\n"+configMap("a")+"ratio: 0.5\n")
	packed, err := Pack(objects)
	require.NoError(t, err)
	again, err := Pack(objects)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(packed, again), "deterministic")
	unpacked, err := Unpack(packed)
	require.NoError(t, err)
	assert.Equal(t, objects, unpacked)
}

func TestUnpack_refusesWhatPackDidNotWrite(t *testing.T) {
	packed, err := Pack([]*unstructured.Unstructured{{Object: map[string]any{"kind": "X"}}})
	require.NoError(t, err)
	for name, content := range map[string][]byte{"no gzip": []byte("x"), "cut off": packed[:len(packed)-9], "no object": packed, "nothing": nil} {
		_, err := Unpack(content)
		assert.ErrorContains(t, err, "unpack", name)
	}
}

package manifest

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestPodTemplate_isOfWorkloadsOnly(t *testing.T) {
	template, ok := PodTemplate(parse(t, deployment)[0])
	assert.True(t, ok)
	assert.Contains(t, template, "spec")
	_, ok = PodTemplate(parse(t, configMap("a"))[0])
	assert.False(t, ok)
	_, ok = PodTemplate(parse(t, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: 3\n")[0])
	assert.False(t, ok)
	_, ok = PodTemplate(parse(t, "apiVersion: example.com/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {template: {}}\n")[0])
	assert.False(t, ok, "of another group")
}

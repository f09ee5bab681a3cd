package manifest

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const pod = `apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  serviceAccountName: runner
  imagePullSecrets: [{name: pull}]
  initContainers:
  - {name: i, envFrom: [{secretRef: {name: init-env}}]}
  containers:
  - name: c
    envFrom: [{configMapRef: {name: env}}, {prefix: X}]
    env:
    - {name: A, value: b}
    - {name: B, valueFrom: {configMapKeyRef: {name: env, key: k}}}
    - {name: C, valueFrom: {secretKeyRef: {name: key, key: k}}}
  ephemeralContainers:
  - {name: e, envFrom: [{configMapRef: {name: debug}}]}
  volumes:
  - {name: a, configMap: {name: files}}
  - {name: b, secret: {secretName: certs}}
  - {name: c, projected: {sources: [{configMap: {name: projected}}, {secret: {name: projected}}, {serviceAccountToken: {path: t}}]}}
  - {name: d, persistentVolumeClaim: {claimName: data}}
  - {name: e, csi: {driver: d, nodePublishSecretRef: {name: driver}}}
  - {name: f, emptyDir: {}}
`

func TestReferences_findsAllThatAPodTemplateNames(t *testing.T) {
	template, ok := PodTemplate(parse(t, pod)[0])
	require.True(t, ok)
	assert.Equal(t, []Reference{
		{"ConfigMap", "debug"}, {"ConfigMap", "env"}, {"ConfigMap", "files"}, {"ConfigMap", "projected"},
		{"PersistentVolumeClaim", "data"},
		{"Secret", "certs"}, {"Secret", "driver"}, {"Secret", "init-env"}, {"Secret", "key"}, {"Secret", "projected"}, {"Secret", "pull"},
		{"ServiceAccount", "runner"},
	}, References(template))
}

func TestRenameReferences_renamesInACopy(t *testing.T) {
	o := parse(t, pod)[0]
	before := o.DeepCopy()
	template, _ := PodTemplate(o)
	renamed := RenameReferences(template, func(r Reference) string {
		if r.Kind == "ConfigMap" && r.Name == "projected" || r.Kind == "Secret" && r.Name == "certs" {
			return r.Name + "-canary"
		}
		return r.Name
	})
	assert.Equal(t, before, o)
	references := References(renamed)
	assert.True(t, slices.Contains(references, Reference{"ConfigMap", "projected-canary"}))
	assert.True(t, slices.Contains(references, Reference{"Secret", "certs-canary"}))
	assert.True(t, slices.Contains(references, Reference{"Secret", "projected"}), "of another kind")
	assert.False(t, slices.Contains(references, Reference{"Secret", "certs"}))
	assert.Len(t, references, len(References(template)))
}

func TestReferences_overlooksWhatIsMalformed(t *testing.T) {
	assert.Empty(t, References(map[string]any{"spec": map[string]any{
		"volumes": "none", "containers": []any{"c", map[string]any{"env": []any{map[string]any{"valueFrom": 3}}}}, "imagePullSecrets": []any{map[string]any{"name": int64(1)}},
	}}))
	assert.Empty(t, References(nil))
	assert.Empty(t, References(RenameReferences(map[string]any{}, func(r Reference) string { return r.Name })))
}

package cluster

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const liveConfig = `
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  resourceVersion: "7"
  generation: 1
  labels: {app: shop}
  managedFields:
    - {manager: rollstep, operation: Apply, apiVersion: v1, time: "2026-01-01T00:00:00Z", fieldsType: FieldsV1, fieldsV1: {"f:data": {"f:level": {}}}}
    - {manager: kubectl, operation: Update, apiVersion: v1, time: "2026-01-01T00:00:00Z", fieldsType: FieldsV1, fieldsV1: {"f:data": {"f:other": {}}}}
data: {level: info, other: "1"}
status: {seen: 1}
`

func TestChanged(t *testing.T) {
	edit := func(value any, path ...string) func(map[string]any) {
		return func(o map[string]any) { assert.NoError(t, unstructured.SetNestedField(o, value, path...)) }
	}
	entry := func(i int, field string, value any) func(map[string]any) {
		return func(o map[string]any) {
			entries, _, _ := unstructured.NestedSlice(o, "metadata", "managedFields")
			entries[i].(map[string]any)[field] = value
			assert.NoError(t, unstructured.SetNestedSlice(o, entries, "metadata", "managedFields"))
		}
	}
	for name, test := range map[string]struct {
		edit    func(map[string]any)
		changed bool
	}{
		"nothing":                         {func(map[string]any) {}, false},
		"its resourceVersion":             {edit("8", "metadata", "resourceVersion"), false},
		"its generation":                  {edit(int64(2), "metadata", "generation"), false},
		"its status":                      {edit(int64(2), "status", "seen"), false},
		"when rollstep wrote it":          {entry(0, "time", "2026-02-02T00:00:00Z"), false},
		"what others manage":              {entry(1, "fieldsV1", map[string]any{}), false},
		"what rollstep manages":           {entry(0, "fieldsV1", map[string]any{}), true},
		"that rollstep manages it":        {entry(0, "manager", "somebody"), true},
		"a value":                         {edit("debug", "data", "level"), true},
		"a new value":                     {edit("x", "data", "more"), true},
		"a label":                         {edit("cart", "metadata", "labels", "app"), true},
		"an annotation":                   {edit("x", "metadata", "annotations", "a"), true},
		"a field beside those of the API": {edit("x", "immutable"), true},
	} {
		t.Run(name, func(t *testing.T) {
			p := Preview{Live: object(t), Result: object(t)}
			test.edit(p.Result.Object)
			assert.Equal(t, test.changed, p.Changed())
			assert.Equal(t, object(t), p.Live, "the live object is only looked at")
		})
	}
	assert.True(t, Preview{Result: object(t)}.Changed(), "what is not live yet")
	assert.True(t, Preview{Live: object(t), Result: object(t), Adopts: true}.Changed(), "what kubectl apply owns")
	assert.True(t, Preview{Live: object(t), Result: object(t), Unchecked: true}.Changed(), "what the server could not judge")
}

// A release has thousands of objects, and stages ask more than once whether each
// is changed. Copying this one takes 278 allocations.
func TestChanged_copiesNothing(t *testing.T) {
	p := Preview{Live: object(t), Result: object(t)}
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { p.Changed() }), 80.0, "allocations")
}

func object(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	assert.NoError(t, yaml.Unmarshal([]byte(liveConfig), &o.Object))
	return o
}

package manifest

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// FuzzLoad reads any bytes as a manifest. What loads must also survive
// everything that is done with it later.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		configMap("a"), deployment, pod, deploy("web", "app=a:1"),
		"{{ x }}", "{a: b}\n---\n- c\n...\n", "\tx", "a: &a [*a]", "a: b: c", "? {a: b}\n: c", "--- |\n x\n", "%YAML 1.2\n--- !!binary x",
		"kind: List\napiVersion: v1\nitems: [{kind: List, items: [1, {}]}]", `{"kind":"A","kind":"B"}{}`, "a: .inf", "<<: {a: b}", "\xff\xfe", "\xef\xbb\xbf---",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		c := newCollection()
		c.addContent("fuzz.yaml", content)
		for _, problem := range c.problems {
			if problem.Error() == "" {
				t.Error("a problem without words")
			}
		}
		_ = SetImages(c.objects, "a:2 b=c:3")
		_ = Waves(c.objects)
		for _, o := range c.objects {
			if o.GetName() == "" || o.GetKind() == "" {
				t.Errorf("an object without name or kind: %v", o)
			}
			if template, ok := PodTemplate(o); ok {
				_ = RenameReferences(template, func(r Reference) string { return r.Name + "-canary" })
			}
		}
		checkPacking(t, c.objects)
	})
}

func checkPacking(t *testing.T, objects []*unstructured.Unstructured) {
	t.Helper()
	packed, err := Pack(objects)
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := Unpack(packed)
	if err != nil {
		t.Fatal(err)
	}
	if Hash(objects) != Hash(unpacked) {
		t.Error("packing changed the objects")
	}
}

package manifest

import (
	"encoding/base64"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// EncodeSecrets moves the stringData of Secrets into their data, in place, as
// the server does when it stores them. Server-side apply needs it: the server
// does not remember who wrote stringData, so a key removed from it would stay.
func EncodeSecrets(objects []*unstructured.Unstructured) {
	for _, o := range objects {
		if !isSecret(o) {
			continue
		}
		plain, found, err := unstructured.NestedStringMap(o.Object, "stringData")
		if !found || err != nil {
			continue // the server says what is wrong with it
		}
		data, _, err := unstructured.NestedMap(o.Object, "data")
		if err != nil {
			continue
		}
		if data == nil {
			data = map[string]any{}
		}
		for key, value := range plain {
			data[key] = base64.StdEncoding.EncodeToString([]byte(value))
		}
		o.Object["data"] = data
		delete(o.Object, "stringData")
	}
}

func isSecret(o *unstructured.Unstructured) bool {
	return o.GetKind() == "Secret" && o.GroupVersionKind().Group == ""
}

package manifest

import (
	"cmp"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
)

// Reference is an object that a pod template refers to by name, in the pod's
// own namespace.
type Reference struct {
	Kind string // ConfigMap, Secret, ServiceAccount or PersistentVolumeClaim
	Name string
}

// References returns what a pod template refers to, sorted and distinct:
// volumes, environments of all containers, imagePullSecrets, the service
// account.
func References(template map[string]any) []Reference {
	found := map[Reference]bool{}
	visitReferences(template, func(kind string, holder map[string]any, field string) {
		if name, _ := holder[field].(string); name != "" {
			found[Reference{kind, name}] = true
		}
	})
	return slices.SortedFunc(maps.Keys(found), func(a, b Reference) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
}

// RenameReferences returns a deep copy of a pod template in which every
// reference has the name that rename returns for it. rename is called for all
// kinds; it returns r.Name for what keeps its name.
func RenameReferences(template map[string]any, rename func(r Reference) string) map[string]any {
	renamed := runtime.DeepCopyJSON(template)
	visitReferences(renamed, func(kind string, holder map[string]any, field string) {
		if name, _ := holder[field].(string); name != "" {
			holder[field] = rename(Reference{kind, name})
		}
	})
	return renamed
}

// visitReferences calls visit with each mapping of a template that refers to
// an object, and with the field that holds the name
// (k8s.io/kubernetes/pkg/api/v1/pod/util.go, VisitPodSecretNames and
// VisitPodConfigmapNames, is the list to follow).
func visitReferences(template map[string]any, visit func(kind string, holder map[string]any, field string)) {
	spec := field(template, "spec")
	visit("ServiceAccount", spec, "serviceAccountName")
	visit("ServiceAccount", spec, "serviceAccount")
	for _, secret := range mappings(spec["imagePullSecrets"]) {
		visit("Secret", secret, "name")
	}
	for _, list := range []string{"initContainers", "containers", "ephemeralContainers"} {
		for _, container := range mappings(spec[list]) {
			visitEnvironment(container, visit)
		}
	}
	for _, volume := range mappings(spec["volumes"]) {
		visitVolume(volume, visit)
	}
}

func visitEnvironment(container map[string]any, visit func(kind string, holder map[string]any, field string)) {
	for _, source := range mappings(container["envFrom"]) {
		visit("ConfigMap", field(source, "configMapRef"), "name")
		visit("Secret", field(source, "secretRef"), "name")
	}
	for _, variable := range mappings(container["env"]) {
		source := field(variable, "valueFrom")
		visit("ConfigMap", field(source, "configMapKeyRef"), "name")
		visit("Secret", field(source, "secretKeyRef"), "name")
	}
}

func visitVolume(volume map[string]any, visit func(kind string, holder map[string]any, field string)) {
	visit("ConfigMap", field(volume, "configMap"), "name")
	visit("Secret", field(volume, "secret"), "secretName")
	visit("PersistentVolumeClaim", field(volume, "persistentVolumeClaim"), "claimName")
	for _, source := range mappings(field(volume, "projected")["sources"]) {
		visit("ConfigMap", field(source, "configMap"), "name")
		visit("Secret", field(source, "secret"), "name")
	}
	// Credentials of storage drivers.
	visit("Secret", field(field(volume, "csi"), "nodePublishSecretRef"), "name")
	visit("Secret", field(volume, "azureFile"), "secretName")
	for _, driver := range []string{"cephfs", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos"} {
		visit("Secret", field(field(volume, driver), "secretRef"), "name")
	}
}

// field returns a mapping inside a mapping, nil if there is none; reading from
// nil is harmless.
func field(holder map[string]any, name string) map[string]any {
	value, _ := holder[name].(map[string]any)
	return value
}

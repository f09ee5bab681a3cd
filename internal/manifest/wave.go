package manifest

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// waves is the order in which objects are applied, by group and kind: what
// others need comes before them. What is in no wave comes after all of them.
var waves = []map[string][]string{
	// Objects live in namespaces, and custom resources need their definitions.
	{
		"":                     {"Namespace"},
		"apiextensions.k8s.io": {"CustomResourceDefinition"},
	},
	// What pods need to be admitted, scheduled, started and found.
	{
		"": {
			"ConfigMap", "Endpoints", "LimitRange", "PersistentVolume", "PersistentVolumeClaim",
			"ResourceQuota", "Secret", "Service", "ServiceAccount",
		},
		"discovery.k8s.io":          {"EndpointSlice"},
		"node.k8s.io":               {"RuntimeClass"},
		"rbac.authorization.k8s.io": {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"},
		"resource.k8s.io":           {"DeviceClass", "ResourceClaim", "ResourceClaimTemplate"},
		"scheduling.k8s.io":         {"PriorityClass"},
		"storage.k8s.io":            {"CSIDriver", "StorageClass", "VolumeAttributesClass"},
	},
	// The pods.
	{
		"":      {"Pod", "ReplicationController"},
		"apps":  {"DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"},
		"batch": {"CronJob", "Job"},
	},
	// The rest acts on pods that run: autoscalers, disruption budgets,
	// ingresses, network policies, webhooks (which call pods), custom resources.
}

// Waves groups objects by when to apply them. Inside a wave they keep their
// order; empty waves are left out.
func Waves(objects []*unstructured.Unstructured) [][]*unstructured.Unstructured {
	grouped := make([][]*unstructured.Unstructured, len(waves)+1)
	for _, o := range objects {
		wave := waveOf(o.GroupVersionKind().GroupKind())
		grouped[wave] = append(grouped[wave], o)
	}
	return slices.DeleteFunc(grouped, func(wave []*unstructured.Unstructured) bool { return len(wave) == 0 })
}

func waveOf(kind schema.GroupKind) int {
	for i, wave := range waves {
		if slices.Contains(wave[kind.Group], kind.Kind) {
			return i
		}
	}
	return len(waves)
}

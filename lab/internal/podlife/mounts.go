package podlife

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/kubelet/events"
)

// mounts is a pod's wait for the ConfigMaps and Secrets of its volumes.
type mounts struct {
	complaints
	done bool
}

// ready tells whether all volumes can be mounted. Once they are, they stay so.
func (m *mounts) ready(s *step) bool {
	if m.done {
		return true
	}
	for _, volume := range s.pod.Spec.Volumes {
		if err := missingInVolume(s, &volume); err != nil {
			if m.due(s) {
				s.podEvent(corev1.EventTypeWarning, events.FailedMountVolume, "MountVolume.SetUp failed for volume %q : %v", volume.Name, err)
			}
			return false
		}
	}
	m.done = true
	return true
}

func missingInVolume(s *step, v *corev1.Volume) error {
	switch {
	case v.ConfigMap != nil:
		return missingKeys(v.ConfigMap.Items, v.ConfigMap.Optional, func(key *string) error {
			return configMapKey(s, v.ConfigMap.Name, key, v.ConfigMap.Optional)
		})
	case v.Secret != nil:
		return missingKeys(v.Secret.Items, v.Secret.Optional, func(key *string) error {
			return secretKey(s, v.Secret.SecretName, key, v.Secret.Optional)
		})
	case v.Projected != nil:
		for _, source := range v.Projected.Sources {
			// The token and the root certificate of the service account are always there.
			part := corev1.Volume{}
			if ref := source.ConfigMap; ref != nil && ref.Name != "kube-root-ca.crt" {
				part.ConfigMap = &corev1.ConfigMapVolumeSource{LocalObjectReference: ref.LocalObjectReference, Items: ref.Items, Optional: ref.Optional}
			}
			if ref := source.Secret; ref != nil {
				part.Secret = &corev1.SecretVolumeSource{SecretName: ref.Name, Items: ref.Items, Optional: ref.Optional}
			}
			if err := missingInVolume(s, &part); err != nil {
				return err
			}
		}
	}
	return nil
}

func missingKeys(items []corev1.KeyToPath, optional *bool, missing func(key *string) error) error {
	if optional != nil && *optional {
		return nil
	}
	if err := missing(nil); err != nil {
		return err
	}
	for i := range items {
		if err := missing(&items[i].Key); err != nil {
			return err
		}
	}
	return nil
}

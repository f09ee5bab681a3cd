package kubelet

import (
	corev1 "k8s.io/api/core/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
)

// objects is the configuration that pods refer to, as watched.
type objects struct {
	configMaps corelisters.ConfigMapLister
	secrets    corelisters.SecretLister
}

func (o objects) ConfigMap(namespace, name string) (*corev1.ConfigMap, error) {
	return o.configMaps.ConfigMaps(namespace).Get(name)
}

func (o objects) Secret(namespace, name string) (*corev1.Secret, error) {
	return o.secrets.Secrets(namespace).Get(name)
}

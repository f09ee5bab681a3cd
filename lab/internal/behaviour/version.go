package behaviour

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Version is what a pod answers when asked for its version: its annotation,
// else the tag of its first container's image, else the start of the digest.
func Version(pod *corev1.Pod) string {
	if v := pod.Annotations[AnnotationVersion]; v != "" {
		return v
	}
	if len(pod.Spec.Containers) == 0 {
		return ""
	}
	image := pod.Spec.Containers[0].Image
	if _, digest, ok := strings.Cut(image, "@sha256:"); ok && Tag(image) == "" {
		return digest[:min(len(digest), 12)]
	}
	if tag := Tag(image); tag != "" {
		return tag
	}
	return "latest"
}

// Tag returns the tag of an image reference, "" without one.
func Tag(image string) string {
	name, _, _ := strings.Cut(image, "@")
	// A colon before the last slash belongs to the registry's port.
	_, tag, _ := strings.Cut(name[strings.LastIndex(name, "/")+1:], ":")
	return tag
}

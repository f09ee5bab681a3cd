package rollout

import (
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// ReadyByVersion counts a Deployment's ready pods by version: the tag, or the
// beginning of the digest, of their first container's image.
func (v *View) ReadyByVersion(d *appsv1.Deployment) map[string]int {
	counts := map[string]int{}
	for _, p := range v.Pods(d) {
		if p.DeletionTimestamp == nil && Ready(p) && len(p.Spec.Containers) > 0 {
			counts[Version(p.Spec.Containers[0].Image)]++
		}
	}
	return counts
}

// Ready says whether a pod is ready.
func Ready(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// Version is what people call an image: its tag, else the beginning of its
// digest, else latest.
func Version(image string) string {
	name := image[strings.LastIndexByte(image, '/')+1:]
	name, digest, hasDigest := strings.Cut(name, "@")
	if _, tag, ok := strings.Cut(name, ":"); ok {
		return tag
	}
	if hasDigest {
		_, hash, _ := strings.Cut(digest, ":")
		return hash[:min(12, len(hash))]
	}
	return "latest"
}

// Achieved is the canary's share, in percent, of the ready endpoints of the
// Service that reaches most pods of both tracks. It is nil where no Service does.
func (v *View) Achieved(stable, canary *appsv1.Deployment) *float64 {
	seen := map[string]bool{}
	most, share := 0, 0.0
	for _, slice := range v.slices {
		service := slice.Labels[discoveryv1.LabelServiceName]
		if slice.Namespace != stable.Namespace || seen[service] {
			continue
		}
		seen[service] = true
		serving := v.Serving(stable.Namespace, service)
		pods := serving.By[stable.UID]
		if canary != nil {
			pods += serving.By[canary.UID]
		}
		if pods > most {
			most, share = pods, serving.Share(canary)
		}
	}
	if most == 0 {
		return nil
	}
	return &share
}

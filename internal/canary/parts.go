// Package canary decides which workloads of a release take part in a canary and
// derives the objects that it consists of. Everything here is pure.
package canary

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"gitlab.com/rollstep/rollstep/internal/cluster"
	"gitlab.com/rollstep/rollstep/internal/manifest"
)

// Part is a workload that takes part in a canary.
type Part struct {
	Manifest *unstructured.Unstructured
	Live     *unstructured.Unstructured // the stable track
	Template bool                       // its pod template changes
	Config   []manifest.Reference       // the changed ConfigMaps and Secrets that it refers to
}

// Restart says whether the stable's pods must be restarted to get the new
// version: its configuration changes, its template does not.
func (p Part) Restart() bool { return !p.Template && len(p.Config) > 0 }

// Why says what changes: "image, ConfigMap settings".
func (p Part) Why() string {
	var why []string
	if p.Template {
		why = append(why, "pod template")
	}
	for _, ref := range p.Config {
		why = append(why, ref.Kind+" "+ref.Name)
	}
	return strings.Join(why, ", ")
}

// Parts returns the Deployments that are live and whose pods would not be the
// same under the release: their template differs, or the content of a ConfigMap
// or Secret that it refers to.
func Parts(previews []cluster.Preview) []Part {
	changed := map[string]bool{}
	for _, p := range previews {
		if isConfig(p.Manifest) && p.Live != nil && !sameContent(p.Live, p.Result) {
			changed[key(p.Manifest.GetKind(), p.Manifest.GetNamespace(), p.Manifest.GetName())] = true
		}
	}
	var parts []Part
	for _, p := range previews {
		if !IsDeployment(p.Manifest) || p.Live == nil {
			continue
		}
		part := Part{Manifest: p.Manifest, Live: p.Live}
		wanted, _ := manifest.PodTemplate(p.Result)
		live, _ := manifest.PodTemplate(p.Live)
		part.Template = !equality.Semantic.DeepEqual(wanted, live)
		for _, ref := range manifest.References(wanted) {
			if changed[key(ref.Kind, p.Manifest.GetNamespace(), ref.Name)] {
				part.Config = append(part.Config, ref)
			}
		}
		if part.Template || len(part.Config) > 0 {
			parts = append(parts, part)
		}
	}
	return parts
}

func key(kind, namespace, name string) string { return kind + "/" + namespace + "/" + name }

// IsDeployment says whether o is a Deployment.
func IsDeployment(o *unstructured.Unstructured) bool {
	return o.GetKind() == "Deployment" && o.GroupVersionKind().Group == "apps"
}

func isConfig(o *unstructured.Unstructured) bool {
	return o.GroupVersionKind().Group == "" && (o.GetKind() == "ConfigMap" || o.GetKind() == "Secret")
}

func sameContent(a, b *unstructured.Unstructured) bool {
	for _, field := range []string{"data", "binaryData", "stringData"} {
		x, _, _ := unstructured.NestedMap(a.Object, field)
		y, _, _ := unstructured.NestedMap(b.Object, field)
		if !equality.Semantic.DeepEqual(x, y) && len(x)+len(y) > 0 {
			return false
		}
	}
	return true
}

// Replicas is the replica count that an object says, and whether it says one.
func Replicas(o *unstructured.Unstructured) (int, bool) {
	if o == nil {
		return 0, false
	}
	n, ok, _ := unstructured.NestedInt64(o.Object, "spec", "replicas")
	return int(n), ok
}

// Strategy returns a Deployment's type of strategy and its maxSurge and
// maxUnavailable as written, "" where nothing is.
func Strategy(d *unstructured.Unstructured) (kind, maxSurge, maxUnavailable string) {
	kind, _, _ = unstructured.NestedString(d.Object, "spec", "strategy", "type")
	amount := func(field string) string {
		v, ok, _ := unstructured.NestedFieldNoCopy(d.Object, "spec", "strategy", "rollingUpdate", field)
		if !ok || v == nil {
			return ""
		}
		return fmt.Sprint(v)
	}
	return kind, amount("maxSurge"), amount("maxUnavailable")
}

// Images lists the images of a workload's containers.
func Images(o *unstructured.Unstructured) []string {
	template, ok := manifest.PodTemplate(o)
	if !ok {
		return nil
	}
	var images []string
	containers, _, _ := unstructured.NestedSlice(template, "spec", "containers")
	for _, c := range containers {
		if container, ok := c.(map[string]any); ok {
			if image, ok := container["image"].(string); ok {
				images = append(images, image)
			}
		}
	}
	return images
}

package canary

import (
	"maps"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"gitlab.com/rollstep/rollstep/internal/manifest"
)

const (
	// ReleaseLabel marks everything that was created for a canary; its value is
	// the release.
	ReleaseLabel = "rollstep.gitlab.io/release"
	// StableAnnotation on a canary Deployment names its stable Deployment, and
	// WasAnnotation keeps that one's replica count from before the rollout, so
	// that a rollback needs no record.
	StableAnnotation = "rollstep.gitlab.io/stable"
	WasAnnotation    = "rollstep.gitlab.io/stable-replicas"
	// BeforeAnnotation is the hash of the release that was live before the
	// rollout, as far as it is known, for where the record is lost.
	BeforeAnnotation = "rollstep.gitlab.io/release-before"
	// RecordAnnotation names the namespace of the release's record.
	RecordAnnotation = "rollstep.gitlab.io/record-namespace"
	// configAnnotation on the canary's pods changes with the copies of their
	// configuration, which replaces the pods.
	configAnnotation = "rollstep.gitlab.io/config"
)

// Name is the name of the canary's object beside the stable's.
func Name(stable string) string { return stable + "-canary" }

// Options are what the canary's objects carry besides the manifests.
type Options struct {
	Release    string
	TrackLabel string // key of the label whose value is "canary" on the canary track
	App, Env   string // for GitLab's annotations; "" for none
	Namespace  string // of the record
	Before     string // hash of the release before the rollout; "" if there is none
}

// Owns says whether a live object was created for a canary of this release.
func (o Options) Owns(live *unstructured.Unstructured) bool {
	return live.GetLabels()[ReleaseLabel] == o.Release
}

// Deployment derives the canary Deployment of a part: the manifest with another
// name, the labels of its track, and the copies of changed configuration.
// Was is the stable's replica count before the rollout.
func (o Options) Deployment(p Part, replicas, was int, copies []*unstructured.Unstructured) *unstructured.Unstructured {
	d := clean(p.Manifest)
	d.SetName(Name(p.Manifest.GetName()))
	d.SetLabels(o.labels(d.GetLabels()))
	d.SetAnnotations(with(o.gitlab(d.GetAnnotations()), map[string]string{
		StableAnnotation: p.Manifest.GetName(),
		WasAnnotation:    strconv.Itoa(was),
		RecordAnnotation: o.Namespace,
	}))
	o.Mark(d)
	spec, _, _ := unstructured.NestedMap(d.Object, "spec")
	if spec == nil {
		spec = map[string]any{}
	}
	spec["replicas"] = int64(replicas)
	selector := submap(spec, "selector")
	selector["matchLabels"] = toAny(with(toStrings(submap(selector, "matchLabels")), map[string]string{o.TrackLabel: "canary"}))
	spec["selector"] = selector

	template := submap(spec, "template")
	metadata := submap(template, "metadata")
	metadata["labels"] = toAny(o.labels(toStrings(submap(metadata, "labels"))))
	annotations := o.gitlab(toStrings(submap(metadata, "annotations")))
	if len(copies) > 0 {
		annotations = with(annotations, map[string]string{configAnnotation: manifest.Hash(copies)[:16]})
	}
	if len(annotations) > 0 {
		metadata["annotations"] = toAny(annotations)
	}
	template["metadata"] = metadata
	spec["template"] = manifest.RenameReferences(template, func(ref manifest.Reference) string {
		for _, changed := range p.Config {
			if changed == ref {
				return Name(ref.Name)
			}
		}
		return ref.Name
	})
	d.Object["spec"] = spec
	return d
}

// Mark says on a canary Deployment which release was live before.
func (o Options) Mark(d *unstructured.Unstructured) {
	if o.Before != "" {
		d.SetAnnotations(with(d.GetAnnotations(), map[string]string{BeforeAnnotation: o.Before}))
	}
}

// Copy is a changed ConfigMap or Secret under the canary's name: the stable's
// pods must not see it yet.
func (o Options) Copy(config *unstructured.Unstructured) *unstructured.Unstructured {
	c := clean(config)
	c.SetName(Name(config.GetName()))
	c.SetLabels(o.labels(c.GetLabels()))
	unstructured.RemoveNestedField(c.Object, "immutable") // it changes with the next canary
	return c
}

// Preview is the Service through which only canary pods are reached.
func (o Options) Preview(service *unstructured.Unstructured, kind string) *unstructured.Unstructured {
	ports, _, _ := unstructured.NestedSlice(service.Object, "spec", "ports")
	for _, p := range ports {
		if port, ok := p.(map[string]any); ok {
			delete(port, "nodePort")
		}
	}
	selector, _, _ := unstructured.NestedStringMap(service.Object, "spec", "selector")
	preview := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1",
		"kind":       "Service",
		"metadata":   map[string]any{"name": Name(service.GetName()), "namespace": service.GetNamespace()},
		"spec": map[string]any{
			"type":     kind,
			"ports":    ports,
			"selector": toAny(with(selector, map[string]string{o.TrackLabel: "canary"})),
		},
	}}
	preview.SetLabels(o.labels(service.GetLabels()))
	return preview
}

// clean is a copy of a manifest without what belongs to its own live object.
func clean(m *unstructured.Unstructured) *unstructured.Unstructured {
	c := m.DeepCopy()
	annotations := c.GetAnnotations()
	delete(annotations, "kubectl.kubernetes.io/last-applied-configuration")
	delete(annotations, "deployment.kubernetes.io/revision")
	c.SetAnnotations(annotations)
	unstructured.RemoveNestedField(c.Object, "status")
	return c
}

func (o Options) labels(labels map[string]string) map[string]string {
	return with(labels, map[string]string{o.TrackLabel: "canary", ReleaseLabel: o.Release})
}

func (o Options) gitlab(annotations map[string]string) map[string]string {
	if o.App != "" && o.Env != "" {
		annotations = with(annotations, map[string]string{"app.gitlab.com/app": o.App, "app.gitlab.com/env": o.Env})
	}
	return annotations
}

func with(m, more map[string]string) map[string]string {
	all := maps.Clone(m)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, more)
	return all
}

func submap(m map[string]any, field string) map[string]any {
	if sub, ok := m[field].(map[string]any); ok {
		return sub
	}
	return map[string]any{}
}

func toStrings(m map[string]any) map[string]string {
	s := make(map[string]string, len(m))
	for k, v := range m {
		s[k], _ = v.(string)
	}
	return s
}

func toAny(m map[string]string) map[string]any {
	a := make(map[string]any, len(m))
	for k, v := range m {
		a[k] = v
	}
	return a
}

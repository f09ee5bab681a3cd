package step

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"gitlab.com/rollstep/rollstep/internal/canary"
	"gitlab.com/rollstep/rollstep/internal/cluster"
	"gitlab.com/rollstep/rollstep/internal/hint"
	"gitlab.com/rollstep/rollstep/internal/record"
)

// design is what a canary of the release consists of.
type design struct {
	tracks   []track
	objects  *release          // the canary's own objects
	created  *release          // what is new in the release itself
	left     []cluster.Preview // new, but acting on what is live: left to promote
	warnings []string
}

// design decides what the canary consists of, and has the server check it.
func (r *run) design(ctx context.Context, rel *release) (design, error) {
	var d design
	if live := r.record.Live(); live != nil {
		r.options.Before = live.Hash
	}
	parts := canary.Parts(rel.previews)
	around := map[string]canary.Surroundings{}
	var mistakes []error
	var objects []*unstructured.Unstructured
	for _, p := range parts {
		namespace := p.Manifest.GetNamespace()
		if _, known := around[namespace]; !known {
			s, err := r.surroundings(ctx, rel, namespace)
			if err != nil {
				return d, err
			}
			around[namespace] = s
		}
		t, err := r.track(p, around[namespace])
		mistakes = append(mistakes, err, declaredCanary(rel, t.canary))
		d.tracks = append(d.tracks, t)
		d.warnings = append(d.warnings, r.options.Warnings(p, around[namespace])...)
		objects = append(objects, r.derive(rel, t, around[namespace])...)
	}
	if err := errors.Join(mistakes...); err != nil {
		return d, configuration(err)
	}
	var err error
	d.objects, err = r.preview(ctx, distinct(objects), func(p cluster.Preview, err error) error {
		if p.Live != nil && !r.options.Owns(p.Live) {
			return foreignObject(p.Live)
		}
		if err != nil {
			return fmt.Errorf("%s, derived for the canary: %w", cluster.Name(p.Manifest), err)
		}
		return nil
	})
	if err != nil {
		return d, err
	}
	d.created, d.left = rel.fresh()
	return d, nil
}

func foreignObject(live *unstructured.Unstructured) error {
	return hint.Errorf(fmt.Sprintf("Rename it or, if nothing needs it, remove it: kubectl -n %s delete %s %s",
		live.GetNamespace(), strings.ToLower(live.GetKind()), live.GetName()),
		"%s exists and is not rollstep's: the canary needs that name", cluster.Name(live))
}

func declaredCanary(rel *release, ref record.Object) error {
	for _, p := range rel.previews {
		if sameObject(p.Manifest, ref) {
			return hint.Errorf("Remove it from the manifests: canary derives it; or keep it and use rollstep apply, where Git spells out each step",
				"the manifests declare %s %s themselves", ref.Kind, ref.Name)
		}
	}
	return nil
}

// derive returns the canary's own objects of a track.
func (r *run) derive(rel *release, t track, around canary.Surroundings) []*unstructured.Unstructured {
	var objects, copies []*unstructured.Unstructured
	for _, ref := range t.part.Config {
		for _, p := range rel.previews {
			if p.Manifest.GetKind() == ref.Kind && p.Manifest.GetName() == ref.Name && p.Manifest.GetNamespace() == t.stable.Namespace {
				copies = append(copies, r.options.Copy(p.Manifest))
			}
		}
	}
	objects = append(objects, copies...)
	if r.Preview != "" {
		for _, s := range r.options.Reaching(t.part, around.Services) {
			objects = append(objects, r.options.Preview(s, string(r.Preview)))
		}
	}
	d := r.options.Deployment(t.part, 0, t.was, copies)
	if r.canaryOf(t.part, around) != nil {
		// Its count is the move's, which never shows a new version to more than
		// the goal: to apply it too would write each time.
		unstructured.RemoveNestedField(d.Object, "spec", "replicas")
	}
	return append(objects, d)
}

func distinct(objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	seen := map[record.Object]bool{}
	return slices.DeleteFunc(objects, func(o *unstructured.Unstructured) bool {
		ref := objectOf(o)
		defer func() { seen[ref] = true }()
		return seen[ref]
	})
}

// actsOnLive are kinds whose new objects act on what is live already.
var actsOnLive = map[string]bool{
	"HorizontalPodAutoscaler": true, "PodDisruptionBudget": true, "NetworkPolicy": true,
	"ResourceQuota": true, "LimitRange": true, "Ingress": true, "APIService": true,
	"HTTPRoute": true, "GRPCRoute": true, "TCPRoute": true, "TLSRoute": true, "IngressRoute": true,
	"VirtualService": true, "DestinationRule": true, "AuthorizationPolicy": true, "CiliumNetworkPolicy": true,
	"ScaledObject": true, "VerticalPodAutoscaler": true,
	"MutatingWebhookConfiguration": true, "ValidatingWebhookConfiguration": true,
	"ValidatingAdmissionPolicy": true, "ValidatingAdmissionPolicyBinding": true,
	"MutatingAdmissionPolicy": true, "MutatingAdmissionPolicyBinding": true,
}

// fresh are the objects of the release that are not live yet: those that a
// canary may need, and those that are left to promote.
func (rel *release) fresh() (created *release, left []cluster.Preview) {
	created = &release{hash: rel.hash}
	for _, p := range rel.previews {
		switch {
		case p.Live != nil:
		case actsOnLive[p.Manifest.GetKind()]:
			left = append(left, p)
		default:
			created.objects = append(created.objects, p.Manifest)
			created.previews = append(created.previews, p)
		}
	}
	return created, left
}

// removedByRollback are the kinds that a rollback removes again if the rollout
// brought them. What holds data, or what others may have come to rely on, stays.
var removedByRollback = map[string]bool{
	"ConfigMap": true, "Secret": true, "Service": true, "ServiceAccount": true, "Role": true, "RoleBinding": true,
	"Deployment": true, "DaemonSet": true, "Job": true, "CronJob": true,
}

func (rel *release) of(wave []*unstructured.Unstructured) []cluster.Preview {
	var previews []cluster.Preview
	for _, p := range rel.previews {
		if slices.Contains(wave, p.Manifest) {
			previews = append(previews, p)
		}
	}
	return previews
}

// arrived says whether there is nothing left to do for the canary.
func arrived(c design) bool {
	for _, t := range c.tracks {
		if t.now != t.goal {
			return false
		}
	}
	return !slices.ContainsFunc(c.objects.previews, cluster.Preview.Changed)
}

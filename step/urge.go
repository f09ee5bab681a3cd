package step

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"gitlab.com/rollstep/rollstep/internal/cluster"
	"gitlab.com/rollstep/rollstep/internal/rollout"
)

// urgeAfter is how long a Service may not send traffic to ready pods before its
// endpoints are urged on: usually it takes a second or two.
const urgeAfter = 10 * time.Second

// urgedAnnotation is on a Service for a moment, to change it.
const urgedAnnotation = "rollstep.gitlab.io/urged"

// stalled is since when Services do not send traffic to all pods of a Deployment
// that is complete, or when they were last urged on.
type stalled map[types.NamespacedName]time.Time

// lateService is a Service that does not send traffic to all pods of a target
// though its Deployment is complete; without a name if there is none.
func lateService(v *rollout.View, t target) types.NamespacedName {
	d := v.Deployment(t.Namespace, t.Name)
	if t.Kind != "Deployment" || d == nil {
		return types.NamespacedName{}
	}
	p := rollout.Of(d)
	i := slices.IndexFunc(t.services, func(s string) bool { return v.Serving(t.Namespace, s).By[d.UID] < p.Wanted })
	if !p.Done || t.atMost || i < 0 {
		return types.NamespacedName{}
	}
	return types.NamespacedName{Namespace: t.Namespace, Name: t.services[i]}
}

// urge has the cluster's EndpointSlice controller look again at a Service whose
// endpoints are stalled, and returns when to look again. After changes that its
// caches had not seen yet, as when the API server restarts, it backs off for
// longer and longer, while users are sent to pods that are gone; but any change of
// the Service makes it look at once. What is changed goes again with the next
// write. Only Services that rollstep applied are touched.
//
// Source: onServiceUpdate and maxSyncBackOff in Kubernetes' pkg/controller/endpointslice.
func (r *run) urge(ctx context.Context, stalled stalled, late types.NamespacedName) time.Duration {
	if late.Name == "" {
		return heartbeat
	}
	if _, known := stalled[late]; !known {
		stalled[late] = time.Now()
	}
	if left := urgeAfter - time.Since(stalled[late]); left > 0 {
		return left
	}
	stalled[late] = time.Now()
	list, err := r.services(ctx, late.Namespace)
	if err != nil || !slices.ContainsFunc(list, func(s *unstructured.Unstructured) bool { return s.GetName() == late.Name && applied(s) }) {
		return urgeAfter // the findings at the end say what to do
	}
	r.log.Printf("  Service %s does not send traffic to all ready pods: the cluster is asked to look at it again", late.Name)
	ri := r.cluster.Dynamic.Resource(services).Namespace(late.Namespace)
	for _, value := range []string{fmt.Sprintf("%q", time.Now().UTC().Format(time.RFC3339Nano)), "null"} {
		patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%s}}}`, urgedAnnotation, value)
		if _, err := ri.Patch(ctx, late.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: cluster.Manager}); err != nil {
			r.log.Note("Service %s could not be touched: %v", late.Name, cluster.Explain(err))
		}
	}
	return urgeAfter
}

// applied says whether rollstep applied a live object.
func applied(o *unstructured.Unstructured) bool {
	return slices.ContainsFunc(o.GetManagedFields(), func(f metav1.ManagedFieldsEntry) bool {
		return f.Manager == cluster.Manager && f.Operation == metav1.ManagedFieldsOperationApply
	})
}

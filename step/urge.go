package step

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"gitlab.com/rollstep/rollstep/internal/cluster"
	"gitlab.com/rollstep/rollstep/internal/record"
	"gitlab.com/rollstep/rollstep/internal/rollout"
)

// urgeAfter is how long a Service may not send traffic to ready pods before its
// endpoints are urged on: usually it takes a second or two.
const urgeAfter = 10 * time.Second

// urgedAnnotation is on a Service for a moment, to change it.
const urgedAnnotation = "rollstep.gitlab.io/urged"

// lateService is a Service that does not send traffic to all pods of a target
// though its Deployment is complete, "" if there is none.
func lateService(v *rollout.View, t target) string {
	d := v.Deployment(t.Namespace, t.Name)
	if t.Kind != "Deployment" || t.atMost || d == nil {
		return ""
	}
	p := rollout.Of(d)
	i := slices.IndexFunc(t.services, func(s string) bool { return v.Serving(t.Namespace, s).Staying(d) < p.Wanted })
	if !p.Done || i < 0 {
		return ""
	}
	return t.services[i]
}

// urge has the cluster's EndpointSlice controller look again at a target's late
// Service, and returns when to look again. since says since when targets have one,
// or when it was urged on last. After changes that its caches had not seen yet, as
// when the API server restarts, the controller backs off for longer and longer,
// while users are sent to pods that are gone; but any change of the Service makes
// it look at once. What is changed goes again with the next write. Only Services
// that rollstep applied are touched.
//
// Source: onServiceUpdate and maxSyncBackOff in Kubernetes' pkg/controller/endpointslice.
func (r *run) urge(ctx context.Context, since map[record.Object]time.Time, t target, late string) time.Duration {
	if late == "" {
		delete(since, t.Object)
		return heartbeat
	}
	if since[t.Object].IsZero() {
		since[t.Object] = time.Now()
	}
	if left := urgeAfter - time.Since(since[t.Object]); left > 0 {
		return left
	}
	since[t.Object] = time.Now()
	list, err := r.services(ctx, t.Namespace)
	if err != nil || !slices.ContainsFunc(list, func(s *unstructured.Unstructured) bool { return s.GetName() == late && applied(s) }) {
		return urgeAfter // the findings at the end say what to do
	}
	r.log.Printf("  Service %s does not send traffic to all ready pods: the cluster is asked to look at it again", late)
	// The second write follows whatever becomes of the first: its answer may be lost,
	// or the stage be cancelled.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	ri := r.cluster.Dynamic.Resource(services).Namespace(t.Namespace)
	for _, value := range []string{strconv.Quote(time.Now().UTC().Format(time.RFC3339Nano)), "null"} {
		patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%s}}}`, urgedAnnotation, value)
		if _, err := ri.Patch(ctx, late, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: cluster.Manager}); err != nil {
			r.log.Note("Service %s could not be touched: %v", late, cluster.Explain(err))
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

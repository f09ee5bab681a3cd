package step

import (
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"gitlab.com/rollstep/rollstep/internal/cluster"
	"gitlab.com/rollstep/rollstep/internal/hint"
	"gitlab.com/rollstep/rollstep/internal/record"
	"gitlab.com/rollstep/rollstep/internal/rollout"
)

func isAutoscaler(o *unstructured.Unstructured) bool {
	return o.GetKind() == "HorizontalPodAutoscaler" && o.GroupVersionKind().Group == "autoscaling"
}

// awaitsAutoscaler says whether p is a HorizontalPodAutoscaler that is created or
// changed and waited for. A rollback waits for none.
func (r *run) awaitsAutoscaler(p cluster.Preview) bool {
	return isAutoscaler(p.Manifest) && p.Changed() && r.record.Phase != record.RollingBack
}

// awaitAutoscalers waits until the HorizontalPodAutoscalers that were created or
// changed were looked at by their controller, and fails if one cannot scale.
func (r *run) awaitAutoscalers(ctx context.Context, previews []cluster.Preview) error {
	changed := slices.DeleteFunc(slices.Clone(previews), func(p cluster.Preview) bool { return !r.awaitsAutoscaler(p) })
	if len(changed) == 0 {
		return nil
	}
	until := time.Now().Add(rollout.AutoscalingGrace)
	if r.work.Before(until) {
		until = r.work
	}
	progress := r.progress()
	return r.watcher.Until(ctx, func(v *rollout.View) (bool, time.Duration, error) {
		var waiting []string
		for _, p := range changed {
			ref := objectOf(p.Manifest)
			o := v.Other(ref.Kind, ref.Namespace, ref.Name)
			if o == nil || o.GetGeneration() < r.generations[ref] {
				waiting = append(waiting, ref.Name+": waiting for the API server")
				continue
			}
			done, f := rollout.Autoscaling(o)
			if f != nil {
				return false, 0, failed(hint.Errorf(f.Next, "%s", f.Message))
			}
			if !done {
				waiting = append(waiting, cluster.Name(o)+" was not looked at by its controller yet")
			}
		}
		left := time.Until(until)
		if left <= 0 && len(waiting) > 0 {
			r.log.Note("%s: whether it can scale is not known", waiting[0])
			return true, 0, nil
		}
		return len(waiting) == 0, min(progress.say(waiting), max(left, time.Millisecond)), nil
	})
}

package step

import (
	"context"
	"maps"
	"slices"
	"time"

	"gitlab.com/rollstep/rollstep/internal/cluster"
	"gitlab.com/rollstep/rollstep/internal/record"
	"gitlab.com/rollstep/rollstep/internal/rollout"
)

// watch has the view show what the previews are about, in their namespaces and
// those of more: first the workloads, then what these and the Services select.
func (r *run) watch(ctx context.Context, previews []cluster.Preview, more ...string) error {
	namespaces := slices.Clone(more)
	var workloads []rollout.Scope
	for _, p := range previews {
		if !awaited(p.Manifest) && !r.awaitsAutoscaler(p) {
			continue
		}
		namespace := p.Manifest.GetNamespace()
		namespaces = append(namespaces, namespace)
		resource, err := r.cluster.Resource(ctx, p.Manifest.GroupVersionKind())
		if err != nil {
			return err
		}
		if gvr := resource.GroupVersionResource; gvr != rollout.Pods && gvr != rollout.ReplicaSets {
			workloads = append(workloads, rollout.Scope{Resource: gvr, Namespace: namespace})
		}
	}
	slices.Sort(namespaces)
	namespaces = slices.Compact(namespaces)
	for _, namespace := range namespaces {
		workloads = append(workloads, rollout.Scope{Resource: rollout.Deployments, Namespace: namespace})
	}
	if r.watcher == nil {
		r.watcher = rollout.NewWatcher(ctx, r.cluster)
	}
	if err := r.watcher.See(workloads...); err != nil {
		return cluster.Explain(err)
	}
	var pods []rollout.Scope
	for _, namespace := range namespaces {
		scopes, err := r.scopes(ctx, namespace, previews)
		if err != nil {
			return err
		}
		pods = append(pods, scopes...)
	}
	before := r.watcher.View()
	if err := r.watcher.See(pods...); err != nil {
		return cluster.Explain(err)
	}
	for _, namespace := range namespaces {
		r.viewed[namespace] = true
	}
	v := r.watcher.View()
	maps.Copy(r.before, v.Restarts(before))
	r.sample(v)
	r.watcher.Each = r.sample
	return nil
}

// caughtUp waits until the view has what this run wrote of these objects.
func (r *run) caughtUp(ctx context.Context, refs ...record.Object) error {
	ctx, cancel := context.WithDeadlineCause(ctx, r.end, errOutOfTime)
	defer cancel()
	return r.watcher.Until(ctx, func(v *rollout.View) (bool, time.Duration, error) {
		for _, ref := range refs {
			if v.Generation(ref.Kind, ref.Namespace, ref.Name) >= r.generations[ref] {
				continue
			}
			if gone, err := r.gone(ctx, v, ref); !gone || err != nil {
				return false, unseenFor, err
			}
		}
		return true, 0, nil
	})
}

// unseenFor is how long a watch may take to show an object that was written,
// before it is looked for.
const unseenFor = time.Second

// gone says whether an object that this run wrote is not only not seen yet, but
// was deleted since.
func (r *run) gone(ctx context.Context, v *rollout.View, ref record.Object) (bool, error) {
	if r.generations[ref] == 0 || v.Generation(ref.Kind, ref.Namespace, ref.Name) > 0 || time.Since(r.written[ref]) < unseenFor {
		return false, nil
	}
	live, err := r.cluster.Get(ctx, emptyObject(ref))
	if err != nil || live != nil {
		return false, err
	}
	delete(r.generations, ref)
	return true, nil
}

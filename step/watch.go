package step

import (
	"context"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"gitlab.com/rollstep/rollstep/internal/cluster"
	"gitlab.com/rollstep/rollstep/internal/record"
	"gitlab.com/rollstep/rollstep/internal/rollout"
)

// watch begins to view the namespaces of the previews' workloads, and those of
// more, once.
func (r *run) watch(ctx context.Context, previews []cluster.Preview, more ...string) error {
	var namespaces []string
	resources := map[schema.GroupVersionResource]bool{}
	for _, p := range previews {
		if !awaited(p.Manifest) && !isAutoscaler(p.Manifest) {
			continue
		}
		namespaces = append(namespaces, p.Manifest.GetNamespace())
		switch resource, err := r.cluster.Resource(ctx, p.Manifest.GroupVersionKind()); {
		case err != nil:
			return err
		case !rollout.Always(resource.GroupVersionResource):
			resources[resource.GroupVersionResource] = true
		}
	}
	namespaces = append(namespaces, more...)
	known := !slices.ContainsFunc(namespaces, func(n string) bool { return !r.viewed[n] })
	for resource := range resources {
		known = known && r.extra[resource]
	}
	if r.watcher != nil && known {
		return nil
	}
	namespaces = slices.AppendSeq(namespaces, maps.Keys(r.viewed))
	slices.Sort(namespaces)
	namespaces = slices.Compact(namespaces)
	maps.Copy(resources, r.extra)
	watcher, err := rollout.Watch(ctx, r.cluster, namespaces, slices.Collect(maps.Keys(resources))...)
	if err != nil {
		return cluster.Explain(err)
	}
	if r.watcher != nil {
		r.watcher.Stop()
	}
	r.watcher, r.viewed, r.extra = watcher, map[string]bool{}, resources
	for _, n := range namespaces {
		r.viewed[n] = true
	}
	if r.before == nil {
		r.before = watcher.View().Restarts()
	}
	r.sample(watcher.View())
	watcher.Each = r.sample
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

package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"
	"time"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/csaupgrade"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// kubectlManagers wrote with client-side kubectl apply; "before-first-apply"
// stands for what was there before the server kept track of it.
var kubectlManagers = sets.New("kubectl-client-side-apply", "before-first-apply")

// conflicts are waited out for two seconds: the controllers of a Deployment on its
// way change it several times a second.
var conflicts = wait.Backoff{Steps: 9, Duration: 10 * time.Millisecond, Factor: 2, Cap: time.Second, Jitter: 0.1}

func ownedByKubectl(live *unstructured.Unstructured) bool {
	for _, e := range live.GetManagedFields() {
		if e.Operation == metav1.ManagedFieldsOperationUpdate && e.Subresource == "" && kubectlManagers.Has(e.Manager) {
			return true
		}
	}
	return false
}

// adopt hands the fields that kubectl apply wrote to rollstep.
func adopt(ctx context.Context, ri dynamic.ResourceInterface, live *unstructured.Unstructured) error {
	return retry.RetryOnConflict(conflicts, func() error {
		patch, err := csaupgrade.UpgradeManagedFieldsPatch(live, kubectlManagers, Manager)
		if err != nil || patch == nil {
			return err
		}
		_, err = ri.Patch(ctx, live.GetName(), types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: Manager})
		if errors.IsConflict(err) {
			fresh, getErr := ri.Get(ctx, live.GetName(), metav1.GetOptions{})
			if getErr != nil {
				return getErr
			}
			live = fresh
		}
		return err
	})
}

// withoutRemoved takes from a dry run's result the fields that kubectl apply
// wrote and the manifest no longer has: applying removes them, after adopt.
func (c *Client) withoutRemoved(ctx context.Context, ri dynamic.ResourceInterface, live, result *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	had, kept := &fieldpath.Set{}, &fieldpath.Set{}
	for _, e := range live.GetManagedFields() {
		if e.Operation == metav1.ManagedFieldsOperationUpdate && e.Subresource == "" && kubectlManagers.Has(e.Manager) {
			had = had.Union(fields(e))
		} else if e.Manager != Manager {
			kept = kept.Union(fields(e))
		}
	}
	for _, e := range result.GetManagedFields() {
		if e.Manager == Manager && e.Operation == metav1.ManagedFieldsOperationApply {
			kept = kept.Union(fields(e))
		}
	}
	stripped := result.DeepCopy()
	removed := false
	// Parents come before what is in them.
	had.Difference(kept).Iterate(func(p fieldpath.Path) {
		if !holds(kept, p) {
			removed = remove(stripped.Object, p) || removed
		}
	})
	if !removed {
		return result, nil
	}
	stripped.SetManagedFields(nil)
	// The server fills in defaults again.
	checked, err := ri.Update(ctx, stripped, metav1.UpdateOptions{FieldManager: Manager, DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return nil, err
	}
	return checked, nil
}

// holds says whether a set has anything below path.
func holds(set *fieldpath.Set, path fieldpath.Path) bool {
	for _, step := range path {
		set = set.WithPrefix(step)
	}
	return !set.Empty()
}

func fields(e metav1.ManagedFieldsEntry) *fieldpath.Set {
	set := &fieldpath.Set{}
	if e.FieldsV1 != nil {
		// What the server wrote can be read; what cannot is nobody's.
		_ = set.FromJSON(bytes.NewReader(e.FieldsV1.GetRawBytes()))
	}
	return set
}

// remove deletes what path leads to and says whether it was there.
func remove(node any, path fieldpath.Path) bool {
	if len(path) == 0 {
		return false
	}
	step := path[0]
	switch n := node.(type) {
	case map[string]any:
		if step.FieldName == nil {
			return false
		}
		child, ok := n[*step.FieldName]
		if !ok {
			return false
		}
		if len(path) == 1 {
			delete(n, *step.FieldName)
			return true
		}
		if list, isList := child.([]any); isList && len(path) == 2 {
			kept := withoutItem(list, path[1])
			n[*step.FieldName] = kept
			return len(kept) < len(list)
		}
		return remove(child, path[1:])
	case []any:
		for _, item := range n {
			if matches(item, step) {
				return remove(item, path[1:])
			}
		}
	}
	return false
}

func withoutItem(list []any, step fieldpath.PathElement) []any {
	var kept []any
	for _, item := range list {
		if !matches(item, step) {
			kept = append(kept, item)
		}
	}
	return kept
}

// matches says whether a list's item is the one that a path element means: by
// its keys, or by its value.
func matches(item any, step fieldpath.PathElement) bool {
	switch {
	case step.Key != nil:
		m, ok := item.(map[string]any)
		if !ok {
			return false
		}
		for _, f := range *step.Key {
			if !sameValue(m[f.Name], f.Value) {
				return false
			}
		}
		return true
	case step.Value != nil:
		return sameValue(item, *step.Value)
	}
	return false
}

func sameValue(a any, b value.Value) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b.Unstructured())
	return errX == nil && errY == nil && reflect.DeepEqual(x, y)
}

// keepReplicas returns the manifest to apply. Where it leaves the replica count
// to others (an HPA) but rollstep or kubectl apply wrote one before, giving the
// field up would reset it to 1: the live count is applied instead.
//
// Source: kubernetes.io, "Server-Side Apply", transferring ownership.
func keepReplicas(m, live *unstructured.Unstructured) *unstructured.Unstructured {
	if live == nil {
		return m
	}
	if _, says, _ := unstructured.NestedFieldNoCopy(m.Object, "spec", "replicas"); says {
		return m
	}
	count, has, _ := unstructured.NestedInt64(live.Object, "spec", "replicas")
	if !has || !ownsReplicas(live) {
		return m
	}
	m = m.DeepCopy()
	if unstructured.SetNestedField(m.Object, count, "spec", "replicas") != nil {
		return m
	}
	return m
}

func ownsReplicas(live *unstructured.Unstructured) bool {
	path := fieldpath.MakePathOrDie("spec", "replicas")
	for _, e := range live.GetManagedFields() {
		ours := e.Manager == Manager && e.Operation == metav1.ManagedFieldsOperationApply
		if (ours || kubectlManagers.Has(e.Manager)) && e.Subresource == "" && fields(e).Has(path) {
			return true
		}
	}
	return false
}

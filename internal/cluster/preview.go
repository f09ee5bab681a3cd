package cluster

import (
	"context"
	stderrors "errors"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/util/retry"

	"gitlab.com/rollstep/rollstep/internal/hint"
)

// parallel bounds the requests under way at once. The API server's priority
// and fairness gives an ordinary client about as many seats.
const parallel = 16

// Preview is what the server would make of a manifest.
type Preview struct {
	Manifest *unstructured.Unstructured
	Live     *unstructured.Unstructured // nil: it would be created
	Result   *unstructured.Unstructured // the manifest itself where the server could not be asked
	// Unchecked: the object's Namespace or kind comes with the same release,
	// so the server cannot judge it yet.
	Unchecked bool
	// Adopts: fields that kubectl apply wrote will be rollstep's.
	Adopts bool

	compared, same bool // of Live and Result, once for all
}

// Changed says whether applying the manifest would change anything.
func (p Preview) Changed() bool {
	switch {
	case p.Live == nil || p.Unchecked || p.Adopts:
		return true
	case p.compared:
		return !p.same
	}
	return !same(p.Live.Object, p.Result.Object)
}

// PreviewAll asks the server, by dry run, what it would make of each manifest.
// The errors are in the order of the manifests, nil where there is none.
func (c *Client) PreviewAll(ctx context.Context, manifests []*unstructured.Unstructured) ([]Preview, []error) {
	previews := make([]Preview, len(manifests))
	c.Declare(manifests)
	namespaces := map[string]bool{}
	for _, m := range manifests {
		if m.GetKind() == "Namespace" && m.GroupVersionKind().Group == "" {
			namespaces[m.GetName()] = true
		}
	}
	known := c.list(ctx, manifests)
	errs := Each(len(manifests), func(i int) (err error) {
		previews[i], err = c.preview(ctx, manifests[i], known, namespaces)
		return err
	})
	return previews, errs
}

// preview begins anew when the object changes meanwhile.
func (c *Client) preview(ctx context.Context, m *unstructured.Unstructured, known listed, namespaces map[string]bool) (p Preview, err error) {
	err = retry.RetryOnConflict(conflicts, func() error {
		p, err = c.previewOnce(ctx, m, known, namespaces)
		known = nil // it is read anew then
		return err
	})
	return p, redact(m, err)
}

func (c *Client) previewOnce(ctx context.Context, m *unstructured.Unstructured, known listed, namespaces map[string]bool) (Preview, error) {
	p := Preview{Manifest: m, Result: m}
	ri, err := c.For(ctx, m)
	if err != nil {
		return p, err
	}
	if p.Live, err = c.live(ctx, m, known); err != nil {
		return p, err
	}
	p.Adopts = p.Live != nil && ownedByKubectl(p.Live)
	wanted := keepReplicas(m, p.Live)
	result, err := ri.Apply(ctx, m.GetName(), wanted, applyOptions(true))
	comesAlong := namespaces[m.GetNamespace()] || c.Declared(m.GroupVersionKind())
	if errors.IsNotFound(err) && comesAlong {
		p.Unchecked = true
		return p, nil
	}
	if err != nil {
		return p, Explain(err)
	}
	p.Result = result
	if p.Adopts {
		p.Result, err = c.withoutRemoved(ctx, ri, p.Live, result)
	}
	if err == nil && p.Live != nil {
		p.compared, p.same = true, same(p.Live.Object, p.Result.Object)
	}
	return p, Explain(err)
}

func applyOptions(dryRun bool) metav1.ApplyOptions {
	o := metav1.ApplyOptions{FieldManager: Manager, Force: true}
	if dryRun {
		o.DryRun = []string{metav1.DryRunAll}
	}
	return o
}

// Each runs f for 0 … n−1, a bounded number at once, and returns the errors in order.
func Each(n int, f func(i int) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = f(i)
		})
	}
	wg.Wait()
	return errs
}

// Apply makes the live object what the manifest says. Fields that an earlier
// kubectl apply wrote become rollstep's first, so that those no longer in the
// manifest go.
func (c *Client) Apply(ctx context.Context, p Preview) (*unstructured.Unstructured, error) {
	ri, err := c.For(ctx, p.Manifest)
	if err != nil {
		return nil, err
	}
	if p.Adopts {
		if err := adopt(ctx, ri, p.Live); err != nil {
			return nil, fmt.Errorf("taking over the fields of kubectl apply: %w", Explain(err))
		}
	}
	applied, err := ri.Apply(ctx, p.Manifest.GetName(), keepReplicas(p.Manifest, p.Live), applyOptions(false))
	return applied, redact(p.Manifest, Explain(err))
}

// Delete removes the object, if it is there, and what it owns in the background.
func (c *Client) Delete(ctx context.Context, o *unstructured.Unstructured) error {
	ri, err := c.For(ctx, o)
	if err != nil {
		return err
	}
	background := metav1.DeletePropagationBackground
	err = ri.Delete(ctx, o.GetName(), metav1.DeleteOptions{PropagationPolicy: &background})
	if errors.IsNotFound(err) {
		return nil
	}
	return Explain(err)
}

// AwaitServed waits until a CustomResourceDefinition's kind can be used.
func (c *Client) AwaitServed(ctx context.Context, crd *unstructured.Unstructured) error {
	ri, err := c.For(ctx, crd)
	if err != nil {
		return err
	}
	list, err := ri.List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + crd.GetName()})
	if err != nil {
		return Explain(err)
	}
	for _, live := range list.Items {
		if done, err := established(&live); done || err != nil {
			return err
		}
	}
	w, err := ri.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + crd.GetName(), ResourceVersion: list.GetResourceVersion()})
	if err != nil {
		return Explain(err)
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		live, ok := event.Object.(*unstructured.Unstructured)
		if !ok {
			return errors.FromObject(event.Object)
		}
		if done, err := established(live); done || err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return c.AwaitServed(ctx, crd) // the server closed the watch
}

// ErrNames: another kind of the cluster has a name that a
// CustomResourceDefinition asks for.
var ErrNames = stderrors.New("its names are not accepted")

// established says whether a CustomResourceDefinition's kind is served.
//
// Source: NamesAccepted and Established in
// apiextensions-apiserver/pkg/controller/status/naming_controller.go.
func established(crd *unstructured.Unstructured) (bool, error) {
	conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
	for _, c := range conditions {
		condition, _ := c.(map[string]any)
		switch {
		case condition["type"] == "Established" && condition["status"] == "True":
			return true, nil
		case condition["type"] == "NamesAccepted" && condition["status"] == "False":
			return false, hint.Errorf("Choose other names in spec.names, or remove the CustomResourceDefinition that has them",
				"%s: %w: %v", Name(crd), ErrNames, condition["message"])
		}
	}
	return false, nil
}

// Restorable is a live object in the form of a manifest that brings it back.
func Restorable(live *unstructured.Unstructured) *unstructured.Unstructured {
	o := live.DeepCopy()
	unstructured.RemoveNestedField(o.Object, "status")
	for _, field := range []string{"managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink", "ownerReferences"} {
		unstructured.RemoveNestedField(o.Object, "metadata", field)
	}
	if o.GetKind() == "Service" {
		forgetAllocated(o)
	}
	annotations := o.GetAnnotations()
	delete(annotations, "kubectl.kubernetes.io/last-applied-configuration")
	delete(annotations, "deployment.kubernetes.io/revision")
	if len(annotations) == 0 {
		annotations = nil
	}
	o.SetAnnotations(annotations)
	return o
}

// forgetAllocated removes from a Service what the cluster gave it: that stays
// with the Service as long as it lives.
func forgetAllocated(service *unstructured.Unstructured) {
	if ip, _, _ := unstructured.NestedString(service.Object, "spec", "clusterIP"); ip != "None" {
		unstructured.RemoveNestedField(service.Object, "spec", "clusterIP")
	}
	for _, field := range []string{"clusterIPs", "healthCheckNodePort", "ipFamilies", "ipFamilyPolicy"} {
		unstructured.RemoveNestedField(service.Object, "spec", field)
	}
	ports, _, _ := unstructured.NestedFieldNoCopy(service.Object, "spec", "ports")
	list, _ := ports.([]any)
	for _, p := range list {
		if port, ok := p.(map[string]any); ok {
			delete(port, "nodePort")
		}
	}
}

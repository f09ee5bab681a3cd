package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
)

// workers is how many requests the bare loop has under way, as rollstep.
const workers = 16

// bare applies a file to a namespace in the least that server-side apply takes:
// one request an object, in parallel, with no discovery, no dry run, no order,
// no lock, no record and no wait. No tool can be faster than this limit.
func bare(ctx context.Context, args []string) error {
	path, namespace := args[0], args[1]
	objects, err := read(path)
	if err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	config.QPS = -1
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	errs := make([]error, len(objects))
	slots := make(chan struct{}, workers)
	var all sync.WaitGroup
	for i, o := range objects {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			_, errs[i] = client.Resource(resource(o)).Namespace(namespace).
				Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: "bare", Force: true})
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func read(path string) ([]*unstructured.Unstructured, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		o := &unstructured.Unstructured{}
		switch err := decoder.Decode(&o.Object); {
		case errors.Is(err, io.EOF):
			return objects, nil
		case err != nil:
			return nil, fmt.Errorf("%s: %w", path, err)
		case o.Object != nil:
			objects = append(objects, o)
		}
	}
}

// resource is where a kind is served: its name in small letters and the plural.
func resource(o *unstructured.Unstructured) schema.GroupVersionResource {
	gvk := o.GroupVersionKind()
	return gvk.GroupVersion().WithResource(strings.ToLower(gvk.Kind) + "s")
}

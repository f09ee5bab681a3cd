// Package cluster reads and writes Kubernetes objects: server-side apply with a
// dry run before it, discovery of only the kinds in use, and errors that say
// what to do next.
package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"gitlab.com/rollstep/rollstep/internal/hint"
)

// Manager is the field manager under which everything is written.
const Manager = "rollstep"

// Client talks to one cluster. It is safe for concurrent use.
type Client struct {
	Dynamic dynamic.Interface

	http  *http.Client
	base  *url.URL
	typed map[schema.GroupVersion]rest.Interface

	mu       sync.Mutex
	kinds    map[schema.GroupVersion]*kinds
	declared map[schema.GroupVersionKind]Resource
}

// Resource says under which name a kind is served, and whether it has namespaces.
type Resource struct {
	schema.GroupVersionResource
	Namespaced bool
}

// New returns a client for config. It does not talk to the cluster yet.
func New(config *rest.Config, userAgent string) (*Client, error) {
	config = rest.CopyConfig(config)
	config.UserAgent = userAgent
	config.WarningHandlerWithContext = rest.NoWarnings{}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &retrier{next: next} })
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	dyn, err := dynamic.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, err
	}
	typed, err := typedClients(config, client)
	if err != nil {
		return nil, err
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, err
	}
	return &Client{
		Dynamic:  dyn,
		http:     client,
		base:     base,
		typed:    typed,
		kinds:    map[schema.GroupVersion]*kinds{},
		declared: map[schema.GroupVersionKind]Resource{},
	}, nil
}

// Raw returns the body of GET path, for example a container's log.
func (c *Client) Raw(ctx context.Context, path string, query url.Values) ([]byte, error) {
	target := *c.base
	target.Path = strings.TrimSuffix(target.Path, "/") + path
	target.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 8<<20))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, statusError(response.StatusCode, body, path)
	}
	return body, nil
}

func statusError(code int, body []byte, path string) error {
	var status metav1.Status
	if json.Unmarshal(body, &status) == nil && status.Kind == "Status" {
		return &errors.StatusError{ErrStatus: status}
	}
	return errors.NewGenericServerResponse(code, "get", schema.GroupResource{}, path, string(body[:min(len(body), 200)]), 0, true)
}

// kinds are what the server serves in one group and version.
type kinds struct {
	once  sync.Once
	names map[string]Resource
	err   error
}

// Declare makes the kinds of the CustomResourceDefinitions among objects known,
// so that their objects can be told apart before the cluster serves them.
func (c *Client) Declare(objects []*unstructured.Unstructured) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, crd := range objects {
		if !IsCRD(crd) {
			continue
		}
		group, _, _ := unstructured.NestedString(crd.Object, "spec", "group")
		kind, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "kind")
		plural, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "plural")
		scope, _, _ := unstructured.NestedString(crd.Object, "spec", "scope")
		versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
		for _, v := range versions {
			version, _ := v.(map[string]any)
			name, _ := version["name"].(string)
			gv := schema.GroupVersion{Group: group, Version: name}
			c.declared[gv.WithKind(kind)] = Resource{gv.WithResource(plural), scope == "Namespaced"}
		}
	}
}

// IsCRD says whether o is a CustomResourceDefinition.
func IsCRD(o *unstructured.Unstructured) bool {
	return o.GroupVersionKind().GroupKind() == schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}
}

// Declared says whether the kind comes with the release itself.
func (c *Client) Declared(gvk schema.GroupVersionKind) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.declared[gvk]
	return ok
}

// Resource looks a kind up. Only the kind's own group and version are asked
// for, once.
func (c *Client) Resource(ctx context.Context, gvk schema.GroupVersionKind) (Resource, error) {
	c.mu.Lock()
	known := c.kinds[gvk.GroupVersion()]
	if known == nil {
		known = &kinds{}
		c.kinds[gvk.GroupVersion()] = known
	}
	declared, isDeclared := c.declared[gvk]
	c.mu.Unlock()
	if isDeclared {
		return declared, nil
	}
	known.once.Do(func() { known.names, known.err = c.discover(ctx, gvk.GroupVersion()) })
	if known.err != nil {
		return Resource{}, known.err
	}
	if r, ok := known.names[gvk.Kind]; ok {
		return r, nil
	}
	have := make([]string, 0, len(known.names))
	for kind := range known.names {
		have = append(have, kind)
	}
	slices.Sort(have)
	next := "Correct apiVersion and kind"
	if len(have) > 0 && len(have) <= 60 {
		next += "; " + gvk.GroupVersion().String() + " has: " + strings.Join(have, ", ")
	} else {
		next += ", or bring the CustomResourceDefinition to the cluster first (or put it into the same manifests)"
	}
	return Resource{}, hint.Errorf(next, "the cluster knows no kind %s in %s", gvk.Kind, gvk.GroupVersion())
}

func (c *Client) discover(ctx context.Context, gv schema.GroupVersion) (map[string]Resource, error) {
	path := "/apis/" + gv.String()
	if gv.Group == "" {
		path = "/api/" + gv.Version
	}
	body, err := c.Raw(ctx, path, nil)
	if errors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, Explain(err)
	}
	var list metav1.APIResourceList
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	names := map[string]Resource{}
	for _, r := range list.APIResources {
		if !strings.Contains(r.Name, "/") {
			names[r.Kind] = Resource{gv.WithResource(r.Name), r.Namespaced}
		}
	}
	return names, nil
}

// For returns the interface to objects of o's kind in o's namespace.
func (c *Client) For(ctx context.Context, o *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	r, err := c.Resource(ctx, o.GroupVersionKind())
	if err != nil {
		return nil, err
	}
	if r.Namespaced {
		return c.Dynamic.Resource(r.GroupVersionResource).Namespace(o.GetNamespace()), nil
	}
	return c.Dynamic.Resource(r.GroupVersionResource), nil
}

// Get returns the live object of o's kind, namespace and name, or nil.
func (c *Client) Get(ctx context.Context, o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	return c.live(ctx, o, nil)
}

// Name is how messages name an object: "Deployment app".
func Name(o *unstructured.Unstructured) string { return o.GetKind() + " " + o.GetName() }

package cluster

import (
	"context"
	"net/url"
	"strconv"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	// many objects of a kind in a namespace are listed at once instead of asked
	// for one by one.
	many = 10
	// A list of more than so many times what is looked for is not worth it.
	roomy = 4
)

// place is where objects of a kind lie: a namespace, or the cluster.
type place struct {
	resource  Resource
	namespace string
}

func (r Resource) at(o *unstructured.Unstructured) place {
	if !r.Namespaced {
		return place{resource: r}
	}
	return place{r, o.GetNamespace()}
}

// listed are the live objects of some places, by name.
type listed map[place]map[string]*unstructured.Unstructured

// list reads the places of which manifests has many objects. What it cannot
// read, or not in full, is left to be asked for one by one.
func (c *Client) list(ctx context.Context, manifests []*unstructured.Unstructured) listed {
	counts := map[place]int{}
	for _, m := range manifests {
		if resource, err := c.Resource(ctx, m.GroupVersionKind()); err == nil && !c.Declared(m.GroupVersionKind()) {
			counts[resource.at(m)]++
		}
	}
	var places []place
	for p, n := range counts {
		if n >= many {
			places = append(places, p)
		}
	}
	found := make([]map[string]*unstructured.Unstructured, len(places))
	Each(len(places), func(i int) error {
		found[i] = c.listPlace(ctx, places[i], roomy*counts[places[i]])
		return nil
	})
	all := listed{}
	for i, p := range places {
		if found[i] != nil {
			all[p] = found[i]
		}
	}
	return all
}

// listPlace returns the objects of a place, nil if it cannot be listed whole:
// that is not allowed, or it holds too many, or more than Raw reads.
func (c *Client) listPlace(ctx context.Context, p place, limit int) map[string]*unstructured.Unstructured {
	body, err := c.Raw(ctx, p.path(), url.Values{"limit": {strconv.Itoa(limit)}})
	if err != nil {
		return nil
	}
	var list unstructured.UnstructuredList
	if err := list.UnmarshalJSON(body); err != nil || list.GetContinue() != "" {
		return nil
	}
	byName := make(map[string]*unstructured.Unstructured, len(list.Items))
	for i := range list.Items {
		byName[list.Items[i].GetName()] = &list.Items[i]
	}
	return byName
}

func (p place) path() string {
	path := "/apis/" + p.resource.Group + "/" + p.resource.Version
	if p.resource.Group == "" {
		path = "/api/" + p.resource.Version
	}
	if p.namespace != "" {
		path += "/namespaces/" + p.namespace
	}
	return path + "/" + p.resource.Resource
}

// live returns the live object of a manifest, or nil.
func (c *Client) live(ctx context.Context, m *unstructured.Unstructured, known listed) (*unstructured.Unstructured, error) {
	resource, err := c.Resource(ctx, m.GroupVersionKind())
	if err != nil {
		return nil, err
	}
	if objects, ok := known[resource.at(m)]; ok {
		return objects[m.GetName()], nil
	}
	ri, err := c.For(ctx, m)
	if err != nil {
		return nil, err
	}
	live, err := ri.Get(ctx, m.GetName(), metav1.GetOptions{})
	if errors.IsNotFound(err) {
		return nil, nil
	}
	return live, Explain(err)
}

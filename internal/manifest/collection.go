package manifest

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"gitlab.com/rollstep/rollstep/internal/hint"
)

// collection gathers objects and mistakes in the order in which they are met.
type collection struct {
	objects  []*unstructured.Unstructured
	origins  map[*unstructured.Unstructured]string
	problems []error
	seen     map[identity]string // to where it was read
}

// identity tells objects apart as the API server does, which serves one
// object under all versions of its group.
type identity struct {
	schema.GroupKind
	namespace, name string
}

func identityOf(o *unstructured.Unstructured) identity {
	return identity{o.GroupVersionKind().GroupKind(), o.GetNamespace(), o.GetName()}
}

func newCollection() *collection {
	return &collection{origins: map[*unstructured.Unstructured]string{}, seen: map[identity]string{}}
}

func (c *collection) fail(problems ...error) { c.problems = append(c.problems, problems...) }

// addContent adds the objects of a YAML or JSON stream.
func (c *collection) addContent(file string, content []byte) {
	documents, err := split(file, content)
	if err != nil {
		c.fail(err)
		return
	}
	for _, d := range documents {
		fields, err := decode(d)
		switch {
		case err != nil:
			c.fail(err)
		case fields != nil:
			c.add(fields, d.String())
		}
	}
}

// add adds one object, or the items of a list.
func (c *collection) add(fields map[string]any, origin string) {
	if items, isList := listItems(fields); isList {
		for i, item := range items {
			at := fmt.Sprintf("%s, item %d", origin, i+1)
			object, isMapping := item.(map[string]any)
			if !isMapping {
				c.fail(hint.Errorf("remove it, or complete it", "%s: the item of the list is no object", at))
				continue
			}
			c.add(object, at)
		}
		return
	}
	if problems := checkObject(fields, origin); len(problems) > 0 {
		c.fail(problems...)
		return
	}
	o := &unstructured.Unstructured{Object: fields}
	if first, duplicate := c.seen[identityOf(o)]; duplicate {
		c.fail(duplicateError(o, first, origin))
		return
	}
	c.seen[identityOf(o)] = origin
	c.objects = append(c.objects, o)
	c.origins[o] = origin
}

func duplicateError(o *unstructured.Unstructured, first, second string) error {
	return hint.Errorf("remove one of them, or give it another name or namespace",
		"%s: %s is already declared in %s", second, describe(o), first)
}

// listItems takes a list apart: any kind that ends in List and has items. The
// items of a typed list such as ConfigMapList may leave out their own kind, as
// the API server's answers do.
func listItems(fields map[string]any) ([]any, bool) {
	kind, _ := fields["kind"].(string)
	items, hasItems := fields["items"].([]any)
	itemKind, isList := strings.CutSuffix(kind, "List")
	if !isList || !hasItems {
		return nil, false
	}
	for _, item := range items {
		object, isMapping := item.(map[string]any)
		if isMapping && itemKind != "" && object["kind"] == nil && object["apiVersion"] == nil {
			object["kind"], object["apiVersion"] = itemKind, fields["apiVersion"]
		}
	}
	return items, true
}

package cluster

import (
	"fmt"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// Diff is the unified diff from the live object to what it would be, without
// its status and what changes by itself. Values of Secrets are never shown,
// only whether they change.
func (p Preview) Diff() (string, error) {
	before, after := shown(p.Live), shown(p.Result)
	if p.Manifest.GetKind() == "Secret" {
		hide(before, after)
	}
	old, err := text(before)
	if err != nil {
		return "", err
	}
	wanted, err := text(after)
	if err != nil {
		return "", err
	}
	patch := string(diff.Diff("live", old, "manifest", wanted))
	if i := strings.Index(patch, "@@"); i >= 0 {
		patch = patch[i:]
	}
	return strings.TrimRight(patch, "\n"), nil
}

func text(o map[string]any) ([]byte, error) {
	if o == nil {
		return nil, nil
	}
	return yaml.Marshal(o)
}

// shown is o as people want to compare it.
func shown(o *unstructured.Unstructured) map[string]any {
	if o == nil {
		return nil
	}
	c := Restorable(o)
	return c.Object
}

// hide replaces the values of a Secret by what may be known of them.
func hide(before, after map[string]any) {
	for _, field := range []string{"data", "stringData"} {
		old, _, _ := unstructured.NestedMap(before, field)
		wanted, _, _ := unstructured.NestedMap(after, field)
		for key := range old {
			if fmt.Sprint(old[key]) == fmt.Sprint(wanted[key]) {
				wanted[key] = "(hidden)"
			}
			old[key] = "(hidden)"
		}
		for key := range wanted {
			if wanted[key] != "(hidden)" {
				wanted[key] = "(hidden, new value)"
			}
		}
		if before != nil && old != nil {
			before[field] = old
		}
		if after != nil && wanted != nil {
			after[field] = wanted
		}
	}
}

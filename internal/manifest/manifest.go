// Package manifest turns YAML files, directories and kustomizations into
// Kubernetes objects, and answers questions about them that need no cluster.
package manifest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"gitlab.com/rollstep/rollstep/internal/hint"
)

// Manifests are the objects of one release as they were read.
type Manifests struct {
	// Objects are in the order in which they were read: files in lexical
	// order, documents from top to bottom. Lists are taken apart. Integers are
	// int64 and other numbers float64.
	Objects []*unstructured.Unstructured

	origins map[*unstructured.Unstructured]string
}

// Origin returns where an object was read, e.g.
// "k8s/deploy.yaml, document 2, line 14" or "kustomization k8s"; "" for an
// object that is none of m's.
func (m *Manifests) Origin(o *unstructured.Unstructured) string { return m.origins[o] }

// Load reads what ROLLSTEP_MANIFESTS names: a YAML or JSON file, a directory
// (*.yaml, *.yml and *.json in it and below it, hidden ones left out), or a
// kustomization (a directory with a kustomization file, or that file itself).
// Nothing is fetched from the network and no plugin runs.
//
// All mistakes found come back in one joined error, in the order of the files.
// Each says where it is and what to do next (hint.Of); none shows a value that
// a Secret may hold.
func Load(path string) (*Manifests, error) {
	if strings.TrimSpace(path) == "" {
		return nil, hint.Errorf("set ROLLSTEP_MANIFESTS to a file, a directory or a kustomization", "ROLLSTEP_MANIFESTS is empty")
	}
	path = filepath.Clean(path)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, missing(path)
	}
	if err != nil {
		return nil, hint.Errorf("let the user that the job runs as read it", "ROLLSTEP_MANIFESTS: %w", err)
	}

	c := newCollection()
	switch {
	case info.IsDir() && kustomizationFile(path) != "":
		c.addKustomization(path)
	case info.IsDir():
		c.addDirectory(path)
	case isKustomizationFile(path):
		c.addKustomization(filepath.Dir(path))
	case info.Mode().IsRegular():
		c.addFile(path)
	default:
		return nil, hint.Errorf("set ROLLSTEP_MANIFESTS to a file, a directory or a kustomization", "ROLLSTEP_MANIFESTS: %s is neither a file nor a directory", path)
	}
	if len(c.problems) > 0 {
		return nil, errors.Join(c.problems...)
	}
	if len(c.objects) == 0 {
		return nil, hint.Errorf("add manifests there, or set ROLLSTEP_MANIFESTS to where they are", "%s holds no Kubernetes objects", path)
	}
	return &Manifests{Objects: c.objects, origins: c.origins}, nil
}

func missing(path string) error {
	next := "set ROLLSTEP_MANIFESTS to the file, directory or kustomization with the manifests"
	if near := manifestDirectories(existingAncestor(path)); len(near) > 0 {
		next += ", e.g. " + strings.Join(near, ", ")
	}
	return hint.Errorf(next, "ROLLSTEP_MANIFESTS: %s does not exist", path)
}

// describe names an object in messages, e.g. "Deployment shop/web".
func describe(o *unstructured.Unstructured) string {
	if o.GetNamespace() == "" {
		return fmt.Sprintf("%s %s", o.GetKind(), o.GetName())
	}
	return fmt.Sprintf("%s %s/%s", o.GetKind(), o.GetNamespace(), o.GetName())
}

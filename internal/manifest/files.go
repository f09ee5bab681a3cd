package manifest

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gitlab.com/rollstep/rollstep/internal/hint"
)

func (c *collection) addFile(path string) {
	content, err := os.ReadFile(path)
	if err != nil {
		c.fail(hint.Errorf("let the user that the job runs as read it", "%w", err))
		return
	}
	c.addContent(path, content)
}

// addDirectory reads a directory that has no kustomization of its own. Ones
// below it mean that the caller points above the usual base/overlays layout:
// reading their files as plain manifests would apply bases and patches alike.
func (c *collection) addDirectory(dir string) {
	if isChart(dir) {
		c.fail(hint.Errorf("render it with `helm template` and set ROLLSTEP_MANIFESTS to the result", "%s is a Helm chart, which rollstep does not render", dir))
		return
	}
	files, kustomizations, err := walk(dir)
	if err != nil {
		c.fail(hint.Errorf("let the user that the job runs as read it", "%w", err))
		return
	}
	if len(kustomizations) > 0 {
		c.fail(hint.Errorf("set ROLLSTEP_MANIFESTS to the one to deploy, usually an overlay",
			"%s is no kustomization, but holds %s", dir, strings.Join(kustomizations, ", ")))
		return
	}
	for _, file := range files {
		c.addFile(file)
	}
}

// walk returns the manifest files in and below dir and the directories below
// it that are kustomizations, both in lexical order. A symbolic link to a file
// counts as the file, one to a directory is left out.
func walk(dir string) (files, kustomizations []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, err
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		switch {
		case strings.HasPrefix(entry.Name(), "."):
		case entry.IsDir() && kustomizationFile(path) != "":
			kustomizations = append(kustomizations, path)
			fallthrough
		case entry.IsDir():
			moreFiles, moreKustomizations, err := walk(path)
			if err != nil {
				return nil, nil, err
			}
			files = append(files, moreFiles...)
			kustomizations = append(kustomizations, moreKustomizations...)
		case isManifestFile(path):
			if info, err := os.Stat(path); err != nil || info.Mode().IsRegular() {
				files = append(files, path) // a broken link is reported when it is read
			}
		}
	}
	return files, kustomizations, nil
}

func isManifestFile(path string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path))
}

func isChart(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, "Chart.yaml"))
	return err == nil && info.Mode().IsRegular()
}

// existingAncestor returns the nearest directory above path that exists.
func existingAncestor(path string) string {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err == nil && info.IsDir() || dir == filepath.Dir(dir) {
			return dir
		}
	}
}

const (
	searchDepth       = 3   // deep enough for k8s/overlays/prod
	searchDirectories = 200 // a look at a repository, not a search of it
	searchResults     = 5
)

// manifestDirectories suggests directories below dir that hold manifests, at
// most searchResults. It looks only briefly, and not at a whole file system.
func manifestDirectories(dir string) []string {
	if dir == string(filepath.Separator) {
		return nil
	}
	type level struct {
		dir   string
		depth int
	}
	var found []string
	queue := []level{{dir, 0}}
	for seen := 0; len(queue) > 0 && seen < searchDirectories && len(found) < searchResults; seen++ {
		current := queue[0]
		queue = queue[1:]
		if isChart(current.dir) {
			continue
		}
		entries, _ := os.ReadDir(current.dir)
		if current.depth > 0 && holdsManifests(current.dir, entries) {
			found = append(found, current.dir)
		}
		for _, entry := range entries {
			skip := strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules" || entry.Name() == "vendor"
			if entry.IsDir() && !skip && current.depth < searchDepth {
				queue = append(queue, level{filepath.Join(current.dir, entry.Name()), current.depth + 1})
			}
		}
	}
	return found
}

func holdsManifests(dir string, entries []os.DirEntry) bool {
	return slices.ContainsFunc(entries, func(entry os.DirEntry) bool {
		path := filepath.Join(dir, entry.Name())
		return entry.Type().IsRegular() && (isKustomizationFile(path) || isManifestFile(path) && startsLikeManifest(path))
	})
}

func startsLikeManifest(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	start, _ := io.ReadAll(io.LimitReader(file, 4096))
	return bytes.Contains(start, []byte("apiVersion")) && bytes.Contains(start, []byte("kind"))
}

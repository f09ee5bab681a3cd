package manifest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"sigs.k8s.io/kustomize/api/types"

	"gitlab.com/rollstep/rollstep/internal/hint"
)

// localCheck looks through a kustomization and those it refers to before
// kustomize does, because kustomize takes whatever is not a local file for a
// Git repository or a URL and fetches it: a deployment would depend on
// something that is not in this commit.
type localCheck struct {
	problems []error
	secrets  []string // literals of secret generators, for redact
	visited  map[string]bool
}

func checkLocal(dir string) *localCheck {
	check := &localCheck{visited: map[string]bool{}}
	check.visit(filepath.Clean(dir))
	return check
}

func (l *localCheck) visit(dir string) {
	if l.visited[dir] {
		return
	}
	l.visited[dir] = true
	file := kustomizationFile(dir)
	if file == "" {
		l.problems = append(l.problems, hint.Errorf("refer to a file in it, or add a kustomization.yaml", "%s has no kustomization file", dir))
		return
	}
	content, err := os.ReadFile(file)
	if err != nil {
		l.problems = append(l.problems, hint.Errorf("let the user that the job runs as read it", "%w", err))
		return
	}
	var k types.Kustomization
	if err := k.Unmarshal(content); err != nil {
		l.problems = append(l.problems, hint.Errorf("correct the kustomization",
			"%s: %s", file, quotedValue.ReplaceAllString(err.Error(), "map key: a mapping or a list cannot be a key")))
		return
	}
	for _, generator := range k.SecretGenerator {
		for _, literal := range generator.LiteralSources {
			l.secrets = append(l.secrets, literal)
			if _, value, found := strings.Cut(literal, "="); found && len(value) > 3 {
				l.secrets = append(l.secrets, value)
			}
		}
	}
	if len(k.HelmCharts) > 0 || len(k.HelmChartInflationGenerator) > 0 {
		l.problems = append(l.problems, hint.Errorf("render the chart with `helm template` into a file and list that under resources",
			"%s: helmCharts: rollstep does not render Helm charts", file))
	}
	for _, entry := range entries(&k) {
		l.entry(dir, file, entry)
	}
	for _, path := range onlyFiles(&k) {
		l.refuseRemote(file, "", path)
	}
}

// entry is one reference to a file or to another kustomization.
type entry struct{ field, path string }

// entries are the references that kustomize tries as a file first and then as
// a directory or a repository.
func entries(k *types.Kustomization) []entry {
	var all []entry
	for _, list := range []struct {
		field string
		paths []string
	}{
		{"resources", k.Resources},
		//lint:ignore SA1019 kustomize still reads the deprecated fields
		{"bases", k.Bases},
		{"components", k.Components},
		{"generators", k.Generators}, {"transformers", k.Transformers}, {"validators", k.Validators},
	} {
		for _, path := range list.paths {
			// Generators and transformers may be written inline.
			if !strings.Contains(path, "\n") {
				all = append(all, entry{list.field, path})
			}
		}
	}
	return all
}

// onlyFiles are the references that kustomize reads as a file or a URL.
func onlyFiles(k *types.Kustomization) []string {
	paths := append(append([]string{k.OpenAPI["path"]}, k.Crds...), k.Configurations...)
	//lint:ignore SA1019 kustomize still reads the deprecated fields
	for _, patch := range append(append([]types.Patch{}, k.Patches...), k.PatchesJson6902...) {
		paths = append(paths, patch.Path)
	}
	//lint:ignore SA1019 as above
	for _, patch := range k.PatchesStrategicMerge {
		paths = append(paths, string(patch))
	}
	for _, replacement := range k.Replacements {
		paths = append(paths, replacement.Path)
	}
	var sources []types.KvPairSources
	for _, generator := range k.ConfigMapGenerator {
		sources = append(sources, generator.KvPairSources)
	}
	for _, generator := range k.SecretGenerator {
		sources = append(sources, generator.KvPairSources)
	}
	for _, source := range sources {
		for _, file := range source.FileSources {
			if key, path, found := strings.Cut(file, "="); found && !strings.Contains(key, "/") {
				file = path
			}
			paths = append(paths, file)
		}
		paths = append(append(paths, source.EnvSources...), source.EnvSource)
	}
	return paths
}

// remote matches what kustomize takes for a URL or a repository
// (api/internal/git/repospec.go, NewRepoSpecFromURL; a name without scheme
// counts if it is user@host or github.com).
var remote = regexp.MustCompile(`(?i)^(git::|[a-z][a-z0-9+.-]*://|[a-z][a-z0-9-]*@[^/]*[:/]|github\.com[/:])`)

func (l *localCheck) refuseRemote(file, field, path string) bool {
	if !remote.MatchString(path) || strings.Contains(path, "\n") {
		return false
	}
	if field != "" {
		field += ": "
	}
	l.problems = append(l.problems, hint.Errorf("copy it into the repository, so that the commit says what is deployed",
		"%s: %s%s is remote, and rollstep fetches nothing", file, field, withoutPassword(path)))
	return true
}

// withoutPassword hides the user part of a URL.
func withoutPassword(address string) string {
	return regexp.MustCompile(`//[^/@]*@`).ReplaceAllString(address, "//")
}

func (l *localCheck) entry(dir, file string, e entry) {
	if l.refuseRemote(file, e.field, e.path) {
		return
	}
	path := e.path
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		l.problems = append(l.problems, hint.Errorf("correct the path, which is relative to the kustomization", "%s: %s: %s does not exist", file, e.field, e.path))
	case err != nil:
		l.problems = append(l.problems, hint.Errorf("let the user that the job runs as read it", "%s: %s: %w", file, e.field, err))
	case info.IsDir():
		l.visit(path)
	}
}

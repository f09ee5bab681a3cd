package manifest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"gitlab.com/rollstep/rollstep/internal/hint"
)

// kustomizationFile returns the path of the kustomization file in dir, or "".
func kustomizationFile(dir string) string {
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}

func isKustomizationFile(path string) bool {
	return slices.Contains(konfig.RecognizedKustomizationFileNames(), filepath.Base(path))
}

// addKustomization adds what `kustomize build dir` prints.
func (c *collection) addKustomization(dir string) {
	origin := "kustomization " + dir
	local := checkLocal(dir)
	if len(local.problems) > 0 {
		c.fail(local.problems...)
		return
	}
	resources, err := build(dir)
	if err != nil {
		c.fail(hint.Errorf("correct the kustomization; `kustomize build "+dir+"` shows the same",
			"%s: %s", origin, local.redact(err.Error())))
		return
	}
	for _, resource := range resources.Resources() {
		asJSON, err := resource.MarshalJSON()
		fields := map[string]any{}
		if err == nil {
			err = utiljson.Unmarshal(asJSON, &fields)
		}
		if err != nil {
			c.fail(fmt.Errorf("%s: %s %s: %w", origin, resource.GetKind(), resource.GetName(), err))
			continue
		}
		c.add(fields, origin)
	}
}

// build runs kustomize with its defaults: files from below the kustomization's
// root only, no plugins, no Helm.
func build(dir string) (_ resmap.ResMap, err error) {
	defer func() {
		// kustomize walks YAML without looking (kubernetes-sigs/kustomize has
		// had dozens of such issues), and a user's typing error must not end
		// in a stack trace.
		if reason := recover(); reason != nil {
			err = fmt.Errorf("kustomize failed on it: %v", reason)
		}
	}()
	return krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
}

// contentInError matches where kustomize repeats in an error what it was
// given, literals of a secretGenerator included (api/internal/target:
// configureBuiltinPlugin and runGenerators; api/kv; builtins/PatchTransformer).
var contentInError = []*regexp.Regexp{
	regexp.MustCompile("(?s)(with config: )`.*`"),
	regexp.MustCompile(`(?s)(from generator )&?\{.*?\}`),
	regexp.MustCompile(`(?s)(\[patch: )".*"`),
	regexp.MustCompile(`(?s)(invalid literal source ).*, expected key=value`),
	regexp.MustCompile(`(?s)(invalid utf8 bytes : ).*`),
	regexp.MustCompile(`(?s)(map key: ).*`),
}

// redact takes out of a kustomize error what may be secret.
func (l *localCheck) redact(text string) string {
	for _, pattern := range contentInError {
		text = pattern.ReplaceAllString(text, "${1}(left out)")
	}
	for _, literal := range l.secrets {
		text = strings.ReplaceAll(text, literal, "(left out)")
	}
	return text
}

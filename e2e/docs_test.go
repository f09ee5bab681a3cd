package e2e

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var yamlBlock = regexp.MustCompile("(?ms)^( *)```yaml\n(.*?)^ *```$")

// Every pipeline that the documentation shows is valid by GitLab's own schema.
func TestDocumentedPipelines_areValid(t *testing.T) {
	var paths []string
	for _, pattern := range []string{"../README.md", "../docs/*.md", "../examples/*/README.md", "../templates/README.md"} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		paths = append(paths, found...)
	}
	seen := 0
	for _, path := range paths {
		for _, b := range yamlBlock.FindAllStringSubmatch(read(t, path), -1) {
			text := regexp.MustCompile("(?m)^"+b[1]).ReplaceAllString(b[2], "")
			if !strings.Contains(text, "script:") && !strings.Contains(text, "component:") {
				continue
			}
			seen++
			t.Run(path, func(t *testing.T) {
				t.Parallel()
				out, err := list(t, completed(text))
				assert.NoError(t, err, "%s\n%s", text, out)
			})
		}
	}
	require.Positive(t, seen, "no page shows a pipeline")
}

// completed is a pipeline of which a page shows a part: its components are those
// of this checkout, and the usual stages are there.
func completed(text string) string {
	text = regexp.MustCompile(`component: \S+/(\w+)@\S+`).ReplaceAllString(text, "local: templates/$1.yml")
	if strings.Contains(text, "local: templates/") && !strings.Contains(text, "environment:") {
		text = strings.Replace(text, "inputs:\n", "inputs:\n      environment: production\n", 1)
	}
	if !regexp.MustCompile(`(?m)^stages:`).MatchString(text) {
		text = "stages: [build, plan, canary, promote, rollback]\n" + text
	}
	return text
}

package gitlab

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAnnotations(t *testing.T) {
	for _, name := range []string{"canary", "refused", "empty"} {
		text, err := samples()[name].annotations()
		require.NoError(t, err)
		golden(t, name+".annotations.json", text)
	}
}

func TestAnnotations_ofForeignText(t *testing.T) {
	for name, r := range map[string]*Report{"hostile": hostileReport(), "large": largeReport()} {
		text, err := r.annotations()
		require.NoError(t, err)
		assert.Less(t, len(text), 80<<10, "GitLab refuses more")
		var sections map[string][]map[string]map[string]string
		require.NoError(t, json.Unmarshal(text, &sections))
		links := sections["rollstep"]
		assert.NotEmpty(t, links, name)
		assert.LessOrEqual(t, len(links), 1000)
		for _, l := range links {
			link := l["external_link"]
			assert.True(t, strings.HasPrefix(link["url"], "https://"), link["url"])
			assert.NotEmpty(t, link["label"])
			assert.NotContains(t, link["label"], "\n")
			assert.NotContains(t, link["label"], "\x1b")
		}
	}
}

package gitlab

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"
)

// The text of each page as it is read from top to bottom.
func TestPage(t *testing.T) {
	for name, r := range samples() {
		golden(t, name+".page", []byte(pageText(document(t, r))))
	}
}

func rendered(t *testing.T, r *Report) []byte {
	t.Helper()
	text, err := r.page()
	require.NoError(t, err)
	return text
}

func document(t *testing.T, r *Report) *html.Node {
	t.Helper()
	doc, err := html.Parse(bytes.NewReader(rendered(t, r)))
	require.NoError(t, err)
	return doc
}

// pageText has a line for each text in the body but those in drawings.
func pageText(n *html.Node) string {
	var b strings.Builder
	var walk func(n *html.Node, pre bool)
	walk = func(n *html.Node, pre bool) {
		switch {
		case n.Type == html.ElementNode && (n.Data == "head" || n.Data == "svg"):
			return
		case n.Type == html.ElementNode && n.Data == "section":
			b.WriteString("\n")
		case n.Type == html.TextNode && pre:
			b.WriteString(strings.TrimSuffix(n.Data, "\n") + "\n")
		case n.Type == html.TextNode && strings.TrimSpace(n.Data) != "":
			b.WriteString(strings.TrimSpace(n.Data) + "\n")
		}
		for c := range n.ChildNodes() {
			walk(c, pre || n.Data == "pre")
		}
	}
	walk(n, false)
	return b.String()
}

func TestPage_isWellFormed(t *testing.T) {
	all := samples()
	all["hostile"], all["large"] = hostileReport(), largeReport()
	void := map[string]bool{"meta": true, "link": true}
	for name, r := range all {
		z := html.NewTokenizer(bytes.NewReader(rendered(t, r)))
		var open []string
		for {
			kind := z.Next()
			if kind == html.ErrorToken {
				require.ErrorIs(t, z.Err(), io.EOF, name)
				break
			}
			tag, _ := z.TagName()
			switch {
			case kind == html.StartTagToken && !void[string(tag)]:
				open = append(open, string(tag))
			case kind == html.EndTagToken:
				require.NotEmpty(t, open, name)
				require.Equal(t, open[len(open)-1], string(tag), name)
				open = open[:len(open)-1]
			}
		}
		assert.Empty(t, open, name)
	}
}

// Nothing that a text holds becomes an element, an attribute or an address.
func TestPage_escapesForeignText(t *testing.T) {
	known := elements(document(t, canaryReport()))
	for _, r := range []*Report{planReport(), failedReport()} {
		for tag := range elements(document(t, r)) {
			known[tag] = true
		}
	}
	doc := document(t, hostileReport())
	for tag := range elements(doc) {
		assert.True(t, known[tag], "<%s> comes from a text", tag)
	}
	ids := map[string]bool{}
	for n := range doc.Descendants() {
		for _, a := range n.Attr {
			assert.False(t, strings.HasPrefix(a.Key, "on"), a.Key)
			switch a.Key {
			case "href":
				assert.Regexp(t, `^(https://e\.test/%22|#|data:image/svg)`, a.Val)
			case "id":
				assert.False(t, ids[a.Val], "id %s twice", a.Val)
				ids[a.Val] = true
			case "style", "src":
				t.Errorf("attribute %s=%q", a.Key, a.Val)
			}
		}
	}
	text := pageText(doc)
	assert.Contains(t, text, `</style></title><script>alert(1)</script><img src=x onerror=alert(2)>`)
	assert.Contains(t, text, "[U+202E]esrever[U+202C] \u05e9\u05dc\u05d5\u05dd")
	assert.NotContains(t, text, "\x1b")
	assert.NotContains(t, text, "\x00")
}

func elements(doc *html.Node) map[string]bool {
	tags := map[string]bool{}
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode {
			tags[n.Data] = true
		}
	}
	return tags
}

func TestPage_staysSmall(t *testing.T) {
	text := rendered(t, largeReport())
	assert.Less(t, len(text), 2_000_000)
	for _, want := range []string{"settings-of-a-rather-long-name-0999", "more lines are left out here", "900 more warnings", "10 more workloads"} {
		assert.True(t, bytes.Contains(text, []byte(want)), want)
	}
}

func TestPage_leavesOutWhatHasNothing(t *testing.T) {
	ids := func(r *Report) (ids []string) {
		for n := range document(t, r).Descendants() {
			if n.Data == "section" {
				ids = append(ids, n.Attr[0].Val)
			}
		}
		return ids
	}
	assert.Empty(t, ids(&Report{}))
	assert.Equal(t, []string{"serving", "share", "preview", "warnings", "timeline", "checks", "history"}, ids(canaryReport()))
	assert.Equal(t, []string{"serving", "share", "timeline", "diagnosis", "checks", "history"}, ids(failedReport()))
	assert.Equal(t, []string{"serving", "warnings", "changes", "checks", "history"}, ids(planReport()))
	one := Sample{At: began, Ready: []int{1}}
	assert.Empty(t, ids(&Report{Timelines: []Timeline{{Series: []Series{{"v1", false}}, Samples: []Sample{one}}, {}}}))
}

func TestPage_opensShortDiffs(t *testing.T) {
	opened := func(r *Report) (all, open int) {
		for n := range document(t, r).Descendants() {
			if n.Data == "details" {
				all++
				open += len(n.Attr)
			}
		}
		return all, open
	}
	all, open := opened(planReport())
	assert.Equal(t, []int{4, 4}, []int{all, open})
	r := planReport()
	r.Changes[0].Diff = strings.Repeat("+x\n", 100)
	all, open = opened(r)
	assert.Equal(t, []int{4, 0}, []int{all, open})
}

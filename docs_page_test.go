package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"gitlab.com/rollstep/rollstep/step"
)

// page is a page of the documentation.
type page struct {
	path   string // "docs/access.md"
	prose  string // without its blocks and HTML comments
	blocks []block
}

// block is a fenced block of a page.
type block struct {
	language string
	text     string
	comment  string // HTML comment right before it, which readers do not see
}

var fence = regexp.MustCompile("^( *)```(\\w*) *$")

// pages are all pages that users read.
func pages(t *testing.T) []page {
	t.Helper()
	var paths []string
	for _, pattern := range []string{"README.md", "docs/*.md", "examples/*/README.md", "templates/README.md"} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, found, pattern)
		paths = append(paths, found...)
	}
	var list []page
	for _, path := range paths {
		list = append(list, readPage(t, path))
	}
	return list
}

func readPage(t *testing.T, path string) page {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	p := page{path: path}
	indent, open := "", false
	var prose strings.Builder
	for line := range strings.Lines(string(text)) {
		mark := fence.FindStringSubmatch(strings.TrimRight(line, "\n"))
		switch {
		case mark != nil && !open:
			p.blocks = append(p.blocks, block{language: mark[2], comment: commentAtEnd(prose.String())})
			indent, open = mark[1], true
		case mark != nil && mark[1] == indent:
			open = false
			prose.WriteString("```\n") // so that a comment is right before one block only
		case open:
			p.blocks[len(p.blocks)-1].text += strings.TrimPrefix(line, indent)
		default:
			prose.WriteString(line)
		}
	}
	require.False(t, open, "%s: a block is not closed", path)
	p.prose = regexp.MustCompile(`(?s)<!--.*?-->`).ReplaceAllString(prose.String(), "")
	return p
}

// commentAtEnd is the HTML comment that a text ends with.
func commentAtEnd(text string) string {
	text, ends := strings.CutSuffix(strings.TrimSpace(text), "-->")
	if !ends {
		return ""
	}
	return strings.TrimSpace(text[strings.LastIndex(text, "<!--")+len("<!--"):])
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

// Links lead somewhere: to a file of the repository, and to a heading in it.
func TestDocs_linksLeadSomewhere(t *testing.T) {
	for _, p := range pages(t) {
		for _, l := range link.FindAllStringSubmatch(p.prose, -1) {
			if strings.Contains(l[1], "://") {
				continue // other sites: nothing outside is asked in a test
			}
			file, anchor, _ := strings.Cut(l[1], "#")
			target := p.path
			if file != "" {
				target = filepath.Join(filepath.Dir(p.path), file)
			}
			if !assert.FileExists(t, strings.TrimSuffix(target, "/")+suffixOf(target), "%s: link %s", p.path, l[1]) || anchor == "" {
				continue
			}
			assert.Contains(t, anchors(readPage(t, target)), anchor, "%s: link %s", p.path, l[1])
		}
	}
}

// suffixOf lets a link to a directory be one to its README or, in docs, its files.
func suffixOf(path string) string {
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return ""
	}
	for _, name := range []string{"/README.md", "/main.go", "/go.mod"} {
		if _, err := os.Stat(path + name); err == nil {
			return name
		}
	}
	return "/ (a directory without a page)"
}

// anchors are what GitLab makes of headings.
func anchors(p page) []string {
	var list []string
	for _, h := range heading.FindAllStringSubmatch(p.prose, -1) {
		name := strings.ToLower(link.ReplaceAllString(h[1], ""))
		name = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(name, "")
		list = append(list, strings.ReplaceAll(name, " ", "-"))
	}
	return list
}

// Every page of docs is reached from the README.
func TestDocs_areLinkedFromTheReadme(t *testing.T) {
	paths, err := filepath.Glob("docs/*")
	require.NoError(t, err)
	for _, path := range paths {
		assert.True(t, strings.Contains(readme(t), "("+path+")"), "README.md has no link to %s", path)
	}
}

var stageCalled = regexp.MustCompile(`\brollstep +([a-z]+)`)

// YAML can be parsed, and pipelines in it run stages that there are.
func TestDocs_yamlIsValid(t *testing.T) {
	stages := []string{"help", "version"}
	for _, s := range step.Stages {
		stages = append(stages, s.Name)
	}
	seen := 0
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if b.language != "yaml" {
				continue
			}
			var fields map[string]any
			for document := range strings.SplitSeq(b.text, "\n---\n") {
				if !assert.NoError(t, yaml.UnmarshalStrict([]byte(document), &fields), "%s:\n%s", p.path, document) {
					continue
				}
				for _, script := range scripts(fields) {
					for _, call := range stageCalled.FindAllStringSubmatch(script, -1) {
						seen++
						assert.Contains(t, stages, call[1], "%s: %s", p.path, script)
					}
				}
			}
		}
	}
	assert.Positive(t, seen, "no page shows a pipeline")
}

// scripts are the values of script, before_script and after_script of all jobs.
func scripts(pipeline map[string]any) []string {
	var lines []string
	for _, value := range pipeline {
		job, ok := value.(map[string]any)
		if !ok {
			continue
		}
		for _, key := range []string{"before_script", "script", "after_script"} {
			switch script := job[key].(type) {
			case string:
				lines = append(lines, script)
			case []any:
				for _, line := range script {
					if text, ok := line.(string); ok {
						lines = append(lines, text)
					}
				}
			}
		}
	}
	slices.Sort(lines)
	return lines
}

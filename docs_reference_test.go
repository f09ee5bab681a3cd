package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"gitlab.com/rollstep/rollstep/internal/gitlab"
	"gitlab.com/rollstep/rollstep/internal/record"
	"gitlab.com/rollstep/rollstep/step"
)

const referencePage = "docs/reference.md"

// The tables of the reference are what `rollstep help` says. With -update they are
// written anew.
func TestReference_saysWhatTheHelpSays(t *testing.T) {
	text, err := os.ReadFile(referencePage)
	require.NoError(t, err)
	generated := regexp.MustCompile(`(?s)(<!-- generated: (.*?) -->\n).*?(<!-- end -->)`)
	tables := helpTables(t)
	seen := 0
	want := generated.ReplaceAllStringFunc(string(text), func(old string) string {
		parts := generated.FindStringSubmatch(old)
		table, known := tables[parts[2]]
		require.True(t, known, "%s: there is no table %q", referencePage, parts[2])
		seen++
		return parts[1] + table + parts[3]
	})
	require.Equal(t, len(tables), seen, "tables in %s", referencePage)
	if *update {
		require.NoError(t, os.WriteFile(referencePage, []byte(want), 0o644))
		return
	}
	assert.Equal(t, want, string(text), "go test -run TestReference . -update writes the tables")
}

// helpTables are the three lists of the help as tables.
func helpTables(t *testing.T) map[string]string {
	t.Helper()
	var help bytes.Buffer
	require.Equal(t, step.ExitDone, run(t.Context(), []string{"help"}, nil, &help, &help))
	parts := strings.Split(help.String(), "\n\n")
	require.Len(t, parts, 4, "sections of the help")
	return map[string]string{
		"stages": table(t, parts[1], "stage | does", func(name, text string) string {
			return fmt.Sprintf("| `%s` | %s |", name, text)
		}),
		"variables": table(t, parts[2], "variable | meaning | default", func(name, text string) string {
			byDefault := regexp.MustCompile(`^(.*?)(?: \[(.*)\])?$`).FindStringSubmatch(text)
			return fmt.Sprintf("| `%s` | %s | %s |", name, byDefault[1], byDefault[2])
		}),
		"exit codes": table(t, parts[3], "code | meaning", func(name, text string) string {
			return fmt.Sprintf("| %s | %s |", name, text)
		}),
	}
}

var helpLine = regexp.MustCompile(`^  (\S+(?: \S+)*?)\s{2,}(.*)$`)

func table(t *testing.T, section, head string, row func(name, text string) string) string {
	t.Helper()
	lines := []string{"| " + head + " |", "|" + strings.Repeat("---|", strings.Count(head, "|")+1)}
	for _, line := range strings.Split(strings.TrimSpace(section), "\n")[1:] {
		parts := helpLine.FindStringSubmatch(line)
		require.NotNil(t, parts, "line of the help: %q", line)
		lines = append(lines, row(parts[1], parts[2]))
	}
	return strings.Join(lines, "\n") + "\n"
}

// What later jobs inherit: these variables, and no others.
func TestReference_namesTheVariablesForLaterJobs(t *testing.T) {
	section := sectionOf(t, referencePage, "### Variables for later jobs")
	var named []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(ROLLSTEP_\\w+)` \\|").FindAllStringSubmatch(section, -1) {
		named = append(named, row[1])
	}
	assert.Equal(t, gitlab.ReportVariables(), named)
	for _, o := range []gitlab.Outcome{gitlab.Done, gitlab.Nothing, gitlab.Misconfigured, gitlab.Failed, gitlab.Refused, gitlab.Interrupted, gitlab.Unexpected} {
		assert.Contains(t, section, "`"+string(o)+"`")
	}
	for _, phase := range []record.Phase{record.Canary, record.Promoting, record.Promoted, record.RollingBack, record.RolledBack, record.Releasing} {
		assert.Contains(t, section, "`"+strings.ReplaceAll(string(phase), " ", "-")+"`")
	}
}

// sectionOf is the text of a page below a heading, up to the next one.
func sectionOf(t *testing.T, path, head string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), head+"\n")
	require.True(t, found, "%s has no %q", path, head)
	section, _, _ = strings.Cut(section, "\n#")
	return section
}

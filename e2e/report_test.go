package e2e

import (
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/stretchr/testify/require"
)

// reports checks that a job has left the reports that its artifacts name, as
// GitLab reads them.
func (j job) reports() job {
	j.t.Helper()
	checkReports(j.t, filepath.Join(j.dir, "rollstep-report"), j.exit)
	return j
}

func checkReports(t require.TestingT, dir string, exit int) {
	if h, ok := t.(interface{ Helper() }); ok {
		h.Helper()
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.NotEmpty(t, text, name)
		return string(text)
	}
	dotenv := read("rollstep.env")
	require.LessOrEqual(t, len(dotenv), 5<<10, "GitLab takes 5 KB")
	lines := strings.Split(strings.TrimSuffix(dotenv, "\n"), "\n")
	require.LessOrEqual(t, len(lines), 20, "GitLab takes 20 variables")
	for _, line := range lines {
		require.Regexp(t, regexp.MustCompile(`^ROLLSTEP_[A-Z_]+=\S*( \S+)*$`), line)
	}
	require.Regexp(t, `(?m)^ROLLSTEP_OUTCOME=[a-z]+$`, dotenv)

	var junit struct {
		Suites []struct {
			Tests    int        `xml:"tests,attr"`
			Failures int        `xml:"failures,attr"`
			Errors   int        `xml:"errors,attr"`
			Cases    []struct{} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	require.NoError(t, xml.Unmarshal([]byte(read("junit.xml")), &junit))
	require.NotEmpty(t, junit.Suites, "test suites")
	tests, bad := 0, 0
	for _, s := range junit.Suites {
		tests += len(s.Cases)
		bad += s.Failures + s.Errors
	}
	require.Positive(t, tests, "test cases")
	require.Equal(t, exit != 0, bad > 0, "exit code %d, %d failures", exit, bad)

	var annotations map[string][]struct {
		Link struct{ Label, URL string } `json:"external_link"`
	}
	require.NoError(t, json.Unmarshal([]byte(read("annotations.json")), &annotations))
	require.Contains(t, strings.ToLower(read("report.html")), "</html>")
}

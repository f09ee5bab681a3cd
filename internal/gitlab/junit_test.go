package gitlab

import (
	"encoding/xml"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/jstemmer/go-junit-report/v2/junit"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestJUnit(t *testing.T) {
	for _, name := range []string{"canary", "failed", "refused", "misconfigured", "interrupted", "nothing", "empty"} {
		text, err := samples()[name].junit()
		require.NoError(t, err)
		golden(t, name+".junit.xml", text)
	}
}

func parse(t *testing.T, r *Report) (junit.Testsuite, string) {
	t.Helper()
	text, err := r.junit()
	require.NoError(t, err)
	var all junit.Testsuites
	require.NoError(t, xml.Unmarshal(text, &all))
	require.Len(t, all.Suites, 1)
	require.NotEmpty(t, all.Suites[0].Testcases)
	return all.Suites[0], string(text)
}

func TestJUnit_ofForeignText(t *testing.T) {
	for _, r := range []*Report{hostileReport(), largeReport()} {
		suite, text := parse(t, r)
		for _, c := range text {
			require.False(t, unicode.IsControl(c) && c != '\n' && c != '\t', "%q", c)
		}
		names := map[string]bool{}
		for _, c := range suite.Testcases {
			assert.False(t, names[c.Name], "GitLab counts %q once", c.Name)
			names[c.Name] = true
		}
		assert.Less(t, len(text), 5<<20)
	}
	suite, _ := parse(t, hostileReport())
	assert.Contains(t, suite.Testcases[0].Failure.Data, "<script>alert(1)</script>")
	assert.Contains(t, suite.Testcases[0].Failure.Data, "]]>\nsecond line")
}

func TestJUnit_diagnosisGoesToTheCheckOfItsWorkload(t *testing.T) {
	suite, _ := parse(t, &Report{Stage: "canary", Outcome: Failed,
		Checks: []Check{
			{Name: "the canary settles", Failure: "it does not"},
			{Name: "Deployment app-canary is ready", Failure: "no"},
			{Name: "Deployment app is ready", Failure: "neither"},
		},
		Diagnoses: []Diagnosis{{"Deployment app", "app's"}, {"Deployment app-canary", "app-canary's"}, {"Deployment worker", "worker's"}},
	})
	texts := []string{}
	for _, c := range suite.Testcases {
		texts = append(texts, strings.ReplaceAll(c.Failure.Data, "\n", "|"))
	}
	assert.Equal(t, []string{
		"it does not||Deployment worker|worker's",
		"no||Deployment app-canary|app-canary's",
		"neither||Deployment app|app's",
	}, texts)
}

func TestJUnit_stageItselfFailsWhereNoCheckDoes(t *testing.T) {
	for name, c := range map[string]struct {
		outcome Outcome
		checks  []Check
		cases   int
		failed  int
	}{
		"done without checks":       {Done, nil, 1, 0},
		"nothing to do":             {Nothing, nil, 1, 0},
		"done with checks":          {Done, []Check{{Name: "a"}}, 1, 0},
		"refused without checks":    {Refused, nil, 1, 1},
		"interrupted between two":   {Interrupted, []Check{{Name: "a"}, {Name: "b", Skipped: true}}, 3, 1},
		"failed by a check":         {Failed, []Check{{Name: "a", Failure: "x"}}, 1, 1},
		"a check failed that heals": {Done, []Check{{Name: "a", Failure: "x"}}, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			suite, _ := parse(t, &Report{Stage: "canary", Outcome: c.outcome, Verdict: "so it ended", Checks: c.checks,
				Began: began, Ended: began.Add(time.Second)})
			assert.Equal(t, c.cases, suite.Tests)
			assert.Equal(t, c.failed, suite.Failures)
		})
	}
}

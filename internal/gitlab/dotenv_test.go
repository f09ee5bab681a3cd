package gitlab

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDotenv(t *testing.T) {
	for _, name := range []string{"canary", "failed", "status", "empty"} {
		text, err := samples()[name].dotenv()
		require.NoError(t, err)
		golden(t, name+".env", text)
	}
}

// What GitLab's parser takes, and a shell gets from it.
var dotenvLine = regexp.MustCompile("^[A-Z_]+=[!-~]*$")

func checkDotenv(t *testing.T, r *Report) {
	t.Helper()
	text, err := r.dotenv()
	require.NoError(t, err)
	assert.Less(t, len(text), 5*1024)
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	var names []string
	for _, l := range lines {
		assert.Regexp(t, dotenvLine, l)
		name, value, _ := strings.Cut(l, "=")
		names = append(names, name)
		assert.False(t, strings.ContainsAny(value, "\"'`\\$#"), l)
	}
	assert.Equal(t, ReportVariables(), names, "every variable, once")
	assert.LessOrEqual(t, len(names), 20)
}

func TestDotenv_ofForeignText(t *testing.T) {
	checkDotenv(t, hostileReport())
	checkDotenv(t, largeReport())
}

func FuzzDotenv(f *testing.F) {
	f.Add("app:v1", "https://a.test/?q=$HOME#x", 12.5)
	f.Add("a\nB=1", "http://[::1]:80/ö 'x'", -1e300)
	f.Fuzz(func(t *testing.T, text, address string, share float64) {
		checkDotenv(t, &Report{Outcome: Outcome(text), Phase: text, Asked: &share, Achieved: &share, StableImages: []string{text, text + "2"},
			Previews: []Link{{text, address}}, Serving: []Serving{{text, []ImageShare{{text, 1, share}}}}})
	})
}

func TestDotenv_values(t *testing.T) {
	for name, c := range map[string]struct {
		report Report
		want   string
	}{
		"shares are percent, short":     {Report{Asked: new(10.0), Achieved: new(9.0909)}, "ROLLSTEP_WEIGHT_ASKED=10\nROLLSTEP_SHARE_ACHIEVED=9.1\n"},
		"a share of nothing is known":   {Report{Asked: new(0.0)}, "ROLLSTEP_WEIGHT_ASKED=0\nROLLSTEP_SHARE_ACHIEVED=\n"},
		"phases have no spaces":         {Report{Phase: "rolled back"}, "ROLLSTEP_PHASE=rolled-back\n"},
		"images once":                   {Report{StableImages: []string{"a:1", "b@sha256:ab", "a:1"}}, "ROLLSTEP_STABLE_IMAGES=a:1,b@sha256:ab\n"},
		"what is no image is left out":  {Report{CanaryImages: []string{"a:1", "b c", "d,e", "f\ng"}}, "ROLLSTEP_CANARY_IMAGES=a:1\n"},
		"serving":                       {Report{Serving: []Serving{{"x", []ImageShare{{"a:1", 9, 90}, {"a:2", 1, 10}}}, {"n/y", nil}}}, "ROLLSTEP_SERVING=x=a:1=90,x=a:2=10\n"},
		"first address that is one":     {Report{Previews: []Link{{"", "svc.ns"}, {"", "javascript:a"}, {"", "http://a.test"}, {"", "http://b.test"}}}, "ROLLSTEP_PREVIEW_URL=http://a.test\n"},
		"addresses are made safe":       {Report{Previews: []Link{{"", "https://a.test/ö/$X?a='b c'#frag"}}}, "ROLLSTEP_PREVIEW_URL=https://a.test/%C3%B6/%24X?a=%27b%20c%27\n"},
		"an address of no kind is none": {Report{Previews: []Link{{"only a label", ""}}}, "ROLLSTEP_PREVIEW_URL=\n"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := c.report.dotenv()
			require.NoError(t, err)
			assert.Contains(t, string(text), c.want)
		})
	}
}

func TestDotenv_cutsImagesFirst(t *testing.T) {
	r := canaryReport()
	for i := range 200 {
		r.StableImages = append(r.StableImages, fmt.Sprintf("registry.example.com/shop/app-%d:v1", i))
	}
	text, err := r.dotenv()
	require.NoError(t, err)
	assert.Contains(t, string(text), "ROLLSTEP_STABLE_IMAGES=\n", "no part of a list may pass for all of it")
	assert.Contains(t, string(text), "ROLLSTEP_CANARY_IMAGES="+v2+"\n")
	assert.Contains(t, string(text), "ROLLSTEP_SERVING=app="+v1+"=80,")
}

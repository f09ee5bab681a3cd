package gitlab

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files")

// The same calls in every environment: the text must not differ, only its marks.
func TestLog(t *testing.T) {
	for name, l := range map[string]func(w *bytes.Buffer) *Log{
		"ci-colour":       func(w *bytes.Buffer) *Log { return NewLog(w, true, true, clock()) },
		"ci-plain":        func(w *bytes.Buffer) *Log { return NewLog(w, true, false, clock()) },
		"terminal-colour": func(w *bytes.Buffer) *Log { return NewLog(w, false, true, clock()) },
		"terminal-plain":  func(w *bytes.Buffer) *Log { return NewLog(w, false, false, clock()) },
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			aStage(l(&out))
			golden(t, name, out.Bytes())
		})
	}
}

func aStage(l *Log) {
	end := l.Section("preflight", "Preflight", true)
	l.Printf("cluster %s", "production")
	l.Note("first release:\n  everything is applied")
	end()

	endMove := l.Section("move", "Bring the canary to 10 %", false)
	l.Printf("app-canary: 1 of 1 ready\napp: 9 of 9 ready\n")
	endPods := l.Section("pods", "Pods", true)
	l.Table([][]string{
		{"WORKLOAD", "TRACK", "READY", ""},
		{"app", "stable", "9/9"},
		{"app-canary", "canary", "1/1", "größer"},
		{"a b", "two\nlines"},
	})
	endPods()
	l.Warn("the Service %q has session affinity", "app")
	endMove()

	l.Error("Deployment %q: pods \"x\" is forbidden\nnext: ask for the right", "app")
	l.Verdict(false, "canary failed: 10 × v1 serving")
	l.Verdict(true, "canary at 10 %%")
}

func TestLog_writesWholeLinesAtOnce(t *testing.T) {
	var out writes
	aStage(NewLog(&out, true, true, clock()))
	for _, w := range out {
		assert.True(t, strings.HasSuffix(w, "\n"), "%q", w)
	}
	assert.Equal(t, "\x1b[0Ksection_start:1700000000:preflight[collapsed=true]\r\x1b[0K\x1b[1mPreflight\x1b[0m\n", out[0])
}

func TestSection_namesAreValidAndUniqueToGitLab(t *testing.T) {
	l := NewLog(&bytes.Buffer{}, true, false, clock())
	for _, c := range [][2]string{
		{"wait", "wait"},
		{"wait", "wait-2"},
		{"Wait", "Wait-3"}, // GitLab folds case, and . and _ to -
		{"wait_2", "wait_2-2"},
		{"canary 10%", "canary-10"},
		{"ConfigMap/app.v1", "ConfigMap-app.v1"},
		{"größe", "gr-e"},
		{"a\x1b[0K\r\nsection_end", "a-0K-section_end"},
		{"", "section"},
		{"%%", "section-2"},
	} {
		assert.Equal(t, c[1], l.unique(c[0]))
	}
}

func TestSection_endsWhatIsOpenInside(t *testing.T) {
	var out bytes.Buffer
	l := NewLog(&out, true, false, clock())
	outer := l.Section("outer", "Outer", false)
	inner := l.Section("inner", "Inner", false)
	outer()
	outer()
	inner()
	golden(t, "ends-inside", out.Bytes())
}

func TestLog_foreignTextCannotWriteMarks(t *testing.T) {
	for in, want := range map[string]string{
		"\x1b[0Ksection_end:1:move\r\x1b[0Kgone":           "section_end:1:movegone\n",
		"\x1b[31mred\x1b[0m\ttab":                          "red\ttab\n",
		"\x1b]8;;https://x.test\x07link\x1b]8;;\x1b\\ end": "link end\n",
		"dos\r\nlines\r\n":                                 "dos\nlines\n",
		"\u009b31mC1 \x00NUL \xff":                         "31mC1 NUL \ufffd\n",
		"half a sequence \x1b[":                            "half a sequence [\n",
		"":                                                 "\n",
	} {
		var out bytes.Buffer
		NewLog(&out, true, false, clock()).Printf("%s", in)
		assert.Equal(t, want, out.String())

		out.Reset()
		NewLog(&out, true, false, clock()).Table([][]string{{"H"}, {in}})
		assert.NotContains(t, out.String(), "\x1b")
		assert.Equal(t, 2, strings.Count(out.String(), "\n"))
	}
}

func TestLog_concurrentCallsDoNotMix(t *testing.T) {
	var out bytes.Buffer
	l := NewLog(&out, true, true, clock())
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			defer l.Section("same", "Header", false)()
			l.Printf("line %d", i)
			l.Table([][]string{{"A", "B"}, {"1", "2"}})
		})
	}
	wg.Wait()
	assert.Equal(t, 20, strings.Count(out.String(), "section_start:"))
	assert.Equal(t, 20, strings.Count(out.String(), "section_end:"))
	for i := range 20 {
		assert.Contains(t, out.String(), fmt.Sprintf("\nline %d\n", i))
	}
}

func TestTable_withoutRowsWritesNothing(t *testing.T) {
	var out bytes.Buffer
	NewLog(&out, true, true, clock()).Table(nil)
	assert.Empty(t, out.String())
}

type writes []string

func (w *writes) Write(p []byte) (int, error) {
	*w = append(*w, string(p))
	return len(p), nil
}

// clock starts at a round time and gains a second with every look.
func clock() func() time.Time {
	next := int64(1700000000)
	return func() time.Time {
		defer func() { next++ }()
		return time.Unix(next, 0)
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.WriteFile(file, got, 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got))
}

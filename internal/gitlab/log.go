// Package gitlab writes what a GitLab job shows to people. It knows no
// Kubernetes.
package gitlab

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
)

// SGR codes; GitLab's log viewer shows these and drops all other sequences.
const (
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

// Log writes a stage's text for people: in GitLab collapsible sections,
// elsewhere the same text without their marks. Every call is one Write of whole
// lines, so calls from several goroutines never mix inside a line; an error of
// the writer is ignored, as nobody is left to read about it.
//
// Text may come from anywhere, a container's log for instance: escape sequences
// and control characters in it are removed, so that it can neither colour the
// log nor open a section. GitLab shows no blank lines, so none should matter.
type Log struct {
	sections, colour bool
	now              func() time.Time

	mu   sync.Mutex
	w    io.Writer
	used map[string]bool // section names so far, as GitLab compares them
	open []string        // sections, the innermost last
}

// NewLog returns a Log on w. With sections it writes GitLab's section marks,
// stamped with now; with colour it writes SGR codes.
func NewLog(w io.Writer, sections, colour bool, now func() time.Time) *Log {
	return &Log{w: w, sections: sections, colour: colour, now: now, used: map[string]bool{}}
}

// Section opens a section and returns what ends it. It lies inside the one that
// is open, and ends with that one at the latest; to end it again does nothing.
// The name only has to be telling: Section makes it valid, and unique in the log.
func (l *Log) Section(name, header string, collapsed bool) (end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	header = l.paint(lines(header), bold)
	if !l.sections {
		l.write(header)
		return func() {}
	}
	name = l.unique(name)
	l.open = append(l.open, name)
	option := ""
	if collapsed {
		option = "[collapsed=true]"
	}
	l.write(l.mark("section_start", name, option) + header)
	return func() { l.end(name) }
}

func (l *Log) end(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.open, name)
	if i < 0 {
		return
	}
	var marks strings.Builder
	for _, inner := range slices.Backward(l.open[i:]) {
		marks.WriteString(l.mark("section_end", inner, "") + "\n")
	}
	l.open = l.open[:i]
	l.write(marks.String())
}

// mark is specified in https://docs.gitlab.com/ci/jobs/job_logs/#custom-collapsible-sections.
func (l *Log) mark(what, name, option string) string {
	return fmt.Sprintf("\x1b[0K%s:%d:%s%s\r\x1b[0K", what, l.now().Unix(), name, option)
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)

// unique makes name valid, and tells it from earlier ones as GitLab will: in
// lower case and with everything but letters and digits a dash (its
// lib/gitlab/ci/ansi2json/converter.rb, sanitize_section_name).
func (l *Log) unique(name string) string {
	base := strings.Trim(notInName.ReplaceAllString(name, "-"), "-")
	if base == "" {
		base = "section"
	}
	folded := strings.NewReplacer("_", "-", ".", "-")
	name = base
	for n := 2; l.used[folded.Replace(strings.ToLower(name))]; n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	l.used[folded.Replace(strings.ToLower(name))] = true
	return name
}

// Printf writes one or more whole lines; the last newline may be left out.
func (l *Log) Printf(format string, args ...any) { l.say("", "", format, args) }

// Note writes what is good to know: "note: …".
func (l *Log) Note(format string, args ...any) { l.say(cyan, "note: ", format, args) }

// Warn writes what may go wrong: "warning: …".
func (l *Log) Warn(format string, args ...any) { l.say(yellow, "warning: ", format, args) }

// Error writes what went wrong: "error: …".
func (l *Log) Error(format string, args ...any) { l.say(red, "error: ", format, args) }

// Verdict writes how the stage ended, meant to be the log's last line.
func (l *Log) Verdict(ok bool, format string, args ...any) {
	sgr := bold + ";" + red
	if ok {
		sgr = bold + ";" + green
	}
	l.say(sgr, "", format, args)
}

func (l *Log) say(sgr, prefix, format string, args []any) {
	text := l.paint(lines(prefix+fmt.Sprintf(format, args...)), sgr)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.write(text)
}

func (l *Log) write(text string) { _, _ = io.WriteString(l.w, text) }

// paint colours whole lines one by one: the runner may stamp each.
func (l *Log) paint(text, sgr string) string {
	if !l.colour || sgr == "" {
		return text
	}
	start, reset := "\x1b["+sgr+"m", "\x1b[0m"
	text = strings.TrimSuffix(text, "\n")
	return start + strings.ReplaceAll(text, "\n", reset+"\n"+start) + reset + "\n"
}

// lines returns s clean and with one newline at its end.
func lines(s string) string { return strings.TrimRight(clean(s), "\n") + "\n" }

// Control sequences (CSI), then operating system commands such as links (OSC).
var escape = regexp.MustCompile(`\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)`)

func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, escape.ReplaceAllString(s, ""))
}

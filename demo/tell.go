package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
)

// SGR codes.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

// teller prints the demonstration.
type teller struct {
	w      io.Writer
	colour bool
}

// newTeller colours only what a person sees in a terminal.
func newTeller(f *os.File, getenv func(string) string) *teller {
	info, err := f.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return &teller{w: f, colour: terminal && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"}
}

func (t *teller) paint(sgr, text string) string {
	if !t.colour {
		return text
	}
	return "\x1b[" + sgr + "m" + text + "\x1b[0m"
}

func (t *teller) printf(format string, args ...any) { fmt.Fprintf(t.w, format+"\n", args...) }

func (t *teller) title(n int, text string) {
	t.printf("\n%s", t.paint(bold, fmt.Sprintf("═══ %d. %s ═══", n, text)))
}

func (t *teller) heading(text string) {
	t.printf("\n%s", t.paint(bold, "─── "+text))
}

func (t *teller) good(format string, args ...any) {
	t.printf("%s", t.paint(green, "✓ "+fmt.Sprintf(format, args...)))
}

// gate says that a person acts.
func (t *teller) gate(does, job string) {
	t.printf("\n%s", t.paint(yellow, fmt.Sprintf("▶ gate: in GitLab, somebody %s and runs the job %q", does, job)))
}

// command says what runs.
func (t *teller) command(text string) { t.printf("\n%s", t.paint(bold+";"+cyan, "$ "+text)) }

// change prints a commit.
func (t *teller) change(text string) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "+"):
			line = t.paint(green, line)
		case strings.HasPrefix(line, "-"):
			line = t.paint(red, line)
		}
		t.printf("  %s", line)
	}
}

// requests prints what requests came to.
func (t *teller) requests(when string, r result, wrong string) {
	line := fmt.Sprintf("%-9s  %s", when, r.line)
	if wrong != "" {
		t.printf("%s", t.paint(red, "✗ "+line+"  ← "+wrong))
		return
	}
	t.good("%s", line)
}

// output returns a writer that sets a program's output apart.
func (t *teller) output() *setApart { return &setApart{tell: t} }

type setApart struct {
	tell *teller
	line []byte
}

func (s *setApart) Write(text []byte) (int, error) {
	s.line = append(s.line, text...)
	for {
		line, rest, whole := bytes.Cut(s.line, []byte("\n"))
		if !whole {
			return len(text), nil
		}
		s.tell.printf("%s %s", s.tell.paint(dim, "│"), line)
		s.line = rest
	}
}

// end prints a last line that has no end.
func (s *setApart) end() {
	if len(s.line) > 0 {
		_, _ = s.Write([]byte("\n"))
	}
}

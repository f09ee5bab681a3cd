package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// table is what one section measured.
type table struct {
	title, about string
	head         []string
	rows         [][]string
}

// bar is one of the numbers to hold.
type bar struct {
	what, limit, got string
	met              bool
}

type report struct {
	environment []string
	tables      []table
	bars        []bar
}

func (r *report) add(t table) { r.tables = append(r.tables, t) }

func (r *report) hold(what, limit, got string, met bool) {
	r.bars = append(r.bars, bar{what, limit, got, met})
}

// barTable is the table of the bars.
func (r *report) barTable() table {
	t := table{title: "The numbers to hold", head: []string{"what", "bar", "measured", ""}}
	for _, b := range r.bars {
		verdict := "met"
		if !b.met {
			verdict = "MISSED"
		}
		t.rows = append(t.rows, []string{b.what, b.limit, b.got, verdict})
	}
	return t
}

func (r *report) all() []table { return append(slices.Clone(r.tables), r.barTable()) }

// text is the report for a terminal.
func (r *report) text() string {
	var out bytes.Buffer
	for _, t := range r.all() {
		fmt.Fprintf(&out, "\n%s\n", strings.ToUpper(t.title))
		w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
		for _, row := range append([][]string{t.head}, t.rows...) {
			fmt.Fprintln(w, strings.Join(row, "\t"))
		}
		_ = w.Flush() // into a buffer
	}
	fmt.Fprintf(&out, "\n%s\n", strings.Join(r.environment, "\n"))
	return out.String()
}

// markdown is the report for docs/performance.md, the bars first.
func (r *report) markdown() string {
	var out strings.Builder
	for _, line := range r.environment {
		fmt.Fprintf(&out, "- %s\n", line)
	}
	for _, t := range append([]table{r.barTable()}, r.tables...) {
		fmt.Fprintf(&out, "\n### %s\n\n", t.title)
		if t.about != "" {
			fmt.Fprintf(&out, "%s\n\n", t.about)
		}
		fmt.Fprintf(&out, "| %s |\n|%s\n", strings.Join(t.head, " | "), strings.Repeat("---|", len(t.head)))
		for _, row := range t.rows {
			fmt.Fprintf(&out, "| %s |\n", strings.Join(row, " | "))
		}
	}
	return out.String()
}

const (
	beginMark = "<!-- measured: make bench writes from here -->\n"
	endMark   = "<!-- measured: to here -->\n"
)

// writeInto replaces what is between the markers of a Markdown file.
func (r *report) writeInto(path string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, has := strings.Cut(string(old), beginMark)
	_, after, ends := strings.Cut(rest, endMark)
	if !has || !ends {
		return fmt.Errorf("%s has no lines %q and %q to write between", path, strings.TrimSpace(beginMark), strings.TrimSpace(endMark))
	}
	return os.WriteFile(path, []byte(before+beginMark+"\n"+r.markdown()+"\n"+endMark+after), 0o644)
}

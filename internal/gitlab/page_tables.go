package gitlab

import (
	"strings"

	g "maragu.dev/gomponents"
)

func (p *page) diagnoses() g.Node {
	if len(p.Diagnoses) == 0 {
		return nil
	}
	var items []g.Node
	for _, d := range p.Diagnoses[:min(len(p.Diagnoses), maxLinks)] {
		text, left := p.logs.text(strings.Trim(d.Text, "\n"), maxLog)
		items = append(items, el("div", classed("diagnosis"), el("h3", el("b", escaped(p.word(d.Workload)))),
			el("pre", attr("tabindex", "0"), g.Group(emphasised(dedent(text)))),
			g.If(left > 0, note(leftOut(left)))))
	}
	return section("diagnosis", "Diagnosis", items...)
}

// emphasised has the lines that say what to do stand out.
func emphasised(text string) []g.Node {
	var nodes []g.Node
	for l := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(l), "→") {
			nodes = append(nodes, el("strong", escaped(l)))
		} else {
			nodes = append(nodes, escaped(l))
		}
	}
	return nodes
}

// dedent removes the spaces that all lines begin with.
func dedent(text string) string {
	common := -1
	for l := range strings.Lines(text) {
		if n := len(l) - len(strings.TrimLeft(l, " ")); strings.TrimSpace(l) != "" && (common < 0 || n < common) {
			common = n
		}
	}
	if common <= 0 {
		return text
	}
	var b strings.Builder
	for l := range strings.Lines(text) {
		if len(l) > common {
			b.WriteString(l[common:])
		} else {
			b.WriteString(strings.TrimLeft(l, " "))
		}
	}
	return b.String()
}

func (p *page) checks() g.Node {
	if len(p.Checks) == 0 {
		return nil
	}
	var rows []g.Node
	for _, c := range p.Checks[:min(len(p.Checks), maxRows)] {
		rows = append(rows, p.check(c))
	}
	return section("checks", "Checks",
		el("table", classed("checks"), el("thead", el("tr", heading("hidden", "Result"), heading("", "Check"), heading("number", "Took"))), el("tbody", rows...)),
		g.If(len(p.Checks) > maxRows, note(count(len(p.Checks)-maxRows, "more check"))))
}

func (p *page) check(c Check) g.Node {
	result, mark := "passed", toneGood
	switch {
	case c.Failure != "":
		result, mark = "failed", toneBroke
	case c.Skipped:
		result, mark = "skipped", toneCalm
	}
	failure, left := p.logs.text(c.Failure, maxDiff)
	duration := ""
	if !c.Skipped && c.Took > 0 {
		duration = took(c.Took)
	}
	return el("tr", classed(string(mark)),
		el("td", classed("mark"), icon(mark), el("span", classed("hidden"), escaped(result))),
		el("td", escaped(p.word(c.Name)),
			g.If(c.Skipped && c.Failure == "", el("span", classed("muted"), escaped(" not looked at"))),
			g.If(failure != "", el("p", classed("why"), escaped(failure))),
			g.If(left > 0, note(leftOut(left)))),
		el("td", classed("number"), escaped(duration)))
}

func (p *page) history() g.Node {
	if len(p.History) == 0 {
		return nil
	}
	var rows []g.Node
	for _, e := range p.History[:min(len(p.History), maxEvents)] {
		at := e.At.UTC()
		rows = append(rows, el("tr",
			el("td", classed("time"), el("time", attr("datetime", at.Format("2006-01-02T15:04:05Z")), escaped(at.Format("2 Jan 2006, 15:04")))),
			el("td", p.link(e.What, e.URL)),
			el("td", el("code", escaped(p.word(e.Release)))),
			el("td", escaped(p.word(e.By)))))
	}
	return section("history", "History",
		el("table", classed("history"), el("thead", el("tr", heading("", "When (UTC)"), heading("", "What"), heading("", "Release"), heading("", "By"))), el("tbody", rows...)),
		g.If(len(p.History) > maxEvents, note(count(len(p.History)-maxEvents, "older event"))))
}

func heading(kind, name string) g.Node {
	return el("th", attr("scope", "col"), g.If(kind != "", classed(kind)), el("span", escaped(name)))
}

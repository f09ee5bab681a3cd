package gitlab

import (
	"strings"

	g "maragu.dev/gomponents"
)

// Diffs of no more lines together are open from the start.
const openLines = 80

func (p *page) changes() g.Node {
	if len(p.Changes) == 0 {
		return g.If(p.Unchanged > 0, section("changes", "Objects",
			el("p", classed("lead"), escaped(count(p.Unchanged, "object")+verb(p.Unchanged, " stays", " stay")+" as "+verb(p.Unchanged, "it is", "they are")+"."))))
	}
	lines := 0
	for _, c := range p.Changes {
		lines += strings.Count(c.Diff, "\n")
	}
	var rows []g.Node
	for _, c := range p.Changes[:min(len(p.Changes), maxRows)] {
		rows = append(rows, p.change(c, lines <= openLines))
	}
	return section("changes", "Objects",
		el("p", classed("lead"), escaped(summary(p.Changes, p.Unchanged))),
		el("table", classed("changes"), el("thead", el("tr", heading("", "What"), heading("", "Object"))), el("tbody", rows...)),
		g.If(len(p.Changes) > maxRows, note(count(len(p.Changes)-maxRows, "more object"))))
}

// summary counts: "1 created, 2 changed, 12 stay as they are."
func summary(changes []Change, unchanged int) string {
	var order []string
	counts := map[string]int{}
	for _, c := range changes {
		what := cutTo(line(c.What), 40)
		if counts[what]++; counts[what] == 1 && len(order) < 10 {
			order = append(order, what)
		}
	}
	var parts []string
	for _, what := range order {
		parts = append(parts, thousands(counts[what])+" "+what)
	}
	if unchanged > 0 {
		parts = append(parts, thousands(unchanged)+verb(unchanged, " stays as it is", " stay as they are"))
	}
	return strings.Join(parts, ", ") + "."
}

func verb(n int, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}

func (p *page) change(c Change, open bool) g.Node {
	name := []g.Node{el("span", classed("object"), escaped(p.word(c.Object)))}
	if c.Namespace != "" && c.Namespace != p.Namespace {
		name = append(name, el("span", classed("muted"), escaped(" in "+p.word(c.Namespace))))
	}
	what := el("td", classed("what "+kindOf(c.What)), escaped(p.word(c.What)))
	if strings.TrimSpace(c.Diff) == "" {
		return el("tr", what, el("td", name...))
	}
	shown, left := p.diffs.text(c.Diff, maxDiff)
	added, removed := changedLines(c.Diff)
	return el("tr", what, el("td", el("details", g.If(open, attr("open", "")),
		el("summary", g.Group(name), el("span", classed("lines"),
			g.If(added > 0, el("span", classed("added"), escaped("+"+thousands(added)+" "))),
			g.If(removed > 0, el("span", classed("removed"), escaped("−"+thousands(removed)))))),
		g.If(shown != "", el("pre", classed("diff"), attr("tabindex", "0"), g.Group(diffLines(shown)))),
		g.If(left > 0, note(leftOut(left))))))
}

func kindOf(what string) string {
	switch what = strings.ToLower(what); {
	case strings.Contains(what, "creat"):
		return "created"
	case strings.Contains(what, "remov"), strings.Contains(what, "delet"):
		return "removed"
	default:
		return "changed"
	}
}

func changedLines(diff string) (added, removed int) {
	for l := range strings.Lines(diff) {
		switch l[0] {
		case '+':
			added++
		case '-':
			removed++
		}
	}
	return added, removed
}

// diffLines makes one element of lines of the same kind that follow each other.
// They are blocks in page.css, so the line break at their end is left out.
func diffLines(diff string) []g.Node {
	var nodes []g.Node
	var run strings.Builder
	kind := ""
	end := func() {
		if run.Len() > 0 {
			nodes = append(nodes, el(kind, escaped(strings.TrimSuffix(run.String(), "\n"))))
			run.Reset()
		}
	}
	for l := range strings.Lines(diff) {
		if k := diffElement(l); k != kind {
			end()
			kind = k
		}
		run.WriteString(l)
	}
	end()
	return nodes
}

func diffElement(line string) string {
	switch {
	case strings.HasPrefix(line, "@@"):
		return "b"
	case line[0] == '+':
		return "ins"
	case line[0] == '-':
		return "del"
	default:
		return "span"
	}
}

package gitlab

import (
	"bytes"
	_ "embed"
	"time"

	g "maragu.dev/gomponents"
)

//go:embed page.css
var pageCSS string

// What the parts of a page may take of it, in bytes of HTML: with the markup
// around them it stays below 2 MB, which a browser opens in a second or two.
const (
	wordsBudget budget = 300_000
	diffsBudget budget = 500_000
	logsBudget  budget = 250_000

	maxDiff   = 100_000 // of one object
	maxLog    = 60_000  // of one workload
	maxWord   = 600     // a name, an image, a verdict
	maxRows   = 2_000
	maxEvents = 200
)

// page renders a Report for people, as one HTML file that needs no other.
type page struct {
	*Report
	colours palette

	words, diffs, logs budget
}

func (r *Report) page() ([]byte, error) {
	p := &page{Report: r, colours: newPalette(r.Timelines, r.StableImages, r.CanaryImages),
		words: wordsBudget, diffs: diffsBudget, logs: logsBudget}
	var out bytes.Buffer
	err := p.document().Render(&out)
	out.WriteByte('\n')
	return out.Bytes(), err
}

func (p *page) document() g.Node {
	return g.Group{g.Raw("<!doctype html>\n"), el("html", attr("lang", "en"),
		p.head(),
		el("body", classed(string(toneOf(p.Outcome))),
			definitions(),
			p.masthead(),
			el("main", p.sections()...),
			p.footer()))}
}

func (p *page) head() g.Node {
	return el("head",
		el("meta", attr("charset", "utf-8")),
		// Whatever a text may hold, nothing is run and nothing is fetched.
		el("meta", attr("http-equiv", "Content-Security-Policy"),
			attr("content", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'")),
		el("meta", attr("name", "viewport"), attr("content", "width=device-width, initial-scale=1")),
		el("meta", attr("name", "color-scheme"), attr("content", "light dark")),
		el("meta", attr("name", "referrer"), attr("content", "no-referrer")),
		el("title", escaped(p.title())),
		el("link", attr("rel", "icon"), attr("href", favicon(p.Outcome))),
		el("style", g.Raw(pageCSS)))
}

func (p *page) sections() []g.Node {
	return []g.Node{
		p.verdict(),
		p.facts(),
		p.serving(),
		p.shares(),
		p.previews(),
		p.warnings(),
		p.timelines(),
		p.evidence(),
		p.changes(),
		p.diagnoses(),
		p.checks(),
		p.history(),
	}
}

// section has its heading beside it where there is room.
func section(id, heading string, content ...g.Node) g.Node {
	return el("section", attr("id", id), attr("aria-labelledby", id+"-heading"),
		el("h2", attr("id", id+"-heading"), escaped(heading)),
		el("div", classed("content"), g.Group(content)))
}

func (p *page) title() string {
	s := p.Stage + ": " + outcomeText(p.Outcome)
	if p.Release != "" {
		s += " · " + p.Release
	}
	return p.word(s)
}

func (p *page) masthead() g.Node {
	return el("header", classed("masthead"),
		el("span", classed("name"), escaped("rollstep")),
		el("span", classed("stage"), escaped(p.word(p.Stage))),
		g.If(p.Release != "", el("span", classed("release"), escaped(p.word(p.Release)))),
	)
}

func (p *page) footer() g.Node {
	version := "rollstep"
	if p.Version != "" {
		version += " " + p.Version
	}
	return el("footer",
		el("span", escaped(p.word(version))),
		g.If(!p.Ended.IsZero(), el("span", escaped("written "), moment(p.Ended))),
	)
}

// word is s on one line, of a bounded length.
func (p *page) word(s string) string {
	kept, left := p.words.text(cutTo(line(s), maxWord), maxWord*6)
	if left > 0 {
		return "…"
	}
	return kept
}

// link is a link if a browser may open it, else the text alone.
func (p *page) link(label, address string) g.Node {
	if label == "" {
		label = address
	}
	shown := escaped(p.word(label))
	if to, ok := webAddress(address); ok && len(to) <= 2*maxWord {
		return el("a", attr("href", to), attr("rel", "noreferrer"), shown)
	}
	return shown
}

func moment(t time.Time) g.Node {
	t = t.UTC()
	return el("time", attr("datetime", t.Format(time.RFC3339)), escaped(t.Format("2 January 2006, 15:04:05 UTC")))
}

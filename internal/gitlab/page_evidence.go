package gitlab

import (
	"fmt"
	"strings"

	g "maragu.dev/gomponents"
)

// Track is the track's name.
func (e Evidence) Track() string {
	if e.Canary {
		return "canary"
	}
	return "stable"
}

// Events says which warnings there were.
func (e Evidence) Events() string {
	if len(e.Warnings) == 0 {
		return "none"
	}
	return strings.Join(e.Warnings, ", ")
}

// Logs says how many lines look like errors, in how many pods.
func (e Evidence) Logs() string {
	if e.Sampled == 0 {
		return "no log read"
	}
	return fmt.Sprintf("%d in %s", e.Errors, count(e.Sampled, "pod"))
}

const (
	maxTracks = 40
	maxSample = 2_000 // bytes of one track's log lines
)

func (p *page) evidence() g.Node {
	if len(p.Evidence) == 0 {
		return nil
	}
	columns := []string{"Deployment", "Track", "Pods", "Restarts", "Warning events", "Error-looking log lines"}
	var headings, rows, logs []g.Node
	for _, c := range columns {
		headings = append(headings, heading("", c))
	}
	for _, e := range p.Evidence[:min(len(p.Evidence), maxTracks)] {
		var cells []g.Node
		for i, text := range []string{e.Deployment, e.Track(), fmt.Sprint(e.Pods), fmt.Sprint(e.Restarts), e.Events(), e.Logs()} {
			cells = append(cells, el("td", attr("data-label", columns[i]), escaped(p.word(text))))
		}
		rows = append(rows, el("tr", cells...))
		if len(e.Lines) > 0 {
			text, _ := p.logs.text(strings.Join(e.Lines, "\n"), maxSample)
			logs = append(logs, el("div", classed("sample"), el("h3", escaped("Log lines of "), el("b", escaped(p.word(e.Deployment)))),
				el("pre", attr("tabindex", "0"), escaped(text))))
		}
	}
	return section("evidence", "Since the canary began",
		el("table", classed("evidence"), el("thead", el("tr", headings...)), el("tbody", rows...)),
		g.If(len(p.Evidence) > maxTracks, note(count(len(p.Evidence)-maxTracks, "more track"))),
		g.Group(logs))
}

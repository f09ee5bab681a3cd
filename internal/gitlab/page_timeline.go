package gitlab

import (
	"fmt"
	"slices"
	"strings"

	g "maragu.dev/gomponents"
)

const (
	maxTimelines = 30
	maxSeries    = 12
	maxShapes    = 3_000 // of all charts together
)

func (p *page) timelines() g.Node {
	shown := p.Timelines[:min(len(p.Timelines), maxTimelines)]
	var figures []g.Node
	for i, t := range shown {
		t.Series = t.Series[:min(len(t.Series), maxSeries)]
		// Each step has a shape for each series, and two for the share.
		t.Samples = thin(t.Samples, min(400, maxShapes/len(shown)/(len(t.Series)+2)))
		if n := len(t.Samples); n < 2 || len(t.Series) == 0 || !t.Samples[n-1].At.After(t.Samples[0].At) {
			continue
		}
		figures = append(figures, p.timeline(fmt.Sprintf("timeline%d", i), t))
	}
	if len(figures) == 0 {
		return nil
	}
	if left := len(p.Timelines) - len(shown); left > 0 {
		figures = append(figures, note(count(left, "more workload")))
	}
	return section("timeline", "Timeline", figures...)
}

func (p *page) timeline(id string, t Timeline) g.Node {
	c := newPlot(id, t, p.seriesColours(t))
	wanted := ""
	if t.Wanted > 0 {
		wanted = ", " + count(t.Wanted, "pod") + " wanted"
	}
	return el("figure", classed("timeline"),
		el("figcaption", el("b", escaped(p.word(t.Workload))), el("span", classed("muted"), escaped(wanted))),
		p.legend(c),
		el("div", classed("plot"), c.svg(p.word(t.Workload), p.word(c.describe()))))
}

// seriesColours are those that the same versions have elsewhere on the page.
func (p *page) seriesColours(t Timeline) []int {
	var versions []string
	for _, s := range t.Series {
		if !slices.Contains(versions, s.Version) {
			versions = append(versions, s.Version)
		}
	}
	colours := p.colours.of(versions)
	all := make([]int, len(t.Series))
	for i, s := range t.Series {
		for j, v := range versions {
			if v == s.Version {
				all[i] = colours[j]
			}
		}
	}
	return all
}

func (p *page) legend(c *plot) g.Node {
	var items []g.Node
	item := func(mark g.Node, text string) { items = append(items, el("li", mark, el("span", escaped(text)))) }
	for i, s := range c.Series {
		item(swatch(c.fill(i)), p.word(seriesName(s)))
	}
	if c.Wanted > 0 {
		item(stroke("wanted"), "wanted")
	}
	if c.hasShare() {
		item(stroke("share"), "canary's share")
	}
	if c.Asked != nil {
		item(stroke("asked"), "asked: "+share(*c.Asked))
	}
	return el("ul", classed("legend"), g.Group(items))
}

func stroke(class string) g.Node {
	return el("svg", classed("swatch"), attr("width", "22"), attr("height", "14"), attr("aria-hidden", "true"),
		el("line", classed(class), attr("x1", "0"), attr("x2", "22"), attr("y1", "7"), attr("y2", "7")))
}

func seriesName(s Series) string {
	if s.Canary {
		return s.Version + " canary"
	}
	return s.Version + " stable"
}

// describe says what the drawing shows to those who do not see it.
func (c *plot) describe() string {
	first, last := c.Samples[0], c.Samples[len(c.Samples)-1]
	var parts []string
	for i, s := range c.Series {
		parts = append(parts, fmt.Sprintf("%s from %d to %d", seriesName(s), ready(first, i), ready(last, i)))
	}
	text := fmt.Sprintf("Ready pods from %s to %s UTC: %s.", first.At.UTC().Format("15:04:05"),
		last.At.UTC().Format("15:04:05"), strings.Join(parts, ", "))
	if n := len(c.spans); n > 0 {
		text += fmt.Sprintf(" The canary's share ends at %s.", percent(c.spans[n-1].share))
	}
	return text
}

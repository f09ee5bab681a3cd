package gitlab

import (
	"fmt"
	"math"
	"strings"

	g "maragu.dev/gomponents"
)

const (
	maxServices = 100
	maxImages   = 20 // of one Service
	maxLinks    = 100
)

func (p *page) serving() g.Node {
	if len(p.Serving) == 0 {
		return nil
	}
	var services []g.Node
	for i, s := range p.Serving {
		if i == maxServices {
			services = append(services, note(count(len(p.Serving)-i, "more Service")))
			break
		}
		services = append(services, p.service(s))
	}
	return section("serving", "Serving now", services...)
}

func (p *page) service(s Serving) g.Node {
	name := el("h3", escaped("Service "), el("b", escaped(p.word(s.Service))))
	shares := s.Shares[:min(len(s.Shares), maxImages)]
	if len(shares) == 0 {
		return el("div", classed("service"), name, note("no pod behind it is ready"))
	}
	images := make([]string, len(shares))
	for i, share := range shares {
		images[i] = share.Image
	}
	colours := p.colours.of(images)
	var rows []g.Node
	for i, share := range shares {
		rows = append(rows, el("tr",
			el("td", classed("image"), el("div", swatch(fill(colours[i], false)), p.image(share.Image))),
			el("td", classed("number"), escaped(count(share.Pods, "pod"))),
			el("td", classed("number strong"), escaped(percent(share.Percent)))))
	}
	return el("div", classed("service"), name, shareBar(shares, colours),
		el("table", classed("images"), el("tbody", rows...)),
		g.If(len(s.Shares) > len(shares), note(count(len(s.Shares)-len(shares), "more image"))))
}

// shareBar is for the eye; the table below it says the same.
func shareBar(shares []ImageShare, colours []int) g.Node {
	var parts []g.Node
	at := 0.0
	for i, s := range shares {
		width := bounded(s.Percent)
		parts = append(parts, el("rect", classed(fill(colours[i], false)),
			attr("x", coordinate(at)+"%"), attr("width", coordinate(width)+"%"), attr("height", "100%")))
		at += width
	}
	return el("svg", classed("bar"), attr("aria-hidden", "true"), g.Group(parts))
}

// image shows what differs between images of one name: the tag, or the digest.
func (p *page) image(image string) g.Node {
	full := p.word(image)
	repository, version := full, ""
	if i := strings.IndexByte(full, '@'); i > 0 {
		repository, version = full[:i], full[i:]
		if len(version) > 20 {
			version = version[:20] + "…"
		}
	} else if i := strings.LastIndexByte(full, ':'); i > strings.LastIndexByte(full, '/') {
		repository, version = full[:i], full[i:]
	}
	return el("code", attr("title", full), escaped(repository), el("b", escaped(version)))
}

// shares are the share of the canary that was asked for and the one it has.
func (p *page) shares() g.Node {
	if p.Achieved == nil && p.Asked == nil {
		return nil
	}
	figure := func(label, value string) g.Node {
		return el("div", el("dt", escaped(label)), el("dd", g.If(strings.IndexByte(value, '%') < 0, classed("none")), escaped(value)))
	}
	asked, achieved := "nothing", "not measured"
	var marks []g.Node
	if p.Achieved != nil {
		achieved = percent(*p.Achieved)
		marks = append(marks, el("rect", classed("has"), attr("width", coordinate(bounded(*p.Achieved))+"%"), attr("height", "10"), attr("y", "6")))
	}
	if p.Asked != nil {
		asked = share(*p.Asked)
		x := coordinate(bounded(*p.Asked)) + "%"
		marks = append(marks, el("line", classed("asked"), attr("x1", x), attr("x2", x), attr("y1", "0"), attr("y2", "22")))
	}
	return section("share", "Canary's share",
		el("dl", classed("figures"), figure("Asked for", asked), figure("Achieved", achieved)),
		el("svg", classed("scale"), attr("aria-hidden", "true"),
			el("rect", classed("all"), attr("width", "100%"), attr("height", "10"), attr("y", "6")), g.Group(marks)),
		el("p", classed("scale-ends"), attr("aria-hidden", "true"), el("span", escaped("0")), el("span", escaped("of the ready endpoints")), el("span", escaped("100 %"))))
}

func (p *page) previews() g.Node {
	if len(p.Previews) == 0 {
		return nil
	}
	var items []g.Node
	for _, l := range p.Previews[:min(len(p.Previews), maxLinks)] {
		_, opens := webAddress(l.URL)
		items = append(items, el("li", p.link(l.Label, l.URL),
			g.If(l.Label != "" && l.URL != "" && l.Label != l.URL, el("code", classed("muted"), escaped(p.word(l.URL)))),
			g.If(!opens && l.URL == "", el("span", classed("muted"), escaped("inside the cluster")))))
	}
	return section("preview", "Preview",
		el("p", classed("lead"), escaped("Reaches only the canary, for a look before anybody else is sent there.")),
		el("ul", classed("links"), g.Group(items)))
}

func (p *page) warnings() g.Node {
	if len(p.Warnings) == 0 {
		return nil
	}
	var items []g.Node
	for _, w := range p.Warnings[:min(len(p.Warnings), maxLinks)] {
		items = append(items, el("li", escaped(p.word(w))))
	}
	return section("warnings", "Warnings", el("ul", classed("warnings"), g.Group(items)),
		g.If(len(p.Warnings) > maxLinks, note(count(len(p.Warnings)-maxLinks, "more warning"))))
}

func note(text string) g.Node { return el("p", classed("note"), escaped(text)) }

func bounded(percent float64) float64 {
	if math.IsNaN(percent) {
		return 0
	}
	return min(max(percent, 0), 100)
}

// coordinate is x as short as the eye allows.
func coordinate(x float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", x), "0"), ".")
}

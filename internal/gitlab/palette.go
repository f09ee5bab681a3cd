package gitlab

import (
	"fmt"
	"strings"

	g "maragu.dev/gomponents"
)

// maxColours is how many versions page.css tells apart; more share some.
const maxColours = 6

// palette gives each version a colour of its own, in all charts of a page. The
// old version mostly is the first, the new one the second.
type palette map[string]int

func newPalette(timelines []Timeline, stable, canary []string) palette {
	p := palette{}
	for _, t := range timelines {
		p.add(t)
	}
	for i, images := range [][]string{stable, canary} {
		for _, image := range images {
			if _, known := p.find(image); !known {
				p[image] = i
			}
		}
	}
	return p
}

// add counts anew in each workload, as its versions are only beside each other.
func (p palette) add(t Timeline) {
	here := palette{}
	for _, s := range t.Series {
		if _, known := here[s.Version]; known {
			continue
		}
		here[s.Version] = len(here)
		if _, known := p[s.Version]; !known {
			p[s.Version] = here[s.Version]
		}
	}
}

// find is the colour of an image, or of a version.
func (p palette) find(image string) (int, bool) {
	if n, ok := p[image]; ok {
		return n, true
	}
	repository, digest, _ := strings.Cut(image, "@")
	_, tag, _ := strings.Cut(repository[strings.LastIndexByte(repository, '/')+1:], ":")
	if n, ok := p[tag]; ok && tag != "" {
		return n, true
	}
	_, hash, _ := strings.Cut(digest, ":")
	for version, n := range p {
		if len(version) >= 7 && strings.HasPrefix(hash, version) {
			return n, true
		}
	}
	return 0, false
}

// of gives images that lie beside each other colours that differ.
func (p palette) of(images []string) []int {
	taken := map[int]bool{}
	colours := make([]int, len(images))
	unknown := []int{}
	for i, image := range images {
		n, ok := p.find(image)
		if !ok || taken[n] {
			unknown = append(unknown, i)
			continue
		}
		colours[i], taken[n] = n, true
	}
	next := 0
	for _, i := range unknown {
		for taken[next] {
			next++
		}
		colours[i], taken[next] = next, true
	}
	return colours
}

// fill is the class of a colour in page.css; canaries are hatched, which tells
// the tracks apart in print, too.
func fill(colour int, canary bool) string {
	if canary {
		return fmt.Sprintf("h%d", colour%maxColours)
	}
	return fmt.Sprintf("v%d", colour%maxColours)
}

// definitions are what the drawings of the page refer to: the patterns that
// page.css fills canaries with, and the icons.
func definitions() g.Node {
	var nodes []g.Node
	for i := range maxColours {
		nodes = append(nodes, el("pattern", attr("id", fmt.Sprintf("hatch%d", i)), attr("width", "6"), attr("height", "6"),
			attr("patternUnits", "userSpaceOnUse"), attr("patternTransform", "rotate(45)"),
			el("rect", classed(fill(i, false)), attr("width", "6"), attr("height", "6")),
			el("rect", classed("gap"), attr("width", "2"), attr("height", "6"))))
	}
	for _, t := range []tone{toneGood, toneCalm, toneWait, toneBroke} {
		nodes = append(nodes, el("symbol", attr("id", "icon-"+string(t)), attr("viewBox", "0 0 20 20"),
			el("circle", attr("cx", "10"), attr("cy", "10"), attr("r", "10")),
			el("path", attr("d", iconPaths[t]))))
	}
	return el("svg", classed("definitions"), attr("width", "0"), attr("height", "0"), attr("aria-hidden", "true"), el("defs", nodes...))
}

func swatch(class string) g.Node {
	return el("svg", classed("swatch"), attr("width", "14"), attr("height", "14"), attr("aria-hidden", "true"),
		el("rect", classed(class), attr("width", "14"), attr("height", "14"), attr("rx", "2")))
}

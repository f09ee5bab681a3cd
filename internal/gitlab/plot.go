package gitlab

import (
	"fmt"
	"math"
	"strconv"

	g "maragu.dev/gomponents"
)

// A plot is as wide as the page lets it: across, everything lies in percent of
// it, so that text and patterns keep their size. Down, it is in pixels.
const (
	plotTop    = 30
	plotHeight = 180
	plotBottom = plotTop + plotHeight
	labelSpace = 13 // between two labels of an axis
)

type plot struct {
	id string
	Timeline
	colours []int
	pods    int // at the top
	blocks  map[int][]block
	spans   []span
}

func newPlot(id string, t Timeline, colours []int) *plot {
	return &plot{id: id, Timeline: t, colours: colours,
		pods:   max(most(t.Samples), t.Wanted, 1),
		blocks: stack(t.Samples, stackOrder(t.Series)), spans: achieved(t.Samples)}
}

func (c *plot) fill(series int) string { return fill(c.colours[series], c.Series[series].Canary) }

func (c *plot) hasShare() bool { return len(c.spans) > 0 }

// y is where a number of pods lies.
func (c *plot) y(pods float64) float64 {
	return plotBottom - plotHeight*pods/float64(c.pods)
}

// shareY is where a share lies: all of it at the pods wanted, so that the line
// runs along the top of the canary's pods as long as each gets its part.
func (c *plot) shareY(share float64) float64 {
	all := c.Wanted
	if all == 0 {
		all = c.pods
	}
	return c.y(float64(all) * share / 100)
}

func (c *plot) svg(title, description string) g.Node {
	return el("svg", classed("chart"), attr("role", "img"), attr("aria-labelledby", c.id+"-title "+c.id+"-description"),
		attr("height", strconv.Itoa(plotBottom+28)),
		el("title", attr("id", c.id+"-title"), escaped(title)),
		el("desc", attr("id", c.id+"-description"), escaped(description)),
		g.Group(c.podAxis()),
		g.Group(c.areas()),
		g.If(c.Wanted > 0, level("wanted", c.y(float64(c.Wanted)))),
		g.Group(c.share()),
		g.Group(c.labels()),
		g.Group(c.shareAxis()),
		g.Group(c.timeAxis()))
}

// level is a line from left to right.
func level(class string, y float64) g.Node {
	return segment(class, "0", "100%", y, y)
}

func segment(class, x1, x2 string, y1, y2 float64) g.Node {
	return el("line", g.If(class != "", classed(class)), attr("x1", x1), attr("x2", x2),
		attr("y1", coordinate(y1)), attr("y2", coordinate(y2)))
}

func label(class, x string, y float64, dx string, text string) g.Node {
	return el("text", classed(class), attr("x", x), attr("y", coordinate(y)), attr("dx", dx), escaped(text))
}

func (c *plot) podAxis() []g.Node {
	nodes := []g.Node{label("axis", "0", plotTop-16, "0", "ready pods")}
	for _, n := range countTicks(c.pods, 6) {
		y := c.y(float64(n))
		nodes = append(nodes, level("grid", y), label("axis left", "0", y+4, "-8", strconv.Itoa(n)))
	}
	return nodes
}

func (c *plot) areas() []g.Node {
	var nodes []g.Node
	for i := range c.Series {
		var rects []g.Node
		for _, b := range c.blocks[i] {
			top, bottom := c.y(float64(b.base+b.pods)), c.y(float64(b.base))
			// Widened by less than a pixel, so that no gap shows before the next.
			rects = append(rects, el("rect", attr("x", coordinate(b.from)+"%"), attr("width", coordinate(b.to-b.from+0.03)+"%"),
				attr("y", coordinate(top)), attr("height", coordinate(bottom-top))))
		}
		if len(rects) > 0 {
			nodes = append(nodes, el("g", classed("area "+c.fill(i)), g.Group(rects)))
		}
	}
	return nodes
}

// share is the line of what was achieved, above a wider one in the colour of
// the page that sets it off.
func (c *plot) share() []g.Node {
	var lines []g.Node
	for i, s := range c.spans {
		y := c.shareY(s.share)
		if i > 0 && c.spans[i-1].to == s.from {
			x := coordinate(s.from) + "%"
			lines = append(lines, segment("", x, x, c.shareY(c.spans[i-1].share), y))
		}
		lines = append(lines, segment("", coordinate(s.from)+"%", coordinate(s.to)+"%", y, y))
	}
	nodes := []g.Node{}
	if len(lines) > 0 {
		nodes = append(nodes, el("defs", el("g", attr("id", c.id+"-share"), g.Group(lines))),
			el("use", classed("halo"), attr("href", "#"+c.id+"-share")))
	}
	if c.Asked != nil {
		nodes = append(nodes, level("asked", c.shareY(bounded(*c.Asked))))
	}
	if len(lines) > 0 {
		nodes = append(nodes, el("use", classed("share"), attr("href", "#"+c.id+"-share")))
	}
	return nodes
}

// labels name the areas in the drawing itself, where there is room for it.
func (c *plot) labels() []g.Node {
	var nodes []g.Node
	for i, s := range c.Series {
		name := seriesName(s)
		var best block
		for _, b := range c.blocks[i] {
			// On a narrow screen the plot has about 250 pixels.
			fits := (b.to-b.from)*2.5 > 7.5*float64(len(name)) && plotHeight*b.pods/c.pods >= 22
			if fits && (b.to-b.from)*float64(b.pods) > (best.to-best.from)*float64(best.pods) {
				best = b
			}
		}
		if best.pods > 0 {
			middle := c.y(float64(best.base) + float64(best.pods)/2)
			nodes = append(nodes, label(fmt.Sprintf("name n%d", c.colours[i]%maxColours), coordinate((best.from+best.to)/2)+"%", middle+4, "0", name))
		}
	}
	return nodes
}

func (c *plot) shareAxis() []g.Node {
	if !c.hasShare() && c.Asked == nil {
		return nil
	}
	nodes := []g.Node{label("axis ends", "100%", plotTop-16, "0", "canary's share")}
	asked := math.Inf(1)
	if c.Asked != nil {
		asked = c.shareY(bounded(*c.Asked))
		nodes = append(nodes, label("axis right strong", "100%", asked+4, "8", share(*c.Asked)))
	}
	for _, share := range []float64{0, 50, 100} {
		if y := c.shareY(share); math.Abs(y-asked) >= labelSpace {
			nodes = append(nodes, label("axis right", "100%", y+4, "8", fmt.Sprintf("%.0f %%", share)))
		}
	}
	return nodes
}

func (c *plot) timeAxis() []g.Node {
	begin, end := c.Samples[0].At, c.Samples[len(c.Samples)-1].At
	ticks, layout := timeTicks(begin, end)
	nodes := []g.Node{level("base", plotBottom)}
	for i, at := range ticks {
		x := coordinate(100*float64(at.Sub(begin))/float64(end.Sub(begin))) + "%"
		clock := at.Format(layout)
		if i == len(ticks)-1 {
			clock += " UTC"
		}
		nodes = append(nodes, segment("base", x, x, plotBottom, plotBottom+5), label("axis middle", x, plotBottom+19, "0", clock))
	}
	return nodes
}

package gitlab

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	g "maragu.dev/gomponents"
)

// tone is how an outcome is coloured; its icon and words say the same.
type tone string

const (
	toneGood  tone = "good"
	toneCalm  tone = "calm"  // nothing happened
	toneWait  tone = "wait"  // it is somebody's turn, nothing is broken
	toneBroke tone = "broke" // somebody has to repair something
)

func toneOf(o Outcome) tone {
	switch o {
	case Done:
		return toneGood
	case Nothing:
		return toneCalm
	case Refused, Interrupted:
		return toneWait
	default:
		return toneBroke
	}
}

func outcomeText(o Outcome) string {
	switch o {
	case "":
		return "no outcome"
	case Nothing:
		return "nothing to do"
	case Unexpected:
		return "unexpected error"
	default:
		return string(o)
	}
}

// iconPaths are drawn with a line on a field of 20 by 20.
var iconPaths = map[tone]string{
	toneGood:  "M5.5 10.5l3 3 6-7",
	toneCalm:  "M5.5 10h9",
	toneWait:  "M7.5 6v8M12.5 6v8",
	toneBroke: "M6.5 6.5l7 7M13.5 6.5l-7 7",
}

func icon(t tone) g.Node {
	return el("svg", classed("icon"), attr("aria-hidden", "true"), el("use", attr("href", "#icon-"+string(t))))
}

// favicon tells the outcome among a browser's tabs.
func favicon(o Outcome) string {
	t := toneOf(o)
	colour := map[tone]string{toneGood: "#1f7a4d", toneCalm: "#5b6673", toneWait: "#9a6700", toneBroke: "#b3261e"}[t]
	return "data:image/svg+xml," + url.PathEscape(fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 20">`+
		`<circle cx="10" cy="10" r="10" fill="%s"/><path d="%s" fill="none" stroke="#fff" stroke-width="2"/></svg>`, colour, iconPaths[t]))
}

func (p *page) verdict() g.Node {
	t := toneOf(p.Outcome)
	verdict := p.word(p.Verdict)
	if verdict == "" {
		verdict = p.word(p.Stage + ": " + outcomeText(p.Outcome))
	}
	kind := sentence(verdict)
	if len(verdict) > 110 {
		kind += " long"
	}
	return el("div", classed("verdict"),
		el("p", classed("outcome"), icon(t), el("span", classed("what"), escaped(p.word(outcomeText(p.Outcome)))),
			g.If(p.ExitCode != 0, el("span", classed("code"), escaped(fmt.Sprintf("exit code %d", p.ExitCode))))),
		el("h1", classed(kind), escaped(verdict)),
		g.If(p.Next != "", lead("Next", classed(sentence(p.Next)), escaped(p.word(p.Next)))),
		g.Iff(p.Holder != nil, func() g.Node { return lead("In the way", p.link(p.Holder.Label, p.Holder.URL)) }),
		g.If(len(p.Diagnoses) > 0, lead("Why", el("a", attr("href", "#diagnosis"), escaped(diagnosed(p.Diagnoses))))),
	)
}

func lead(label string, content ...g.Node) g.Node {
	return el("div", classed("next"), el("div", classed("label"), escaped(label)), el("div", content...))
}

var firstWord = regexp.MustCompile(`^[a-z]+[ :;,]`)

// sentence is the class that shows a text with a capital at its beginning,
// unless that may be a name.
func sentence(text string) string {
	if firstWord.MatchString(text) {
		return "sentence"
	}
	return ""
}

func diagnosed(d []Diagnosis) string {
	if len(d) == 1 && d[0].Workload != "" {
		return "diagnosis of " + cutTo(line(d[0].Workload), maxWord)
	}
	return count(len(d), "diagnosis")
}

// facts are who, what and when.
func (p *page) facts() g.Node {
	var items []g.Node
	fact := func(name, value string, nodes ...g.Node) {
		if value != "" {
			items = append(items, el("div", el("dt", escaped(name)), el("dd", nodes...)))
		}
	}
	plainFact := func(name, value string) { fact(name, value, escaped(p.word(value))) }
	j := p.Job
	plainFact("Release", p.Release)
	plainFact("Phase", p.Phase)
	plainFact("Namespace", p.Namespace)
	plainFact("Cluster", p.Cluster)
	if j.Environment != "" {
		fact("Environment", j.Environment, p.link(j.Environment, p.EnvironmentURL))
	}
	fact("Commit", j.Commit, el("code", escaped(p.word(j.Commit))),
		g.If(j.Ref != "", el("span", classed("muted"), escaped(" on "+p.word(j.Ref)))))
	fact("Pipeline", j.Pipeline, p.link("#"+strings.TrimPrefix(j.Pipeline, "#"), j.PipelineURL))
	fact("Job", j.Name, p.link(j.Name, j.URL))
	plainFact("Run by", j.Person)
	if !p.Began.IsZero() {
		fact("Began", "-", moment(p.Began))
		if !p.Ended.IsZero() {
			plainFact("Took", took(p.Ended.Sub(p.Began)))
		}
	}
	return g.If(len(items) > 0, el("dl", classed("facts"), g.Group(items)))
}

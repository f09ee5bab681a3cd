package gitlab

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// What GitLab takes by default is below 5 KiB
// (https://docs.gitlab.com/administration/instance_limits/#limit-dotenv-file-size).
const dotenvLimit = 5*1024 - 1

// Names of the variables in rollstep.env.
const (
	varOutcome  = "ROLLSTEP_OUTCOME"
	varPhase    = "ROLLSTEP_PHASE"
	varAsked    = "ROLLSTEP_WEIGHT_ASKED"
	varAchieved = "ROLLSTEP_SHARE_ACHIEVED"
	varStable   = "ROLLSTEP_STABLE_IMAGES"
	varCanary   = "ROLLSTEP_CANARY_IMAGES"
	varServing  = "ROLLSTEP_SERVING"
	varPreview  = "ROLLSTEP_PREVIEW_URL"
)

// ReportVariables are the names of the variables that later jobs inherit.
func ReportVariables() []string {
	return []string{varOutcome, varPhase, varAsked, varAchieved, varStable, varCanary, varServing, varPreview}
}

// dotenv is what later jobs of the pipeline inherit, for `environment:url` or a
// script. Every variable is written in every stage, empty where nothing is
// known: a job inherits from all jobs before it, and one that is not set by the
// last of them would tell what an earlier one found.
//
//	ROLLSTEP_PHASE                                   as in the record, with - for a space
//	ROLLSTEP_WEIGHT_ASKED, ROLLSTEP_SHARE_ACHIEVED   percent, as 10 and 9.1
//	ROLLSTEP_STABLE_IMAGES, ROLLSTEP_CANARY_IMAGES   IMAGE,IMAGE
//	ROLLSTEP_SERVING                                 SERVICE=IMAGE=PERCENT,SERVICE=IMAGE=PERCENT
//
// There is no percent sign, as GitLab takes %NAME% for a variable.
func (r *Report) dotenv() ([]byte, error) {
	values := map[string]string{
		varOutcome:  variable(string(r.Outcome)),
		varPhase:    variable(strings.ReplaceAll(r.Phase, " ", "-")),
		varAsked:    number(r.Asked),
		varAchieved: number(r.Achieved),
		varStable:   list(r.StableImages),
		varCanary:   list(r.CanaryImages),
		varServing:  list(r.servingFields()),
		varPreview:  r.previewURL(),
	}
	// Half a list would be taken for all of it, so one that is too long goes whole.
	for _, droppable := range []string{varStable, varCanary, varServing, varPreview, varPhase} {
		if text := render(values); len(text) <= dotenvLimit {
			return text, nil
		}
		values[droppable] = ""
	}
	text := render(values)
	if len(text) > dotenvLimit {
		return nil, errors.New("the outcome is too long")
	}
	return text, nil
}

func render(values map[string]string) []byte {
	var b strings.Builder
	for _, name := range ReportVariables() {
		b.WriteString(name + "=" + values[name] + "\n")
	}
	return []byte(b.String())
}

// variable returns s if GitLab and shells take it for what it is, else "": a
// dotenv file knows no quotes, and $ would begin another variable.
func variable(s string) string {
	for _, r := range s {
		if r <= ' ' || r > '~' || strings.ContainsRune("\"'`\\$#", r) {
			return ""
		}
	}
	return s
}

// list joins what can be told; equal ones once.
func list(items []string) string {
	var safe []string
	for _, s := range items {
		if s = variable(s); s != "" && !strings.Contains(s, ",") && !slices.Contains(safe, s) {
			safe = append(safe, s)
		}
	}
	return strings.Join(safe, ",")
}

func number(x *float64) string {
	if x == nil || math.IsNaN(*x) || math.IsInf(*x, 0) {
		return ""
	}
	// At most one decimal, and none where it says nothing.
	return strings.TrimSuffix(strconv.FormatFloat(*x, 'f', 1, 64), ".0")
}

func (r *Report) servingFields() []string {
	var fields []string
	for _, s := range r.Serving {
		for _, i := range s.Shares {
			if strings.Contains(s.Service+i.Image, "=") {
				continue
			}
			fields = append(fields, s.Service+"="+i.Image+"="+number(&i.Percent))
		}
	}
	return fields
}

// What variable refuses, but # which begins what only a browser reads.
var refused = regexp.MustCompile("[^!-~]|[\"'`\\\\$]")

// previewURL is the first preview that a browser opens.
func (r *Report) previewURL() string {
	for _, p := range r.Previews {
		address, ok := webAddress(p.URL)
		if !ok {
			continue
		}
		address, _, _ = strings.Cut(address, "#")
		return refused.ReplaceAllStringFunc(address, percentEncoded)
	}
	return ""
}

func percentEncoded(s string) string {
	encoded := ""
	for _, b := range []byte(s) {
		encoded += fmt.Sprintf("%%%02X", b)
	}
	return encoded
}

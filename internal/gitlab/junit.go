package gitlab

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/jstemmer/go-junit-report/v2/junit"
)

// GitLab refuses a file of 250,000 XML nodes, or with 10 MB in one of them, so
// far more than anybody reads.
const (
	maxCases    = 1000
	maxCaseName = 500
	maxCaseText = 32 << 10
	maxTexts    = 1 << 20
)

// junit is the stage for GitLab's Tests tab and merge request: one suite, each
// check a case. GitLab shows nothing of a file without cases, so there is
// always one.
func (r *Report) junit() ([]byte, error) {
	s := junit.Testsuite{Name: r.suite(), Time: seconds(r.Ended.Sub(r.Began))}
	if !r.Began.IsZero() {
		s.SetTimestamp(r.Began.UTC())
	}
	used := map[string]bool{}
	for _, c := range r.cases() {
		c.Classname = s.Name
		// GitLab counts cases of one name once.
		for name, n := c.Name, 2; used[c.Name]; n++ {
			c.Name = fmt.Sprintf("%s (%d)", name, n)
		}
		used[c.Name] = true
		s.AddTestcase(c)
	}
	var all junit.Testsuites
	all.AddSuite(s)
	var out bytes.Buffer
	out.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n")
	err := all.WriteXML(&out)
	return out.Bytes(), err
}

// suite names the stage as long as its job lives, since GitLab compares a merge
// request's cases with those of its target by name.
func (r *Report) suite() string {
	return cutTo(line("rollstep "+r.Stage+" "+r.Release), maxCaseName)
}

func (r *Report) cases() []junit.Testcase {
	var cases []junit.Testcase
	texts, room := r.failureTexts(), maxTexts
	for i, c := range r.Checks {
		if i >= maxCases && (c.Failure == "" || room <= 0) {
			continue
		}
		t := junit.Testcase{Name: cutTo(line(c.Name), maxCaseName), Time: seconds(c.Took)}
		switch {
		case c.Failure != "":
			t.Failure = failure(c.Failure, cutTo(texts[i], max(room, maxCaseName)))
			room -= len(t.Failure.Data)
		case c.Skipped:
			t.Skipped = &junit.Result{Message: "not looked at: something failed before"}
		}
		cases = append(cases, t)
	}
	if own, ok := r.ownCase(); ok {
		cases = append(cases, own)
	}
	return cases
}

// ownCase is the stage's, needed where no check tells how it ended.
func (r *Report) ownCase() (junit.Testcase, bool) {
	t := junit.Testcase{Name: cutTo(line("stage "+r.Stage), maxCaseName), Time: seconds(r.Ended.Sub(r.Began))}
	if r.Outcome.Good() || r.failed() >= 0 {
		return t, len(r.Checks) == 0
	}
	text := r.Verdict
	if r.Holder != nil {
		text += "\n" + strings.TrimSpace(r.Holder.Label+" "+r.Holder.URL)
	}
	if r.Next != "" {
		text += "\nnext: " + r.Next
	}
	for _, d := range r.Diagnoses {
		text += "\n\n" + d.Workload + "\n" + d.Text
	}
	if strings.TrimSpace(text) == "" {
		text = "outcome: " + string(r.Outcome)
	}
	t.Failure = failure(text, text)
	return t, true
}

// failed is the index of the first check that failed, or -1.
func (r *Report) failed() int {
	for i, c := range r.Checks {
		if c.Failure != "" {
			return i
		}
	}
	return -1
}

// failureTexts are what is said of the checks that failed, by index: why, and
// the diagnosis of the workload that the check names, or else the first one's.
func (r *Report) failureTexts() map[int]string {
	texts := map[int]string{}
	for i, c := range r.Checks {
		if c.Failure != "" {
			texts[i] = c.Failure
		}
	}
	first := r.failed()
	for _, d := range r.Diagnoses {
		at := first
		for i, c := range r.Checks {
			if c.Failure != "" && strings.Contains(c.Name+" ", d.Workload+" ") {
				at = i
				break
			}
		}
		if at >= 0 {
			texts[at] += "\n\n" + d.Workload + "\n" + strings.TrimRight(d.Text, "\n")
		}
	}
	return texts
}

// failure has the message in its text as well: GitLab shows nothing else.
func failure(message, text string) *junit.Result {
	first, _, _ := strings.Cut(strings.TrimSpace(plain(message)), "\n")
	return &junit.Result{Message: cutTo(first, maxCaseName), Data: cutTo(plain(text), maxCaseText)}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", max(d, 0).Seconds()) }

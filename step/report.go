package step

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gitlab.com/rollstep/rollstep/internal/cluster"
	"gitlab.com/rollstep/rollstep/internal/gitlab"
	"gitlab.com/rollstep/rollstep/internal/hint"
	"gitlab.com/rollstep/rollstep/internal/record"
)

// report gathers what a stage leaves behind, while it runs.
type report struct {
	gitlab.Report
	timelines []*timeline
	checking  string // what is being made sure of
	since     time.Time
}

func newReport(c Config, version string, began time.Time) *report {
	ci := c.CI
	return &report{since: began, Report: gitlab.Report{
		Version: version, Stage: c.Stage, Release: c.Release, Began: began,
		EnvironmentURL: ci.EnvironmentURL, URL: c.reportURL(),
		Job: gitlab.Job{
			Name: ci.JobName, URL: ci.JobURL, Pipeline: cmp.Or(ci.PipelineIID, ci.PipelineID), PipelineURL: ci.PipelineURL,
			Commit: ci.CommitSHA[:min(len(ci.CommitSHA), 8)], Ref: ci.CommitRef, Person: c.By().Person, Environment: ci.EnvironmentName,
		},
	}}
}

// reportURL is where GitLab shows the report of a job.
func (c *Config) reportURL() string {
	if c.CI.JobURL == "" || c.CI.ProjectDir == "" {
		return ""
	}
	dir, err := filepath.Abs(c.ReportDir)
	if err != nil {
		return ""
	}
	dir, err = filepath.Rel(c.CI.ProjectDir, dir)
	if err != nil || strings.HasPrefix(dir, "..") {
		return ""
	}
	return c.CI.JobURL + "/artifacts/file/" + filepath.ToSlash(dir) + "/report.html"
}

// check begins to make sure of something; what was checked before holds.
func (r *run) check(what string) {
	r.report.endCheck("", false)
	r.report.checking, r.report.since = what, time.Now()
}

func (r *report) endCheck(failure string, skipped bool) {
	if r.checking != "" {
		r.Checks = append(r.Checks, gitlab.Check{Name: r.checking, Took: time.Since(r.since), Failure: failure, Skipped: skipped})
	}
	r.checking = ""
}

// checked adds something that was made sure of meanwhile, once.
func (r *run) checked(what, failure string, took time.Duration) {
	i := slices.IndexFunc(r.report.Checks, func(c gitlab.Check) bool { return c.Name == what })
	if i < 0 {
		i = len(r.report.Checks)
		r.report.Checks = append(r.report.Checks, gitlab.Check{Name: what})
	}
	r.report.Checks[i].Failure = failure
	r.report.Checks[i].Took += took
}

// warn says what may go wrong.
func (r *run) warn(text string) {
	r.log.Warn("%s", text)
	r.report.Warnings = append(r.report.Warnings, text)
}

// verdict says what the stage did, and what to do next, "" for nothing.
func (r *run) verdict(next, format string, args ...any) {
	r.conclude(gitlab.Done, next, fmt.Sprintf(format, args...))
}

// nothing says that there was nothing to do.
func (r *run) nothing(next, format string, args ...any) {
	r.conclude(gitlab.Nothing, next, fmt.Sprintf(format, args...))
}

func (r *run) conclude(outcome gitlab.Outcome, next, text string) {
	r.report.Outcome, r.report.Verdict, r.report.Next = outcome, text, next
	if next != "" {
		text += ". Next: " + next
	}
	r.log.Verdict(true, "%s", text)
}

// leave completes the report and writes it. err is how the stage ended.
func (r *run) leave(err error) {
	rep := r.report
	rep.Ended = time.Now()
	rep.ExitCode = ExitCode(err)
	rep.Namespace = r.namespace
	if err == nil {
		rep.endCheck("", false)
	} else {
		rep.Outcome = outcomes[rep.ExitCode]
		first, next := firstMistake(err)
		rep.Verdict, rep.Next = first, next
		rep.endCheck(err.Error(), rep.Outcome == gitlab.Interrupted)
		rep.Holder = holder(err)
	}
	if r.watcher != nil {
		r.sample(r.watcher.View())
		if rep.Serving == nil {
			rep.Serving = r.whatServes()
		}
	}
	rep.Timelines = rep.moved(rep.Ended)
	if r.record != nil {
		r.reportRecord()
	}
	if err := rep.Write(r.ReportDir); err != nil {
		r.log.Note("the reports could not be written: %v", err)
	}
}

var outcomes = map[int]gitlab.Outcome{
	ExitUnexpected: gitlab.Unexpected, ExitConfiguration: gitlab.Misconfigured, ExitFailed: gitlab.Failed,
	ExitRefused: gitlab.Refused, ExitInterrupted: gitlab.Interrupted, ExitTerminated: gitlab.Interrupted,
}

// firstMistake is the first of several joined errors, and what to do about it.
func firstMistake(err error) (text, next string) {
	next = hint.Of(err)
	text, more, several := strings.Cut(err.Error(), "\n")
	if several && strings.TrimSpace(more) != "" && !strings.HasPrefix(more, " ") {
		text += " (and more)"
	}
	return text, next
}

// holder is the pipeline or job that stands in the way, if one does.
func holder(err error) *gitlab.Link {
	var refusal *record.Refusal
	if !errors.As(err, &refusal) || refusal.Holder == nil {
		return nil
	}
	by := *refusal.Holder
	url := cmp.Or(by.JobURL, by.PipelineURL)
	by.JobURL, by.PipelineURL = "", ""
	if url == "" {
		return nil
	}
	return &gitlab.Link{Label: by.String(), URL: url}
}

// reportRecord adds what the record says.
func (r *run) reportRecord() {
	rep := r.report
	rep.Phase = string(r.record.Phase)
	if live := r.record.Live(); live != nil {
		rep.StableImages = live.Images
	}
	if ro := r.record.Rollout; ro != nil {
		for _, w := range ro.Workloads {
			rep.CanaryImages = append(rep.CanaryImages, w.Images...)
		}
	}
	for _, e := range slices.Backward(r.record.History) {
		rep.History = append(rep.History, gitlab.Event{At: e.At, What: e.What, Release: e.Hash, By: e.By.String(), URL: e.By.JobURL})
	}
}

// shownChanges bounds the rows of the table of changes in the log; the report
// has them all.
const shownChanges = 30

// announce shows what changes live.
func (r *run) announce(previews []cluster.Preview) error {
	rows := [][]string{{"OBJECT", "CHANGE"}}
	for _, p := range previews {
		if !p.Changed() {
			r.report.Unchanged++
			continue
		}
		c := gitlab.Change{Object: cluster.Name(p.Manifest), Namespace: p.Manifest.GetNamespace(), What: change(p)}
		var err error
		if p.Live != nil {
			if c.Diff, err = p.Diff(); err != nil {
				return err
			}
		}
		r.report.Changes = append(r.report.Changes, c)
		rows = append(rows, []string{r.named(c.Object, c.Namespace), c.What})
	}
	if more := len(rows) - 1 - shownChanges; more > 0 {
		rows = rows[:1+shownChanges]
		defer r.log.Printf("and %d more objects, all in the report", more)
	}
	if len(rows) > 1 {
		r.log.Table(rows)
	}
	return nil
}

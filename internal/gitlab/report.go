package gitlab

import "time"

// Report is what one run of a stage leaves behind for GitLab and for people.
// Everything in it may be shown to anybody who may see the job: no Secret's
// content, no token. Texts may hold anything else, also line breaks.
type Report struct {
	Version   string // of rollstep
	Stage     string // "canary"
	Release   string
	Namespace string
	Cluster   string // the kubeconfig's context, "" inside a cluster
	Job       Job

	Began, Ended time.Time
	Outcome      Outcome
	ExitCode     int
	Verdict      string // the log's last line, or the error's first
	Next         string // what to do now, "" for nothing

	Phase          string   // of the rollout, as in the record; "" for none
	Asked          *float64 // share asked for, in percent
	Achieved       *float64 // share of the ready endpoints that is the canary's, in percent
	StableImages   []string
	CanaryImages   []string
	Previews       []Link // entries that reach only the canary
	Serving        []Serving
	Warnings       []string
	Checks         []Check
	Timelines      []Timeline
	Evidence       []Evidence
	Changes        []Change
	Unchanged      int // objects that stay as they are
	Diagnoses      []Diagnosis
	History        []Event // the newest first
	Holder         *Link   // the pipeline or job that stands in the way
	EnvironmentURL string
	URL            string // where GitLab shows report.html, "" outside a job
}

// Outcome is how a stage ended.
type Outcome string

// All outcomes, each with an exit code of its own but for the first two.
const (
	Done          Outcome = "done"
	Nothing       Outcome = "nothing"       // nothing to do
	Misconfigured Outcome = "misconfigured" // configuration or manifests; nothing was changed
	Failed        Outcome = "failed"        // the rollout failed
	Refused       Outcome = "refused"       // locked, superseded, or refused by the record
	Interrupted   Outcome = "interrupted"   // by a signal
	Unexpected    Outcome = "unexpected"
)

// Good says whether the outcome is a success.
func (o Outcome) Good() bool { return o == Done || o == Nothing }

// Job is who ran the stage; all of it is empty outside GitLab, but for Person.
type Job struct {
	Name, URL   string
	Pipeline    string // its number, as people see it
	PipelineURL string
	Commit      string // short SHA
	Ref         string
	Person      string
	Environment string
}

// Link is a label and an address.
type Link struct{ Label, URL string }

// Serving tells which images serve behind a Service.
type Serving struct {
	Service string // "app", or "namespace/app" in another namespace than the release's
	Shares  []ImageShare
}

// ImageShare is one image's part of a Service's ready endpoints.
type ImageShare struct {
	Image   string
	Pods    int
	Percent float64
}

// Check is something that the stage made sure of.
type Check struct {
	Name    string // "Deployment app-canary is ready"
	Took    time.Duration
	Failure string // why it does not hold, "" if it does
	Skipped bool   // not looked at, because something failed before
}

// Timeline is how the pods of one workload went from one version to the other.
type Timeline struct {
	Workload string   // "Deployment app"
	Wanted   int      // pods wanted on both tracks together, 0 if that is not known
	Asked    *float64 // share asked for, in percent
	Series   []Series
	Samples  []Sample // in the order of time; each holds until the next
}

// Series is one version on one track.
type Series struct {
	Version string // an image's tag or digest: "v2"
	Canary  bool
}

// Sample is what was seen at one time.
type Sample struct {
	At       time.Time
	Ready    []int    // pods, by series; missing ones are 0
	Achieved *float64 // share of the canary, in percent; nil where no Service tells it
}

// Evidence is what is known of one track of a workload since the canary began, for
// the person at the gate.
type Evidence struct {
	Deployment     string
	Canary         bool
	Pods, Restarts int
	Warnings       []string // events with how many of them: "BackOff (3)"
	Sampled        int      // pods whose logs were read
	Errors         int      // lines of these logs that look like errors
	Lines          []string // some of them
}

// Change is what a stage does, or would do, to an object.
type Change struct {
	Object    string // "Deployment app"
	Namespace string
	What      string // "created", "changed", …
	Diff      string // unified, "" where there is none; a Secret's values are hidden
}

// Diagnosis is why a workload cannot become ready.
type Diagnosis struct {
	Workload string
	Text     string // lines, as in the log
}

// Event is one line of a release's history.
type Event struct {
	At      time.Time
	What    string
	Release string // short hash
	By      string
	URL     string // of the job, "" if it is not known
}

// Package record keeps what rollstep must remember between the jobs of a
// pipeline, in the cluster: the rollout in flight, the releases promoted before
// it, and the lock that one running job holds.
package record

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Phase is where a release stands.
type Phase string

const (
	Releasing   Phase = "releasing"    // the first release is coming live
	Canary      Phase = "canary"       // a canary is in flight
	Promoting   Phase = "promoting"    // the stable track is being replaced
	Promoted    Phase = "promoted"     // live is what Git says
	RollingBack Phase = "rolling back" // an earlier release is coming back
	RolledBack  Phase = "rolled back"  // live is an earlier release than Git says
)

// Record is the memory of one release, a YAML document in a ConfigMap.
type Record struct {
	Release string `json:"release"`
	Phase   Phase  `json:"phase"`
	// Rollout is the rollout in flight: phases canary, promoting, rolling back.
	Rollout *Rollout `json:"rollout,omitempty"`
	// Promoted releases, newest first. The first one is what serves outside a
	// rollout.
	Promoted []Promotion `json:"promoted,omitempty"`
	// Releasing is the hash of the first release while it is coming live.
	Releasing string `json:"releasing,omitempty"`
	// RolledBack are the hashes of releases that were given up; a canary starts
	// one over.
	RolledBack []string `json:"rolledBack,omitempty"`
	// History, oldest first.
	History []Event `json:"history,omitempty"`
}

// By says who did something: the pipeline's job, or a person outside CI.
type By struct {
	Person      string `json:"person,omitempty"`
	Job         string `json:"job,omitempty"`
	JobURL      string `json:"jobURL,omitempty"`
	PipelineID  int64  `json:"pipelineID,omitempty"` // grows over the whole GitLab instance; 0 outside CI
	PipelineIID int64  `json:"pipelineIID,omitempty"`
	PipelineURL string `json:"pipelineURL,omitempty"`
	Commit      string `json:"commit,omitempty"`
	Ref         string `json:"ref,omitempty"`
}

// String names the pipeline, job and person: "pipeline #12 (job canary 10%, ann)".
func (b By) String() string {
	if b.PipelineID == 0 {
		return "a run outside CI by " + orSomebody(b.Person)
	}
	s := fmt.Sprintf("pipeline #%d", b.PipelineID)
	if b.Job != "" {
		s += fmt.Sprintf(" (job %s, %s)", b.Job, orSomebody(b.Person))
	}
	if link := cmp.Or(b.JobURL, b.PipelineURL); link != "" {
		s += " " + link
	}
	return s
}

func orSomebody(person string) string { return cmp.Or(person, "somebody") }

// Rollout is a release on its way from its first canary to promoted or rolled
// back.
type Rollout struct {
	Hash    string    `json:"hash"`    // of the release as rendered: manifest.Hash
	Weight  int       `json:"weight"`  // percent asked for
	Reached *int      `json:"reached"` // the weight at which the canary was last seen healthy
	Started time.Time `json:"started"`
	Updated time.Time `json:"updated"`
	By      By        `json:"by"`
	// Workloads that take part.
	Workloads []Workload `json:"workloads,omitempty"`
	// Created are the objects that the rollout brought and that go again when
	// it is rolled back; the canary's own are found by their label.
	Created []Object `json:"created,omitempty"`
	// RestartedAt is set when workloads must be restarted for a changed
	// configuration: the time that their templates are given.
	RestartedAt *time.Time `json:"restartedAt,omitempty"`
	// To is the hash of the release that a rollback brings back.
	To string `json:"to,omitempty"`
}

// Workload is what is remembered of a workload that takes part in a rollout.
type Workload struct {
	Object
	Was        int      `json:"was"`                  // stable's replica count before the rollout
	Autoscaled bool     `json:"autoscaled,omitempty"` // an HPA decides the stable's count
	Restart    bool     `json:"restart,omitempty"`    // only its configuration changed
	Images     []string `json:"images,omitempty"`     // of the canary
}

// Object names an object.
type Object struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
}

// Promotion is a release that all users got.
type Promotion struct {
	Hash      string    `json:"hash"`
	Manifests string    `json:"manifests,omitempty"` // name of the Secret that keeps them
	Images    []string  `json:"images,omitempty"`
	At        time.Time `json:"at"`
	By        By        `json:"by"`
	// Adopted: not promoted by rollstep but found live when it came.
	Adopted bool `json:"adopted,omitempty"`
}

// Event is one line of the history.
type Event struct {
	At   time.Time `json:"at"`
	What string    `json:"what"`
	Hash string    `json:"hash,omitempty"`
	By   By        `json:"by"`
}

const (
	keepPromotions = 3
	keepEvents     = 20
	keepRolledBack = 20
)

// Note appends to the history.
func (r *Record) Note(at time.Time, by By, hash, format string, args ...any) {
	r.History = append(r.History, Event{At: at, What: fmt.Sprintf(format, args...), Hash: Short(hash), By: by})
	r.History = r.History[max(0, len(r.History)-keepEvents):]
}

// Promote makes p the newest promoted release and ends the rollout.
func (r *Record) Promote(p Promotion) {
	r.Promoted = slices.DeleteFunc(r.Promoted, func(old Promotion) bool { return old.Hash == p.Hash })
	r.Promoted = slices.Insert(r.Promoted, 0, p)
	r.Promoted = r.Promoted[:min(len(r.Promoted), keepPromotions)]
	r.RolledBack = slices.DeleteFunc(r.RolledBack, func(hash string) bool { return hash == p.Hash })
	r.Phase, r.Rollout, r.Releasing = Promoted, nil, ""
}

// Adopt makes what was live before rollstep came the release to go back to.
func (r *Record) Adopt(p Promotion) {
	p.Adopted = true
	r.Promoted = []Promotion{p}
}

// GiveUp ends the rollout of hash: it must not be promoted unless it starts over.
func (r *Record) GiveUp(hash string) {
	r.RolledBack = slices.DeleteFunc(r.RolledBack, func(h string) bool { return h == hash })
	if hash != "" { // the record may have been lost
		r.RolledBack = append(r.RolledBack, hash)
	}
	r.RolledBack = r.RolledBack[max(0, len(r.RolledBack)-keepRolledBack):]
	r.Phase, r.Rollout = RolledBack, nil
}

// IsNew says that nothing is remembered: of a release that was never run, or
// whose record was lost.
func (r *Record) IsNew() bool { return r.Phase == "" && len(r.Promoted) == 0 && len(r.History) == 0 }

// Live returns the newest promoted release, or nil.
func (r *Record) Live() *Promotion {
	if len(r.Promoted) == 0 {
		return nil
	}
	return &r.Promoted[0]
}

// Find returns the promoted release with that hash, or nil.
func (r *Record) Find(hash string) *Promotion {
	for i := range r.Promoted {
		if r.Promoted[i].Hash == hash {
			return &r.Promoted[i]
		}
	}
	return nil
}

// Short shortens a hash for people.
func Short(hash string) string { return hash[:min(len(hash), 10)] }

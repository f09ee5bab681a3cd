package record

import (
	"fmt"
	"slices"
	"time"

	"gitlab.com/rollstep/rollstep/internal/hint"
)

// Refusal is why the record does not allow a stage. Nothing was changed.
type Refusal struct {
	error
	Holder *By // who stands in the way, nil for nobody
}

func (r *Refusal) Unwrap() error { return r.error }

// Refuse says why a stage must not run, and what to do next. A By among the
// arguments is who stands in the way.
func Refuse(next, format string, args ...any) error {
	refusal := &Refusal{error: hint.Errorf(next, format, args...)}
	for _, a := range args {
		if by, ok := a.(By); ok {
			refusal.Holder = &by
		}
	}
	return refusal
}

// InFlight says whether a rollout has begun and not ended.
func (r *Record) InFlight() bool { return r.Rollout != nil }

// older says whether a is certainly an earlier pipeline than b. Runs outside CI
// have no place in that order: a person there decides.
func older(a, b By) bool {
	return a.PipelineID != 0 && b.PipelineID != 0 && a.PipelineID < b.PipelineID
}

func foreign(a, b By) bool {
	return a.PipelineID != 0 && b.PipelineID != 0 && a.PipelineID != b.PipelineID
}

// AllowCanary: the newest pipeline wins.
func (r *Record) AllowCanary(by By) error {
	if r.InFlight() {
		if older(by, r.Rollout.By) {
			return r.superseded()
		}
		switch {
		case r.Phase == Promoting:
			return Refuse("Run its promote job again, or roll it back first",
				"the promotion by %s has not finished", r.Rollout.By)
		case r.Rollout.To != "":
			return r.unfinishedRollback()
		}
		return nil
	}
	if live := r.Live(); live != nil && older(by, live.By) {
		return r.outdated(*live)
	}
	return nil
}

func (r *Record) outdated(live Promotion) error {
	return Refuse("Use the jobs of the newest pipeline; to bring this commit back, run a new pipeline for it, or its promote job if it was promoted before",
		"this pipeline is outdated: %s promoted a newer release %s", live.By, ago(live.At))
}

// AllowApply: not while a canary is in flight.
func (r *Record) AllowApply() error {
	if r.InFlight() {
		return Refuse("Promote it or roll it back first",
			"a rollout by %s is in flight (%s, %d %%, %s)", r.Rollout.By, r.Phase, r.Rollout.Weight, ago(r.Rollout.Updated))
	}
	return nil
}

// AllowPromote: only what a canary tested, or what was promoted before. Whether
// a canary was needed at all (nothing is live yet, nothing to canary), the
// caller knows: without says so.
func (r *Record) AllowPromote(by By, hash string, without bool) error {
	if !r.InFlight() {
		live := r.Live()
		switch {
		case r.Find(hash) != nil:
			return nil
		case live != nil && older(by, live.By):
			return r.outdated(*live)
		case without:
			return nil
		case slices.Contains(r.RolledBack, hash):
			return Refuse("Run the canary job again to start it over",
				"this release was rolled back")
		}
		return Refuse("Run the canary job first, or set ROLLSTEP_SKIP_CANARY=true to promote without one",
			"there is no canary of this release in flight")
	}
	rollout := r.Rollout
	switch {
	case older(by, rollout.By):
		return r.superseded()
	case without: // a fix must get through whatever is in flight
		return nil
	case rollout.To != "":
		return r.unfinishedRollback()
	case foreign(by, rollout.By):
		return Refuse("Run canary to take the rollout over, or roll it back first",
			"the rollout belongs to %s since %s", rollout.By, ago(rollout.Started))
	case rollout.Hash != hash:
		return Refuse("Run canary again to test what the manifests say now; the same commit, manifests and ROLLSTEP_ variables give the same release",
			"these manifests are not what the canary tested (canary %s, now %s)", Short(rollout.Hash), Short(hash))
	case rollout.Reached == nil && r.Phase != Promoting:
		return Refuse("Run the canary job again and let it finish",
			"the canary of this release has not been seen healthy")
	}
	return nil
}

// AllowRollback: a pipeline may give up its own rollout or release, not one of
// a newer pipeline. nothing is why there is nothing to roll back, if so.
func (r *Record) AllowRollback(by By) (nothing string, err error) {
	if r.InFlight() {
		if older(by, r.Rollout.By) {
			return "", r.superseded()
		}
		return "", nil
	}
	live := r.Live()
	switch {
	case live == nil:
		return "nothing was promoted yet", nil
	case r.Phase == RolledBack && (by.PipelineID == 0 || by.PipelineID != live.By.PipelineID):
		return "it is rolled back already", nil
	case older(by, live.By):
		return "", Refuse("Use the rollback job of that pipeline",
			"this pipeline is outdated: %s promoted a newer release %s", live.By, ago(live.At))
	case older(live.By, by):
		return fmt.Sprintf("this pipeline has no rollout in flight; what is live came by %s, whose rollback job takes it back", live.By), nil
	case len(r.Promoted) < 2:
		return "there is no earlier release", nil
	}
	return "", nil
}

func (r *Record) unfinishedRollback() error {
	return Refuse("Run the rollback job again: it finishes what it began; or bring a fix with promote and ROLLSTEP_SKIP_CANARY=true",
		"a rollback by %s has not finished", r.Rollout.By)
}

func (r *Record) superseded() error {
	return Refuse("Use the jobs of that pipeline, or run a new pipeline for this commit",
		"the rollout belongs to %s since %s", r.Rollout.By, ago(r.Rollout.Started))
}

// ago tells a time and how long it is past: "09:15 UTC (3m0s ago)".
func ago(t time.Time) string {
	return fmt.Sprintf("%s (%s ago)", t.UTC().Format("2006-01-02 15:04 UTC"), time.Since(t).Round(time.Second))
}

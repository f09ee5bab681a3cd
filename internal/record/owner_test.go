package record

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gitlab.com/rollstep/rollstep/internal/hint"
)

var (
	start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	old   = pipeline(10)
	mine  = pipeline(11)
	newer = pipeline(12)
	hand  = By{Person: "ann@laptop"} // outside CI
)

func pipeline(id int64) By {
	return By{PipelineID: id, Person: "ann", Job: "canary 10%", JobURL: "https://gitlab.example/jobs/1"}
}

func at(weight int) *int { return &weight }

// inFlight is a record of pipeline 11's canary of release "new", over "stable"
// which pipeline 10 promoted.
func inFlight(change func(*Record)) *Record {
	r := &Record{
		Phase:    Canary,
		Rollout:  &Rollout{Hash: "new", Weight: 10, Reached: at(10), By: mine, Started: start},
		Promoted: []Promotion{{Hash: "stable", By: old, At: start}},
	}
	if change != nil {
		change(r)
	}
	return r
}

// promoted is a record in which pipeline 11 promoted "new" after "stable".
func promoted(change func(*Record)) *Record {
	r := &Record{Phase: Promoted, Promoted: []Promotion{{Hash: "new", By: mine, At: start}, {Hash: "stable", By: old, At: start}}}
	if change != nil {
		change(r)
	}
	return r
}

// rolledBack is a record after pipeline 11 gave up "new": pipeline 10's release
// is live again.
func rolledBack() *Record {
	return &Record{Phase: RolledBack, RolledBack: []string{"new"}, Promoted: []Promotion{{Hash: "stable", By: old, At: start}, {Hash: "first", At: start}}}
}

func requireRefused(t *testing.T, err error, says string) {
	t.Helper()
	if says == "" {
		require.NoError(t, err)
		return
	}
	var refusal *Refusal
	require.True(t, errors.As(err, &refusal), "%v", err)
	require.ErrorContains(t, err, says)
	require.NotEmpty(t, hint.Of(err), "a refusal says what to do next")
}

func TestAllowCanary_theNewestPipelineWins(t *testing.T) {
	for name, c := range map[string]struct {
		record *Record
		by     By
		says   string
	}{
		"nothing yet":                        {&Record{}, mine, ""},
		"its own rollout":                    {inFlight(nil), mine, ""},
		"a newer pipeline takes over":        {inFlight(nil), newer, ""},
		"a person takes over":                {inFlight(nil), hand, ""},
		"over a person's rollout":            {inFlight(func(r *Record) { r.Rollout.By = hand }), old, ""},
		"an older pipeline is superseded":    {inFlight(nil), old, "the rollout belongs to pipeline #11 (job canary 10%, ann) https://gitlab.example/jobs/1"},
		"after a newer promotion":            {promoted(nil), old, "promoted a newer release"},
		"after its own promotion":            {promoted(nil), mine, ""},
		"while a promotion is unfinished":    {inFlight(func(r *Record) { r.Phase = Promoting }), newer, "has not finished"},
		"while a release is brought back":    {inFlight(func(r *Record) { r.Phase, r.Rollout.To = RollingBack, "stable" }), newer, "a rollback by"},
		"over a canary that was rolled back": {inFlight(func(r *Record) { r.Phase = RollingBack }), mine, ""},
	} {
		t.Run(name, func(t *testing.T) { requireRefused(t, c.record.AllowCanary(c.by), c.says) })
	}
}

func TestAllowPromote_onlyWhatTheCanaryTested(t *testing.T) {
	for name, c := range map[string]struct {
		record  *Record
		by      By
		hash    string
		without bool
		says    string
	}{
		"what was tested":                       {inFlight(nil), mine, "new", false, ""},
		"by a person":                           {inFlight(nil), hand, "new", false, ""},
		"something else":                        {inFlight(nil), mine, "other", false, "not what the canary tested (canary new, now other)"},
		"never seen healthy":                    {inFlight(func(r *Record) { r.Rollout.Reached = nil }), mine, "new", false, "not been seen healthy"},
		"never seen healthy, canary skipped":    {inFlight(func(r *Record) { r.Rollout.Reached = nil }), mine, "new", true, ""},
		"an older pipeline":                     {inFlight(nil), old, "new", false, "belongs to pipeline #11"},
		"a newer pipeline without canary":       {inFlight(nil), newer, "new", false, "belongs to pipeline #11"},
		"no canary":                             {promoted(nil), newer, "newest", false, "no canary of this release"},
		"no canary, but allowed":                {promoted(nil), newer, "newest", true, ""},
		"GitLab's rollback button":              {promoted(nil), old, "stable", false, ""},
		"again":                                 {promoted(nil), mine, "new", false, ""},
		"rolled back":                           {&Record{Phase: RolledBack, RolledBack: []string{"new"}}, mine, "new", false, "was rolled back"},
		"while a release is being brought back": {inFlight(func(r *Record) { r.Phase, r.Rollout.To = RollingBack, "stable" }), mine, "new", false, "a rollback by"},
	} {
		t.Run(name, func(t *testing.T) { requireRefused(t, c.record.AllowPromote(c.by, c.hash, c.without), c.says) })
	}
}

func TestAllowApply_notDuringARollout(t *testing.T) {
	requireRefused(t, promoted(nil).AllowApply(), "")
	requireRefused(t, inFlight(nil).AllowApply(), "is in flight (canary, 10 %")
}

func TestAllowRollback_ofItsOwnOnly(t *testing.T) {
	for name, c := range map[string]struct {
		record  *Record
		by      By
		nothing string
		says    string
	}{
		"its rollout":                      {inFlight(nil), mine, "", ""},
		"an older pipeline's rollout":      {inFlight(nil), newer, "", ""},
		"a newer pipeline's rollout":       {inFlight(nil), old, "", "belongs to pipeline #11"},
		"a person":                         {inFlight(nil), hand, "", ""},
		"its promotion":                    {promoted(nil), mine, "", ""},
		"a newer pipeline's promotion":     {promoted(nil), old, "", "promoted a newer release"},
		"nothing of its own":               {promoted(nil), newer, "this pipeline has no rollout in flight", ""},
		"nothing at all":                   {&Record{}, mine, "nothing was promoted yet", ""},
		"again":                            {rolledBack(), mine, "it is rolled back already", ""},
		"again, by a person":               {rolledBack(), hand, "it is rolled back already", ""},
		"what another one's rollback left": {rolledBack(), old, "", ""},
		"the first release":                {promoted(func(r *Record) { r.Promoted = r.Promoted[:1] }), mine, "there is no earlier release", ""},
	} {
		t.Run(name, func(t *testing.T) {
			nothing, err := c.record.AllowRollback(c.by)
			requireRefused(t, err, c.says)
			require.Contains(t, nothing, c.nothing)
			require.Equal(t, c.nothing == "", nothing == "")
		})
	}
}

func TestPromote_keepsTheNewestThree(t *testing.T) {
	r := inFlight(nil)
	r.RolledBack = []string{"new", "bad"}
	for _, hash := range []string{"a", "b", "new"} {
		r.Promote(Promotion{Hash: hash})
	}
	require.Equal(t, []Promotion{{Hash: "new"}, {Hash: "b"}, {Hash: "a"}}, r.Promoted)
	require.Equal(t, []string{"bad"}, r.RolledBack)
	require.Equal(t, Promoted, r.Phase)
	require.False(t, r.InFlight())
}

func TestPromote_ofAReleasePromotedBeforeMovesItToTheFront(t *testing.T) {
	r := promoted(nil)
	r.Promote(Promotion{Hash: "stable", By: newer})
	require.Equal(t, []string{"stable", "new"}, []string{r.Promoted[0].Hash, r.Promoted[1].Hash})
	require.Len(t, r.Promoted, 2)
}

func TestGiveUp_remembersEachHashOnce(t *testing.T) {
	r := inFlight(nil)
	r.GiveUp("new")
	r.GiveUp("new")
	r.GiveUp("")
	require.Equal(t, []string{"new"}, r.RolledBack)
	require.Equal(t, RolledBack, r.Phase)
}

func TestNote_keepsTheNewestEvents(t *testing.T) {
	r := &Record{}
	for i := range 30 {
		r.Note(start, mine, "0123456789abcdef", "event %d", i)
	}
	require.Len(t, r.History, keepEvents)
	require.Equal(t, "event 29", r.History[keepEvents-1].What)
	require.Equal(t, "0123456789", r.History[0].Hash)
}

func TestBy_namesThePipelineTheJobAndThePerson(t *testing.T) {
	require.Equal(t, "pipeline #11 (job canary 10%, ann) https://gitlab.example/jobs/1", mine.String())
	require.Equal(t, "a run outside CI by ann@laptop", hand.String())
	require.Equal(t, "a run outside CI by somebody", By{}.String())
}

package step

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gitlab.com/rollstep/rollstep/internal/hint"
	"gitlab.com/rollstep/rollstep/internal/record"
)

func TestLoad_defaults(t *testing.T) {
	c, err := Load([]string{"canary"}, []string{"ROLLSTEP_IMAGE=", "ROLLSTEP_WEIGHT=  ", "CI_PROJECT_PATH_SLUG="})
	require.NoError(t, err)
	require.Equal(t, "canary", c.Stage)
	require.Equal(t, "k8s", c.Manifests)
	require.Equal(t, "k8s", c.Release)
	require.Equal(t, Weight(10), c.Weight)
	require.Nil(t, c.Replicas)
	require.Equal(t, "track", c.TrackLabel)
	require.Equal(t, Preview("ClusterIP"), c.Preview)
	require.Equal(t, 10*time.Minute, c.Timeout)
	require.Equal(t, 10*time.Second, c.Settle)
	require.Equal(t, RollBack, c.OnFailure)
	require.False(t, c.SkipCanary)
	require.False(t, c.InCI())
}

func TestLoad_readsWhatTheJobSays(t *testing.T) {
	c, err := Load(nil, []string{
		"CI=true", "CI_JOB_STAGE=canary", "CI_PROJECT_PATH_SLUG=group-shop", "CI_PIPELINE_ID=1200", "CI_PIPELINE_IID=12",
		"CI_JOB_NAME=canary 25%", "CI_JOB_URL=https://gitlab.example/1", "GITLAB_USER_LOGIN=ann", "USER=root", "HOSTNAME=runner", "CI_COMMIT_SHA=abc",
		"ROLLSTEP_WEIGHT=25%", "ROLLSTEP_PREVIEW=off", "ROLLSTEP_ON_FAILURE=hold", "ROLLSTEP_CANARY_REPLICAS=2", "ROLLSTEP_SKIP_CANARY=true",
	})
	require.NoError(t, err)
	require.Equal(t, "canary", c.Stage)
	require.Equal(t, "group-shop", c.Release)
	require.Equal(t, Weight(25), c.Weight)
	require.Equal(t, Count(2), *c.Replicas)
	require.Equal(t, Preview(""), c.Preview)
	require.Equal(t, Hold, c.OnFailure)
	require.True(t, c.SkipCanary)
	require.True(t, c.InCI())
	require.Equal(t, record.By{Person: "ann", Job: "canary 25%", JobURL: "https://gitlab.example/1", PipelineID: 1200, PipelineIID: 12, Commit: "abc"}, c.By())
}

func TestLoad_theArgumentWins(t *testing.T) {
	for _, argument := range []string{"50", "50%"} {
		c, err := Load([]string{"canary", argument}, []string{"ROLLSTEP_STAGE=promote", "CI_JOB_STAGE=deploy", "ROLLSTEP_WEIGHT=25", "ROLLSTEP_CANARY_REPLICAS=3"})
		require.NoError(t, err)
		require.Equal(t, "canary", c.Stage)
		require.Equal(t, Weight(50), c.Weight)
		require.Nil(t, c.Replicas, "a weight replaces an exact count")
	}
}

func TestLoad_reportsAllMistakesWithWhatToDo(t *testing.T) {
	_, err := Load([]string{"canary", "lots", "more"}, []string{
		"ROLLSTEP_WEIGHT=abc", "ROLLSTEP_TIMEOUT=10", "ROLLSTEP_SKIP_CANARY=maybe", "ROLLSTEP_PREVIEW=Ingress", "ROLLSTEP_ON_FAILURE=panic",
		"ROLLSTEP_CANARY_REPLICAS=-1", "ROLLSTEP_RELEASE=My App", "ROLLSTEP_TRACK_LABEL=a b", "ROLLSTEP_SETTLE=-1s", "ROLLSTEP_WIEGHT=3",
	})
	require.Equal(t, ExitConfiguration, ExitCode(err))
	for _, want := range []string{
		`ROLLSTEP_WEIGHT: "abc" is no weight`, `ROLLSTEP_TIMEOUT: "10" is no duration`, `ROLLSTEP_SKIP_CANARY: "maybe"`,
		`ROLLSTEP_PREVIEW: "Ingress"`, `ROLLSTEP_ON_FAILURE: "panic"`, `ROLLSTEP_CANARY_REPLICAS: "-1"`, `"My App" cannot be used`,
		`ROLLSTEP_TRACK_LABEL: "a b"`, `ROLLSTEP_SETTLE: -1s`, `there is no variable ROLLSTEP_WIEGHT`,
		`"lots" is no weight`, `takes no argument "more"`,
	} {
		require.ErrorContains(t, err, want)
	}
	var joined interface{ Unwrap() []error }
	require.True(t, errors.As(err, &joined))
	for _, mistake := range joined.Unwrap() {
		require.NotEmpty(t, hint.Of(mistake), "%v", mistake)
	}
}

func TestLoad_unknownStageListsTheStages(t *testing.T) {
	for _, c := range []struct {
		args, environ []string
		says          string
	}{
		{[]string{"deploy"}, nil, `there is no stage "deploy"`},
		{nil, []string{"CI_JOB_STAGE=deploy"}, `there is no stage "deploy" (from CI_JOB_STAGE)`},
		{nil, nil, "no stage is given"},
	} {
		_, err := Load(c.args, c.environ)
		require.ErrorContains(t, err, c.says)
		require.Equal(t, ExitConfiguration, ExitCode(err))
	}
	_, err := Load([]string{"deploy"}, nil)
	var joined interface{ Unwrap() []error }
	require.True(t, errors.As(err, &joined))
	require.Contains(t, hint.Of(joined.Unwrap()[0]), "plan, apply, canary, promote, rollback, sweep, rbac, status")
}

func TestWeight_isAWholeNumberOfPercent(t *testing.T) {
	for text, want := range map[string]Weight{"0": 0, "1%": 1, " 99 ": 99, "100%": 100} {
		var w Weight
		require.NoError(t, w.UnmarshalText([]byte(text)), text)
		require.Equal(t, want, w)
	}
	for _, text := range []string{"", "%", "101", "-1", "12.5", "ten", "1e1", "0x10"} {
		var w Weight
		require.Error(t, w.UnmarshalText([]byte(text)), text)
	}
}

func TestDeadlines_stayBelowTheJobsOwn(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		timeout, jobTimeout, started string
		work, end                    time.Duration
	}{
		"its own":                  {"10m", "", "", 9 * time.Minute, 10 * time.Minute},
		"short":                    {"40s", "", "", 30 * time.Second, 40 * time.Second},
		"the job has longer":       {"10m", "3600", "2026-03-01T12:00:00Z", 9 * time.Minute, 10 * time.Minute},
		"the job has less left":    {"10m", "600", "2026-03-01T11:55:00Z", 210 * time.Second, 270 * time.Second},
		"the job has nothing left": {"10m", "60", "2026-03-01T11:00:00Z", 0, 0},
		"the start is not told":    {"10m", "300", "", 210 * time.Second, 270 * time.Second},
		"the job's timeout is odd": {"10m", "soon", "", 9 * time.Minute, 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := Load([]string{"canary"}, []string{"ROLLSTEP_TIMEOUT=" + c.timeout, "CI_JOB_TIMEOUT=" + c.jobTimeout, "CI_JOB_STARTED_AT=" + c.started})
			require.NoError(t, err)
			work, end := config.Deadlines(now)
			if c.end == 0 {
				require.False(t, end.After(now))
				return
			}
			require.Equal(t, c.work, work.Sub(now))
			require.Equal(t, c.end, end.Sub(now))
		})
	}
}

func TestHelp_listsEveryStageVariableAndExitCode(t *testing.T) {
	var text strings.Builder
	require.NoError(t, Help(&text))
	for _, want := range []string{"canary [WEIGHT]", "ROLLSTEP_ON_FAILURE", "KUBE_CONTEXT", "[k8s]", "143"} {
		require.Contains(t, text.String(), want)
	}
	for _, s := range Stages {
		require.Contains(t, text.String(), s.Does)
	}
}

func TestExitCode_followsTheCause(t *testing.T) {
	require.Equal(t, ExitDone, ExitCode(nil))
	require.Equal(t, ExitUnexpected, ExitCode(errors.New("x")))
	require.Equal(t, ExitTerminated, ExitCode(failed(&Interruption{ExitTerminated})))
	require.Equal(t, ExitRefused, ExitCode(configuration(&record.Refusal{})))
	require.Equal(t, ExitFailed, ExitCode(errOutOfTime))
}

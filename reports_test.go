package main

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

// dotenv is what a job hands on to later jobs.
func dotenv(job *labtest.Job) map[string]string {
	job.Wait()
	variables := map[string]string{}
	for line := range strings.Lines(job.Report("rollstep.env")) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		variables[name] = value
	}
	return variables
}

// failures are the messages of the checks that failed, by name.
func failures(t *testing.T, job *labtest.Job) map[string]string {
	t.Helper()
	var suites struct {
		Suites []struct {
			Cases []struct {
				Name    string `xml:"name,attr"`
				Failure *struct {
					Message string `xml:"message,attr"`
				} `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	require.NoError(t, xml.Unmarshal([]byte(job.Report("junit.xml")), &suites))
	require.Len(t, suites.Suites, 1)
	require.NotEmpty(t, suites.Suites[0].Cases)
	failed := map[string]string{}
	for _, c := range suites.Suites[0].Cases {
		if c.Failure != nil {
			failed[c.Name] = c.Failure.Message
		}
	}
	return failed
}

// links are the annotations of a job page.
func links(t *testing.T, job *labtest.Job) map[string]string {
	t.Helper()
	var annotations map[string][]struct {
		ExternalLink struct{ Label, URL string } `json:"external_link"`
	}
	require.NoError(t, json.Unmarshal([]byte(job.Report("annotations.json")), &annotations))
	byLabel := map[string]string{}
	for _, section := range annotations {
		for _, l := range section {
			byLabel[l.ExternalLink.Label] = l.ExternalLink.URL
		}
	}
	return byLabel
}

const image = "registry.gitlab.com/wuestkamp/k8s-deployment-example-app:"

func TestReports_tellWhatAStageDid(t *testing.T) {
	s := released(t, few(t, "v1", 4))
	p := s.Pipeline(2, few(t, "v2", 4)).With("ROLLSTEP_PREVIEW=NodePort", "CI_ENVIRONMENT_URL=https://shop.example.com")

	canary := p.Run("canary", "50%").Succeeds()
	said := dotenv(canary)
	assert.Equal(t, "done", said["ROLLSTEP_OUTCOME"])
	assert.Equal(t, "canary", said["ROLLSTEP_PHASE"])
	assert.Equal(t, "50", said["ROLLSTEP_WEIGHT_ASKED"])
	assert.Equal(t, "50", said["ROLLSTEP_SHARE_ACHIEVED"])
	assert.Equal(t, image+"v1", said["ROLLSTEP_STABLE_IMAGES"])
	assert.Equal(t, image+"v2", said["ROLLSTEP_CANARY_IMAGES"])
	preview := said["ROLLSTEP_PREVIEW_URL"]
	assert.Regexp(t, `^http://127\.0\.0\.1:\d+$`, preview, "a node port of the lab")
	canary.Succeeds("preview: " + preview + " reaches only the canary")
	assert.Empty(t, failures(t, canary))
	assert.Contains(t, fmt.Sprint(links(t, canary)), preview)
	assert.Contains(t, fmt.Sprint(links(t, canary)), "https://shop.example.com")
	page := canary.Report("report.html")
	assert.Contains(t, page, "<svg", "the timeline")
	assert.Contains(t, page, "app-canary has 50.0 % of Service app")

	// What a job hands on must not disturb the ones after it.
	var handedOn []string
	for name, value := range said {
		handedOn = append(handedOn, name+"="+value)
	}
	promoted := p.With(handedOn...).Run("promote").Succeeds()
	said = dotenv(promoted)
	assert.Equal(t, "promoted", said["ROLLSTEP_PHASE"])
	assert.Equal(t, image+"v2", said["ROLLSTEP_STABLE_IMAGES"])
	assert.Empty(t, said["ROLLSTEP_CANARY_IMAGES"])
	assert.Empty(t, said["ROLLSTEP_PREVIEW_URL"])
	assert.Contains(t, promoted.Report("report.html"), "image: "+image+"v2", "the diff")
	assert.Equal(t, "nothing", dotenv(p.Run("promote"))["ROLLSTEP_OUTCOME"])
}

// The address of a load balancer is waited for; the canary serves without it.
func TestReports_findALoadBalancersAddress(t *testing.T) {
	s := released(t, few(t, "v1", 2))
	job := s.Pipeline(2, few(t, "v2", 2)).With("ROLLSTEP_PREVIEW=LoadBalancer").Run("canary").Succeeds("reaches only the canary")
	assert.Regexp(t, `^http://127\.\d+\.\d+\.\d+(:\d+)?$`, dotenv(job)["ROLLSTEP_PREVIEW_URL"])
}

func TestReports_ofWhatFails(t *testing.T) {
	s := released(t, few(t, "v1", 2))
	p := s.Pipeline(2, few(t, "v2-crash", 2))

	failed := p.Run("canary").Exits(3)
	said := dotenv(failed)
	assert.Equal(t, "failed", said["ROLLSTEP_OUTCOME"])
	assert.Equal(t, "rolled-back", said["ROLLSTEP_PHASE"])
	assert.Contains(t, failures(t, failed)["the canary's pods become ready and serve"], "Deployment app-canary cannot become ready")
	for _, report := range []string{"junit.xml", "report.html"} {
		assert.Contains(t, failed.Report(report), "panic: cannot open database: connection refused", report)
	}

	mistaken := p.With("ROLLSTEP_TIMEOUT=soon").Run("canary").Exits(2)
	assert.Equal(t, "misconfigured", dotenv(mistaken)["ROLLSTEP_OUTCOME"])
	assert.Contains(t, failures(t, mistaken)["the configuration and the manifests can be read"], "ROLLSTEP_TIMEOUT")

	unknown := p.Run("cannary").Exits(2)
	assert.Contains(t, fmt.Sprint(failures(t, unknown)), `there is no stage "cannary"`)

	s.Pipeline(4, few(t, "v3", 2)).Run("canary").Succeeds()
	refused := s.Pipeline(3, few(t, "v2", 2)).Run("canary").Exits(5)
	assert.Equal(t, "refused", dotenv(refused)["ROLLSTEP_OUTCOME"])
	assert.Contains(t, fmt.Sprint(links(t, refused)), "https://gitlab.example.com/shop/app/-/jobs/", "whose rollout it is")
}

// A Secret's content is in no report.
func TestReports_hideSecrets(t *testing.T) {
	const secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: %s}\n"
	files := few(t, "v1", 2)
	s := released(t, files.With("secret.yaml", fmt.Sprintf(secret, "first-s3cret")))
	for _, stage := range []string{"plan", "canary", "promote"} {
		job := s.Pipeline(2, files.With("secret.yaml", fmt.Sprintf(secret, "second-s3cret"))).Run(stage)
		for _, report := range []string{"rollstep.env", "junit.xml", "annotations.json", "report.html"} {
			assert.NotContains(t, job.Report(report), "s3cret", "%s of %s", report, stage)
		}
		assert.NotContains(t, job.Report("report.html"), "czNjcmV0", "in base64")
		assert.NotContains(t, job.Log(), "s3cret")
	}
}

// A cancelled job reports too, whatever it was waiting for.
func TestReports_areWrittenWhenTheJobIsCancelled(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ stage, hangs string }{
		{"plan", "/deployments/app"}, {"apply", "/deployments/app"}, {"canary", "/deployments/app-canary"},
		{"promote", "/secrets"}, {"rollback", "/deployments"}, {"status", "/events"}, {"sweep", "/secrets"},
	} {
		t.Run(test.stage, func(t *testing.T) {
			s := released(t, few(t, "v1", 2))
			p := s.Pipeline(2, few(t, "v2", 2))
			if test.stage != "apply" && test.stage != "canary" {
				p.Run("canary").Succeeds()
			}
			between := s.Between()
			between.HangAt(test.hangs)
			job := p.Through(between).Start(test.stage)
			job.CancelHanging(between)
			job.Exits(143, "cancelled (SIGTERM)")
			assert.Equal(t, "interrupted", dotenv(job)["ROLLSTEP_OUTCOME"])
			assert.Contains(t, job.Report("report.html"), "cancelled (SIGTERM)")
			assert.Contains(t, job.Report("junit.xml"), "<testcase")
			assert.NotEmpty(t, job.Report("annotations.json"))
		})
	}
}

// A job log stays short and readable however many objects there are.
func TestLog_staysShort(t *testing.T) {
	s := space(t)
	var many strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&many, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings-%d}\ndata: {number: %q}\n", i, fmt.Sprint(i))
	}
	files := few(t, "v1", 2).With("many.yaml", many.String())
	changed := files.With("many.yaml", strings.ReplaceAll(many.String(), "{number: ", "{more: \"1\", number: "))
	for i, run := range []struct {
		files labtest.Files
		stage string
	}{{files, "plan"}, {files, "apply"}, {changed, "plan"}, {changed, "apply"}, {few(t, "v1", 2), "apply"}} {
		job := s.Pipeline(i+1, run.files).Run(run.stage).Succeeds()
		assert.Less(t, len(job.Log()), 100_000, "bytes of the log of %s", run.stage)
		if len(run.files) == len(files) {
			assert.True(t, strings.Contains(job.Report("report.html"), "ConfigMap settings-999"), "the report of %s has every object", run.stage)
		}
	}
	assert.NotNil(t, s.Get(labtest.ConfigMaps, "settings-999"))
}

// Nor does the number of pods make it longer. It is too busy for others beside it.
func TestLog_staysShortWithAThousandPods(t *testing.T) {
	s := labtest.New(t, run)
	for i, run := range []struct{ tag, stage string }{{"v1", "canary"}, {"v2", "canary"}, {"v2", "status"}, {"v2", "promote"}} {
		job := s.Pipeline(1+min(i, 1), few(t, run.tag, 1000)).With("ROLLSTEP_TIMEOUT=20m", "ROLLSTEP_WEIGHT=50").Start(run.stage)
		job.WaitAtMost(20 * time.Minute)
		assert.Less(t, len(job.Succeeds().Log()), 20_000, "bytes of the log of %s", run.stage)
		assert.Less(t, len(job.Report("report.html")), 200_000, "bytes of the page of %s", run.stage)
	}
}

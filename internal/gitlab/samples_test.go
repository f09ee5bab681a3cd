package gitlab

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var samplesDir = flag.String("samples", "", "write the sample reports, and what a browser shows of them, into this directory")

// samples are reports as stages fill them.
func samples() map[string]*Report {
	return map[string]*Report{
		"canary":        canaryReport(),
		"failed":        failedReport(),
		"plan":          planReport(),
		"promote":       promoteReport(),
		"refused":       refusedReport(),
		"misconfigured": misconfiguredReport(),
		"interrupted":   interruptedReport(),
		"status":        statusReport(),
		"nothing":       nothingReport(),
		"empty":         {},
	}
}

func TestWrite_samples(t *testing.T) {
	dir := *samplesDir
	if dir == "" {
		dir = t.TempDir()
	}
	for name, r := range samples() {
		require.NoError(t, r.Write(filepath.Join(dir, name)))
		files, err := os.ReadDir(filepath.Join(dir, name))
		require.NoError(t, err)
		var names []string
		for _, f := range files {
			names = append(names, f.Name())
		}
		assert.Subset(t, names, []string{DotenvFile, JUnitFile, AnnotationsFile, PageFile})
	}
}

var began = time.Date(2026, 3, 17, 14, 2, 11, 0, time.UTC)

const (
	v1 = "registry.example.com/shop/app:v1.8.3"
	v2 = "registry.example.com/shop/app:v1.9.0"
)

func base(stage string, took time.Duration) *Report {
	return &Report{
		Version: "v0.4.0", Stage: stage, Release: "shop-app", Namespace: "shop", Cluster: "production-eu",
		Job: Job{Name: stage, URL: "https://gitlab.example.com/shop/app/-/jobs/88213", Pipeline: "412",
			PipelineURL: "https://gitlab.example.com/shop/app/-/pipelines/71932", Commit: "9f3c21ab", Ref: "main",
			Person: "margarethe", Environment: "production"},
		Began: began, Ended: began.Add(took), Outcome: Done, Phase: "canary",
		EnvironmentURL: "https://shop.example.com/", URL: "https://gitlab.example.com/shop/app/-/jobs/88213/artifacts/file/rollstep/report.html",
		History: []Event{
			{began.Add(-26 * time.Hour), "promoted", "5be20d71", "margarethe, pipeline 409", "https://gitlab.example.com/shop/app/-/jobs/87990"},
			{began.Add(-27 * time.Hour), "canary 10 %", "5be20d71", "margarethe, pipeline 409", "https://gitlab.example.com/shop/app/-/jobs/87981"},
			{began.Add(-74 * time.Hour), "rolled back", "c07a11f4", "jonas, pipeline 401", ""},
			{began.Add(-75 * time.Hour), "canary 10 %", "c07a11f4", "jonas, pipeline 401", ""},
		},
	}
}

func at(seconds int, share float64, pods ...int) Sample {
	s := Sample{At: began.Add(time.Duration(seconds) * time.Second), Ready: pods}
	if share >= 0 {
		s.Achieved = &share
	}
	return s
}

func canaryReport() *Report {
	r := base("canary", 94*time.Second)
	r.Job.Name = "canary 20%"
	r.Verdict = "canary is healthy: app-canary has 20.0 % of Service app"
	r.Next = "promote, another weight, or rollback"
	r.Asked, r.Achieved = new(20.0), new(20.0)
	r.StableImages, r.CanaryImages = []string{v1}, []string{v2}
	r.Previews = []Link{
		{"Service app-canary", "https://app-canary.shop.example.com/"},
		{"Service app-canary in namespace shop", ""},
	}
	r.Serving = []Serving{{"app", []ImageShare{{v1, 8, 80}, {v2, 2, 20}}}}
	r.Warnings = []string{
		`Service "app" has session affinity (ClientIP): clients stay with the version they met first, so the share of requests differs from that of pods`,
		`the PodDisruptionBudget "app" selects canary pods, too: it counts them as its own`,
	}
	r.Checks = []Check{
		{Name: "the cluster answers", Took: 41 * time.Millisecond},
		{Name: "the server accepts 7 objects", Took: 310 * time.Millisecond},
		{Name: "Deployment app-canary is ready", Took: 33 * time.Second},
		{Name: "Deployment app is ready", Took: 9400 * time.Millisecond},
		{Name: "the canary stays healthy for 10s", Took: 10 * time.Second},
	}
	r.Timelines = []Timeline{{
		Workload: "Deployment app", Wanted: 10, Asked: r.Asked,
		Series: []Series{{"v1.8.3", false}, {"v1.9.0", true}},
		Samples: []Sample{at(0, -1, 10), at(2, 0, 10, 0), at(24, 9.1, 10, 1), at(27, 16.7, 10, 2), at(34, 18.2, 9, 2),
			at(40, 20, 8, 2), at(94, 20, 8, 2)},
	}}
	r.History = append([]Event{{began.Add(93 * time.Second), "canary 20 %", "9f3c21ab", "margarethe, pipeline 412", r.Job.URL}}, r.History...)
	return r
}

const crashLoop = `  CrashLoopBackOff: container app ends again and again with exit code 1 (3 times so far)
    2 pods: app-canary-6c9f7d7d4b-8xk2p, app-canary-6c9f7d7d4b-tn5vw, for 41s
    → read its log below: the application ends by itself
    log of app-canary-6c9f7d7d4b-8xk2p, container app, before its last restart:
      2026-03-17T14:02:39Z INFO  starting shop/app v1.9.0 (build 9f3c21ab)
      2026-03-17T14:02:39Z INFO  configuration: /etc/app/config.yaml
      2026-03-17T14:02:40Z ERROR payment provider: unknown key "retries.backoff" in /etc/app/config.yaml:14
      2026-03-17T14:02:40Z FATAL cannot start: configuration is invalid
      goroutine 1 [running]:
      main.main()
      	/src/cmd/app/main.go:87 +0x1d4
    events:
      Warning BackOff (4 times, last 6s ago): Back-off restarting failed container app in pod app-canary-6c9f7d7d4b-8xk2p_shop
`

func failedReport() *Report {
	r := base("canary", 71*time.Second)
	r.Outcome, r.ExitCode, r.Phase = Failed, 3, "rolled back"
	r.Verdict = "Deployment app-canary cannot become ready: container app ends again and again with exit code 1"
	r.Next = "correct the configuration in ConfigMap app-config, then run canary again; 10 pods of v1.8.3 serve, the canary is removed"
	r.Asked = new(20.0)
	r.StableImages = []string{v1}
	r.Serving = []Serving{{"app", []ImageShare{{v1, 10, 100}}}}
	r.Checks = []Check{
		{Name: "the cluster answers", Took: 38 * time.Millisecond},
		{Name: "the server accepts 7 objects", Took: 290 * time.Millisecond},
		{Name: "Deployment app-canary is ready", Took: 52 * time.Second, Failure: "container app ends again and again with exit code 1 (3 times so far)"},
		{Name: "Deployment app is ready", Skipped: true},
		{Name: "the canary stays healthy for 10s", Skipped: true},
	}
	r.Diagnoses = []Diagnosis{{"Deployment app-canary", crashLoop}}
	r.Timelines = []Timeline{{
		Workload: "Deployment app", Wanted: 10, Asked: r.Asked,
		Series: []Series{{"v1.8.3", false}, {"v1.9.0", true}},
		Samples: []Sample{at(0, -1, 10), at(2, 0, 10, 0), at(19, 9.1, 10, 1), at(21, 0, 10), at(33, 16.7, 10, 2), at(36, 0, 10),
			at(71, 0, 10)},
	}}
	r.History = append([]Event{{began.Add(70 * time.Second), "canary failed, rolled back", "9f3c21ab", "margarethe, pipeline 412", r.Job.URL}}, r.History...)
	return r
}

const deploymentDiff = `@@ -18,14 +18,15 @@
         app.gitlab.com/env: production
       labels:
         app: app
         track: stable
     spec:
       containers:
       - env:
         - name: LOG_LEVEL
-          value: debug
-        image: registry.example.com/shop/app:v1.8.3
+          value: info
+        - name: FEATURES
+          value: checkout-v2,express-pay
+        image: registry.example.com/shop/app:v1.9.0
         imagePullPolicy: IfNotPresent
         name: app
         ports:`

func planReport() *Report {
	r := base("plan", 2300*time.Millisecond)
	r.Phase, r.Job.Ref = "", "merge-requests/118"
	r.Verdict = "plan: canary creates app-canary; promote brings release 9f3c21ab to everyone"
	r.StableImages, r.CanaryImages = []string{v1}, []string{v2}
	r.Serving = []Serving{{"app", []ImageShare{{v1, 10, 100}}}}
	r.Warnings = []string{"of 10 pods, 2 canary pods (20.0 %) are the nearest to 15 %"}
	r.Changes = []Change{
		{"ConfigMap app-config", "shop", "changed", "@@ -3,6 +3,7 @@\n data:\n   config.yaml: |\n     listen: :8080\n+    retries: 3\n-    timeout: 30s\n+    timeout: 10s\n kind: ConfigMap\n metadata:"},
		{"Secret app-payments", "shop", "changed", "@@ -1,6 +1,6 @@\n apiVersion: v1\n data:\n-  token: (hidden)\n+  token: (hidden, new value)\n   user: (hidden)\n kind: Secret\n metadata:"},
		{"Deployment app", "shop", "changed", deploymentDiff},
		{"PodDisruptionBudget app", "shop", "created", "@@ -0,0 +1,12 @@\n+apiVersion: policy/v1\n+kind: PodDisruptionBudget\n+metadata:\n+  name: app\n+  namespace: shop\n+spec:\n+  minAvailable: 8\n+  selector:\n+    matchLabels:\n+      app: app\n+      track: stable"},
		{"NetworkPolicy app-egress", "shop-egress", "created", ""},
	}
	r.Unchanged = 4
	r.Checks = []Check{
		{Name: "the cluster answers", Took: 35 * time.Millisecond},
		{Name: "the server accepts 9 objects", Took: 402 * time.Millisecond},
		{Name: "the identity has all permissions that the stages need", Took: 121 * time.Millisecond},
	}
	return r
}

func promoteReport() *Report {
	r := base("promote", 3*time.Minute+48*time.Second)
	r.Phase = "promoted"
	r.Verdict = "promoted release 9f3c21ab"
	r.StableImages = []string{v2}
	r.Serving = []Serving{{"app", []ImageShare{{v2, 10, 100}}}, {"app-admin", []ImageShare{{v2, 10, 100}}}}
	series := []Series{{"v1.8.3", false}, {"v1.9.0", true}, {"v1.9.0", false}}
	samples := []Sample{at(0, 20, 8, 2, 0)}
	for i := range 8 {
		samples = append(samples, at(20+i*20, 100*2/float64(11), 8-i, 2, i+1))
	}
	samples = append(samples, at(180, 100*2/12.0, 0, 2, 10), at(205, 0, 0, 0, 10), at(228, 0, 0, 0, 10))
	r.Timelines = []Timeline{
		{Workload: "Deployment app", Wanted: 10, Series: series, Samples: samples},
		{Workload: "Deployment worker", Wanted: 3, Series: []Series{{"v1.8.3", false}, {"v1.9.0", false}},
			Samples: []Sample{at(0, -1, 3, 0), at(31, -1, 3, 1), at(40, -1, 2, 1), at(62, -1, 2, 2), at(70, -1, 1, 2), at(95, -1, 1, 3), at(104, -1, 0, 3), at(228, -1, 0, 3)}},
	}
	r.Checks = []Check{
		{Name: "the canary tested what the manifests say", Took: 4 * time.Millisecond},
		{Name: "Deployment app is ready", Took: 178 * time.Second},
		{Name: "Deployment worker is ready", Took: 104 * time.Second},
		{Name: "the canary is removed", Took: 22 * time.Second},
	}
	r.History = append([]Event{{began.Add(205 * time.Second), "promoted", "9f3c21ab", "margarethe, pipeline 412", r.Job.URL}}, r.History...)
	return r
}

func refusedReport() *Report {
	r := base("promote", 31*time.Second)
	r.Outcome, r.ExitCode = Refused, 5
	r.Verdict = "the rollout was taken over by pipeline 413 (job canary 10%, by jonas)"
	r.Next = "promote there, or run canary in this pipeline to take the rollout back"
	r.Holder = &Link{"pipeline 413, job canary 10%, by jonas", "https://gitlab.example.com/shop/app/-/jobs/88240"}
	r.Serving = []Serving{{"app", []ImageShare{{v1, 9, 90}, {"registry.example.com/shop/app:v1.9.1", 1, 10}}}}
	r.StableImages, r.CanaryImages = []string{v1}, []string{"registry.example.com/shop/app:v1.9.1"}
	r.Checks = []Check{
		{Name: "the cluster answers", Took: 36 * time.Millisecond},
		{Name: "the rollout is this pipeline's", Took: 12 * time.Millisecond, Failure: "the rollout was taken over by pipeline 413 (job canary 10%, by jonas)"},
	}
	return r
}

func misconfiguredReport() *Report {
	r := base("canary", 240*time.Millisecond)
	r.Outcome, r.ExitCode, r.Phase = Misconfigured, 2, ""
	r.Verdict = "3 mistakes in the configuration and the manifests; nothing was changed"
	r.Next = "correct them and push"
	r.Warnings = nil
	r.Diagnoses = []Diagnosis{{"Configuration and manifests", `ROLLSTEP_WEIGHT: "150" is no weight: a weight is from 0 to 100 percent
k8s/deploy.yaml: Deployment app: spec.template.spec.containers[0].image: the server refuses an empty value
k8s/service.yaml:7: Service app: unknown field "spec.selectors" (did you mean spec.selector?)`}}
	r.History = nil
	return r
}

func interruptedReport() *Report {
	r := base("canary", 17*time.Second)
	r.Outcome, r.ExitCode = Interrupted, 143
	r.Verdict = "interrupted by SIGTERM while Deployment app-canary became ready; 10 pods of v1.8.3 serve"
	r.Next = "run the job again, it goes on where this one stopped; or rollback"
	r.Asked, r.Achieved = new(50.0), new(0.0)
	r.StableImages, r.CanaryImages = []string{v1}, []string{v2}
	r.Serving = []Serving{{"app", []ImageShare{{v1, 10, 100}}}}
	r.Timelines = []Timeline{{Workload: "Deployment app", Wanted: 10, Asked: r.Asked, Series: []Series{{"v1.8.3", false}, {"v1.9.0", true}},
		Samples: []Sample{at(0, 0, 10), at(9, 9.1, 10, 1), at(13, 23.1, 10, 3), at(17, 23.1, 10, 3)}}}
	return r
}

func statusReport() *Report {
	r := base("status", 900*time.Millisecond)
	digest := "registry.example.com/shop/search@sha256:4bf5b8cbf3a0dc4a1e4a8d1d5d4b0e39e1e6c1e1bd6a60f1c1a9a8f0f3f0a2c1"
	r.Verdict = "a canary is in flight at 20 %"
	r.Next = "promote, another weight, or rollback"
	r.Asked, r.Achieved = new(20.0), new(18.2)
	r.StableImages, r.CanaryImages = []string{v1}, []string{v2}
	r.Evidence = []Evidence{
		{Deployment: "app", Pods: 9, Sampled: 5, Errors: 1, Lines: []string{`2026-03-17T14:01:07Z ERROR upstream timed out after 30s (GET /cart)`}},
		{Deployment: "app-canary", Canary: true, Pods: 2, Restarts: 3, Warnings: []string{"BackOff (4)", "Unhealthy (2)"}, Sampled: 2, Errors: 41,
			Lines: []string{`2026-03-17T14:02:40Z ERROR payment provider: unknown key "retries.backoff"`, `2026-03-17T14:02:52Z ERROR payment provider: giving up after 5 tries`}},
		{Deployment: "search-canary", Canary: true},
	}
	r.Previews = []Link{{"Service app-canary", "http://203.0.113.9:30080/"}, {"namespace shop: Service search-canary", ""}}
	r.Serving = []Serving{
		{"app", []ImageShare{{v1, 9, 81.8}, {v2, 2, 18.2}}},
		{"shop-search/search", []ImageShare{{digest, 3, 100}}},
		{"batch", nil},
	}
	return r
}

func nothingReport() *Report {
	r := base("apply", 1100*time.Millisecond)
	r.Outcome, r.Phase = Nothing, ""
	r.Verdict = "nothing to apply: live is what the manifests say"
	r.Unchanged = 7
	r.Serving = []Serving{{"app", []ImageShare{{v1, 10, 100}}}}
	return r
}

const hostile = "</style></title><script>alert(1)</script><img src=x onerror=alert(2)> \"' & \x00\x07\x1b[31m \u202Eesrever\u202C \u05e9\u05dc\u05d5\u05dd \uFFFE \xff ]]>\r\nsecond line"

// hostileReport has the same foreign text everywhere.
func hostileReport() *Report {
	x := hostile
	script := Link{x, "javascript:alert(3)"}
	when := began
	return &Report{
		Version: x, Stage: x, Release: x, Namespace: x, Cluster: x,
		Job:   Job{Name: x, URL: "javascript:alert(4)", Pipeline: x, PipelineURL: "data:text/html,<script>alert(5)</script>", Commit: x, Ref: x, Person: x, Environment: x},
		Began: when, Ended: when.Add(time.Minute), Outcome: Outcome(x), ExitCode: 3, Verdict: x, Next: x, Phase: x,
		Asked: new(1e300), Achieved: new(-4.0), StableImages: []string{x, "a b", "c,d", "ok:v1"}, CanaryImages: []string{x},
		Previews: []Link{script, {x, "https://e.test/\"><script>alert(6)</script>"}, {x, ""}},
		Serving:  []Serving{{x, []ImageShare{{x, 3, 1e9}, {x, -1, -5}}}}, Warnings: []string{x},
		Checks: []Check{{Name: x, Failure: x}, {Name: x, Took: -time.Second}, {Name: x, Skipped: true}},
		Timelines: []Timeline{{Workload: x, Wanted: 3, Asked: new(-1.0), Series: []Series{{x, true}, {x, false}},
			Samples: []Sample{{when, []int{1, -2, 3}, new(200.0)}, {when.Add(-time.Hour), nil, nil}, {when.Add(time.Second), []int{5, 5}, nil}, {when.Add(time.Minute), nil, nil}}}},
		Changes:   []Change{{x, x, x, "+" + x + "\n-" + x + "\n\n@@ " + x}},
		Evidence:  []Evidence{{Deployment: x, Warnings: []string{x}, Sampled: -1, Lines: []string{x}}},
		Diagnoses: []Diagnosis{{x, x}}, History: []Event{{when, x, x, x, "javascript:alert(7)"}},
		Holder: &script, EnvironmentURL: "JavaScript:alert(8)", URL: "vbscript:x",
	}
}

// largeReport is far more than anybody reads.
func largeReport() *Report {
	r := canaryReport()
	random := rand.New(rand.NewPCG(1, 2))
	r.Changes, r.Checks, r.History, r.Warnings = nil, nil, nil, nil
	for i := range 1000 {
		name := fmt.Sprintf("ConfigMap settings-of-a-rather-long-name-%04d", i)
		diff := strings.Repeat("+\n-\n", 20)
		if i%100 == 0 {
			diff = "@@ -1,3 +1,3 @@\n" + strings.Repeat("+  \"<key>\": '&'\n-\n \n", 100_000)
		}
		r.Changes = append(r.Changes, Change{name, fmt.Sprintf("namespace-%d", i), "changed", diff})
		r.Checks = append(r.Checks, Check{Name: fmt.Sprintf("%s is applied", name), Took: time.Duration(i) * time.Millisecond, Failure: strings.Repeat("\"why\" ", 1000)})
		r.History = append(r.History, Event{began, name, "9f3c21ab", "margarethe", r.Job.URL})
		r.Warnings = append(r.Warnings, strings.Repeat("<warning> ", 200))
		r.Diagnoses = append(r.Diagnoses, Diagnosis{name, strings.Repeat("→ \"log\"\n", 10_000)})
		r.StableImages = append(r.StableImages, fmt.Sprintf("registry.example.com/shop/app-%d:v1", i))
		r.Evidence = append(r.Evidence, Evidence{Deployment: name, Warnings: []string{strings.Repeat("BackOff ", 20)}, Lines: []string{strings.Repeat("error ", 10_000)}})
		r.Previews = append(r.Previews, Link{name, "https://example.com/" + strings.Repeat("a", i)})
	}
	r.Timelines = nil
	for w := range 40 {
		t := Timeline{Workload: fmt.Sprintf("Deployment app-%d", w), Wanted: 100, Asked: new(30.0)}
		for s := range 6 {
			t.Series = append(t.Series, Series{fmt.Sprintf("v%d", s), s%2 == 0})
		}
		for i := range 1000 {
			s := at(i, random.Float64()*100)
			for range t.Series {
				s.Ready = append(s.Ready, random.IntN(20))
			}
			t.Samples = append(t.Samples, s)
		}
		r.Timelines = append(r.Timelines, t)
	}
	return r
}

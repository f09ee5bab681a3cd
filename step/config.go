package step

import (
	"cmp"
	"errors"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v10"
	"k8s.io/apimachinery/pkg/util/validation"

	"gitlab.com/rollstep/rollstep/internal/gitlab"
	"gitlab.com/rollstep/rollstep/internal/hint"
	"gitlab.com/rollstep/rollstep/internal/record"
)

// Config is all that a job says, read once from its environment variables and
// arguments. Empty variables count as unset. The help tags are the reference
// that `rollstep help` prints.
type Config struct {
	Kubeconfig string `env:"KUBECONFIG" help:"the cluster: path of a kubeconfig (in GitLab a variable of type File)"`
	Context    string `env:"KUBE_CONTEXT" help:"context in KUBECONFIG" default:"the current one, or the only one"`
	Namespace  string `env:"KUBE_NAMESPACE" help:"namespace of the release and of objects that name none" default:"the context's, else default"`

	Stage     string `env:"ROLLSTEP_STAGE" help:"the stage, where no argument says it" default:"CI_JOB_STAGE"`
	Manifests string `env:"ROLLSTEP_MANIFESTS" help:"file, directory or kustomization" envDefault:"k8s"`
	Image     string `env:"ROLLSTEP_IMAGE" help:"image(s) to set: repo/app:tag, or name=repo/app:tag separated by commas or spaces"`
	Release   string `env:"ROLLSTEP_RELEASE" help:"name of the release" default:"CI_PROJECT_PATH_SLUG, else the manifests directory's name"`

	Weight   Weight `env:"ROLLSTEP_WEIGHT" help:"share of the traffic that canary asks for, in percent; an argument wins: rollstep canary 25%" envDefault:"10"`
	Replicas *Count `env:"ROLLSTEP_CANARY_REPLICAS" help:"exact number of canary pods, instead of a weight"`

	TrackLabel string  `env:"ROLLSTEP_TRACK_LABEL" help:"key of the label that tells the tracks apart" envDefault:"track"`
	Preview    Preview `env:"ROLLSTEP_PREVIEW" help:"type of the Service that reaches only the canary: ClusterIP, NodePort, LoadBalancer or off" envDefault:"ClusterIP"`

	Timeout    time.Duration `env:"ROLLSTEP_TIMEOUT" help:"bound of the whole stage, such as 90s or 10m; always below what is left of the job's own timeout" envDefault:"10m"`
	Settle     time.Duration `env:"ROLLSTEP_SETTLE" help:"how long a canary must stay healthy" envDefault:"10s"`
	OnFailure  OnFailure     `env:"ROLLSTEP_ON_FAILURE" help:"rollback, or hold to leave everything for inspection" envDefault:"rollback"`
	SkipCanary bool          `env:"ROLLSTEP_SKIP_CANARY" help:"allow promote without a canary: true or false" envDefault:"false"`

	MaxAge time.Duration `env:"ROLLSTEP_MAX_AGE" help:"for sweep: how long nobody may have worked on a rollout" envDefault:"24h"`
	DryRun bool          `env:"ROLLSTEP_DRY_RUN" help:"for sweep: only say what it would do: true or false" envDefault:"false"`

	ReportDir string `env:"ROLLSTEP_REPORT_DIR" help:"directory for the reports: rollstep.env, junit.xml, annotations.json and report.html" envDefault:"rollstep-report"`

	NoColor string `env:"NO_COLOR" help:"anything: no colours"`

	CI CI
}

// CI is what GitLab says about the job; all of it is empty elsewhere.
type CI struct {
	CI              string `env:"CI"`
	JobStage        string `env:"CI_JOB_STAGE"`
	JobID           string `env:"CI_JOB_ID"`
	JobName         string `env:"CI_JOB_NAME"`
	JobURL          string `env:"CI_JOB_URL"`
	JobTimeout      string `env:"CI_JOB_TIMEOUT"`
	JobStarted      string `env:"CI_JOB_STARTED_AT"`
	PipelineID      string `env:"CI_PIPELINE_ID"`
	PipelineIID     string `env:"CI_PIPELINE_IID"`
	PipelineURL     string `env:"CI_PIPELINE_URL"`
	CommitSHA       string `env:"CI_COMMIT_SHA"`
	CommitRef       string `env:"CI_COMMIT_REF_NAME"`
	ProjectSlug     string `env:"CI_PROJECT_PATH_SLUG"`
	ProjectDir      string `env:"CI_PROJECT_DIR"`
	Environment     string `env:"CI_ENVIRONMENT_SLUG"`
	EnvironmentName string `env:"CI_ENVIRONMENT_NAME"`
	EnvironmentURL  string `env:"CI_ENVIRONMENT_URL"`
	GitLabUser      string `env:"GITLAB_USER_LOGIN"`
	User            string `env:"USER"`
	Host            string `env:"HOSTNAME"`
	environ         map[string]string
	parsedPipeline  [2]int64
}

// Load reads the configuration of one run from the program's arguments and its
// environment ("KEY=value"). All mistakes are reported together.
func Load(args, environ []string) (Config, error) {
	variables := map[string]string{}
	for _, entry := range environ {
		if key, value, ok := strings.Cut(entry, "="); ok && strings.TrimSpace(value) != "" {
			variables[key] = strings.TrimSpace(value)
		}
	}
	var c Config
	var mistakes []error
	var several env.AggregateError
	if err := env.ParseWithOptions(&c, env.Options{Environment: variables}); errors.As(err, &several) {
		mistakes = append(mistakes, unparsed(several, variables)...)
	} else if err != nil {
		mistakes = append(mistakes, err)
	}
	c.CI.environ = variables
	mistakes = append(mistakes, c.readArguments(args)...)
	if _, known := Find(c.Stage); !known {
		mistakes = append(mistakes, unknownStage(c.Stage, c.CI.JobStage))
	}
	mistakes = append(mistakes, c.check(variables)...)
	return c, configuration(errors.Join(mistakes...))
}

// unparsed tells which variable could not be read, and what it may be.
func unparsed(several env.AggregateError, variables map[string]string) []error {
	var mistakes []error
	for _, err := range several.Errors {
		var one env.ParseError
		if !errors.As(err, &one) {
			mistakes = append(mistakes, err)
			continue
		}
		field, _ := reflect.TypeFor[Config]().FieldByName(one.Name)
		name := field.Tag.Get("env")
		mistakes = append(mistakes, hint.Errorf(next(one), "%s: %q is no %s", name, variables[name], what(one.Type)))
	}
	return mistakes
}

func what(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "duration"
	case reflect.TypeFor[bool]():
		return "yes or no"
	case reflect.TypeFor[Weight]():
		return "weight"
	case reflect.TypeFor[*Count](), reflect.TypeFor[Count]():
		return "number of pods"
	case reflect.TypeFor[Preview]():
		return "type of a preview Service"
	}
	return "value that this variable can have"
}

func next(err env.ParseError) string {
	switch err.Type {
	case reflect.TypeFor[time.Duration]():
		return "Write a number and a unit: 90s, 10m, 1h30m"
	case reflect.TypeFor[bool]():
		return "Write true or false"
	case reflect.TypeFor[Weight]():
		return "Write a whole number of percent from 0 to 100: 25 or 25%"
	case reflect.TypeFor[*Count](), reflect.TypeFor[Count]():
		return "Write a whole number, 0 or more"
	case reflect.TypeFor[Preview]():
		return "Write ClusterIP, NodePort, LoadBalancer or off"
	}
	return "Write rollback or hold"
}

func (c *Config) readArguments(args []string) []error {
	var mistakes []error
	if len(args) > 0 {
		c.Stage = args[0]
		args = args[1:]
	}
	c.Stage = cmp.Or(c.Stage, c.CI.JobStage)
	if len(args) > 0 && c.Stage == "canary" {
		if err := c.Weight.UnmarshalText([]byte(args[0])); err != nil {
			mistakes = append(mistakes, hint.Errorf("Write a whole number of percent from 0 to 100: rollstep canary 25%",
				"rollstep canary: %q is no weight", args[0]))
		}
		c.Replicas = nil
		args = args[1:]
	}
	if len(args) > 0 {
		mistakes = append(mistakes, hint.Errorf("Everything else is said by variables: rollstep help lists them",
			"rollstep %s takes no argument %q", c.Stage, strings.Join(args, " ")))
	}
	return mistakes
}

var labelKey = regexp.MustCompile(`^([a-z0-9.-]+/)?[A-Za-z0-9][A-Za-z0-9._-]*$`)

func (c *Config) check(variables map[string]string) []error {
	var mistakes []error
	if c.Release == "" {
		c.Release = cmp.Or(c.CI.ProjectSlug, directoryName(c.Manifests))
	}
	if wrong := validation.IsDNS1123Label(c.Release); len(wrong) > 0 {
		mistakes = append(mistakes, hint.Errorf("Set ROLLSTEP_RELEASE to lower-case letters, digits and dashes, 63 at most",
			"the release's name %q cannot be used: %s", c.Release, wrong[0]))
	}
	if wrong := validation.IsQualifiedName(c.TrackLabel); len(wrong) > 0 || !labelKey.MatchString(c.TrackLabel) {
		mistakes = append(mistakes, hint.Errorf("Use a label key such as track", "ROLLSTEP_TRACK_LABEL: %q is no label key", c.TrackLabel))
	}
	if _, err := time.ParseDuration(variables["ROLLSTEP_TIMEOUT"]); err == nil && c.Timeout <= 0 {
		mistakes = append(mistakes, hint.Errorf("Write how long the stage may take: 10m", "ROLLSTEP_TIMEOUT: %s leaves no time", c.Timeout))
	}
	if c.Settle < 0 {
		mistakes = append(mistakes, hint.Errorf("Write 0s or more", "ROLLSTEP_SETTLE: %s is negative", c.Settle))
	}
	for i, value := range []string{c.CI.PipelineID, c.CI.PipelineIID} {
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			c.CI.parsedPipeline[i] = n
		}
	}
	known := map[string]bool{}
	for _, name := range gitlab.ReportVariables() { // an earlier job's
		known[name] = true
	}
	for _, v := range variablesOf(reflect.TypeFor[Config]()) {
		known[v.Name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		if strings.HasPrefix(name, "ROLLSTEP_") && !known[name] && !strings.HasPrefix(name, "ROLLSTEP_TEST_") {
			mistakes = append(mistakes, hint.Errorf("Correct its name or remove it: rollstep help lists the variables", "there is no variable %s", name))
		}
	}
	return mistakes
}

// directoryName makes a release's name of where its manifests lie.
func directoryName(manifests string) string {
	absolute, err := filepath.Abs(manifests)
	if err != nil {
		return manifests
	}
	name := filepath.Base(absolute)
	name = strings.TrimSuffix(name, filepath.Ext(name))
	return strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(name), "-"), "-")
}

// InCI says whether the log is read in GitLab.
func (c *Config) InCI() bool { return c.CI.CI != "" }

// By is who runs the stage.
func (c *Config) By() record.By {
	ci := c.CI
	by := record.By{
		Person:      cmp.Or(ci.GitLabUser, ci.User),
		Job:         ci.JobName,
		JobURL:      ci.JobURL,
		PipelineID:  ci.parsedPipeline[0],
		PipelineIID: ci.parsedPipeline[1],
		PipelineURL: ci.PipelineURL,
		Commit:      ci.CommitSHA,
		Ref:         ci.CommitRef,
	}
	if by.PipelineID == 0 && ci.GitLabUser == "" && ci.Host != "" {
		by.Person = cmp.Or(by.Person, "somebody") + "@" + ci.Host
	}
	return by
}

// reserve is what a stage keeps of its time to restore what was serving.
const reserve = time.Minute

// Deadlines returns until when the stage may work towards its goal, and until
// when it must have ended.
func (c *Config) Deadlines(now time.Time) (work, end time.Time) {
	end = now.Add(c.Timeout)
	seconds, err := strconv.Atoi(c.CI.JobTimeout)
	if err == nil && seconds > 0 {
		started, err := time.Parse(time.RFC3339, c.CI.JobStarted)
		if err != nil {
			started = now
		}
		job := time.Duration(seconds) * time.Second
		if jobEnd := started.Add(job - min(job/10, 30*time.Second)); jobEnd.Before(end) {
			end = jobEnd
		}
	}
	left := max(0, end.Sub(now))
	return end.Add(-min(left/4, reserve)), end
}

// What to do with a rollout that failed.
const (
	RollBack OnFailure = "rollback"
	Hold     OnFailure = "hold"
)

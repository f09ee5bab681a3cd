package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// chapter is one way to roll out, with one of the examples.
type chapter struct {
	title, text        string
	example, manifests string
	scenes             []scene
}

// scene is a commit and the jobs that its pipeline runs.
type scene struct {
	title, text string
	message     string // of the commit, "" for none
	edits       []edit
	jobs        []job
}

// edit replaces a text in a file of the manifests.
type edit struct{ file, old, new string }

// job is one run of rollstep.
type job struct {
	run      string // its arguments, and the job's name
	pipeline int    // whose job it is, 0 for the newest
	gate     string // what the person does who runs it, "" if it starts by itself
	exit     int    // the exit code it must have
	want     shares // what the requests after it must show; nil: it changes nothing
}

type demo struct {
	tell    *teller
	cluster *cluster
	bin     string // where rollstep and lab are
	temp    string // for the Git repositories
	began   time.Time

	runs, requests int
	wrong          []string
}

func newDemo() (*demo, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	d := &demo{tell: newTeller(os.Stdout, os.Getenv), bin: filepath.Dir(self), began: time.Now()}
	if d.cluster, err = connect(os.Environ()); err != nil {
		return nil, err
	}
	if d.temp, err = os.MkdirTemp("", "rollstep-demo-"); err != nil {
		return nil, err
	}
	d.tell.printf("Cluster: %s", d.cluster)
	return d, nil
}

func (d *demo) cleanUp() error {
	if names := strings.Join(d.cluster.made, ", "); names != "" && !d.cluster.lab {
		d.tell.printf("\nRemoving the namespaces %s: the cluster goes on with that by itself.", names)
	}
	return errors.Join(os.RemoveAll(d.temp), d.cluster.removeNamespaces())
}

// reports is the directory of the jobs' reports, beside the binaries.
const reports = "demo-reports"

// sum says how all of it went.
func (d *demo) sum() error {
	if len(d.wrong) > 0 {
		return fmt.Errorf("not as told:\n  %s", strings.Join(d.wrong, "\n  "))
	}
	d.tell.heading("Done")
	d.tell.good("%d runs of rollstep, %s requests, none failed, in %.0f s", d.runs, thousands(d.requests), time.Since(d.began).Seconds())
	d.tell.printf("Each run left a report for people and for GitLab, for example %s", filepath.Join("bin", reports, "staged-04-canary", "report.html"))
	return nil
}

func (d *demo) chapter(ctx context.Context, n int, c chapter) error {
	d.tell.title(n, c.title)
	d.tell.printf("%s", c.text)
	namespace, err := d.cluster.newNamespace(ctx)
	if err != nil {
		return err
	}
	repo, err := newRepository(ctx, filepath.Join(d.temp, c.example), filepath.Join(d.bin, "..", "examples", c.example))
	if err != nil {
		return err
	}
	if !d.cluster.lab { // a load balancer costs money, and requests go through the API server
		if err := repo.edit(filepath.Join(c.manifests, "service.yaml"), "type: LoadBalancer", "type: ClusterIP"); err != nil {
			return err
		}
	}
	d.tell.printf("A copy of examples/%s, in namespace %s.", c.example, namespace)
	p := &project{demo: d, chapter: c, repo: repo, namespace: namespace}
	for _, s := range c.scenes {
		if err := p.scene(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// project is a GitLab project with its place in the cluster.
type project struct {
	*demo
	chapter
	repo      *repository
	namespace string
	commits   []string // the one of pipeline n at n-1
	jobs      int
}

func (p *project) scene(ctx context.Context, s scene) error {
	p.tell.heading(s.title)
	if s.text != "" {
		p.tell.printf("%s", s.text)
	}
	if s.message != "" {
		for _, e := range s.edits {
			if err := p.repo.edit(filepath.Join(p.manifests, e.file), e.old, e.new); err != nil {
				return err
			}
		}
		sha, change, err := p.repo.commit(ctx, s.message)
		if err != nil {
			return err
		}
		p.commits = append(p.commits, sha)
		p.tell.change(change)
	}
	for _, j := range s.jobs {
		if err := p.job(ctx, j); err != nil {
			return err
		}
	}
	return nil
}

// job runs rollstep as a job of GitLab does, with requests going on meanwhile.
func (p *project) job(ctx context.Context, j job) error {
	p.jobs++
	if j.gate != "" {
		p.tell.gate(j.gate, j.run)
	}
	var background *background
	if p.jobs > 1 && j.want != nil { // before the first job there is no Service
		background = p.sendUntilStopped(ctx, p.namespace)
	}
	p.tell.command("rollstep " + j.run)
	command := exec.CommandContext(ctx, filepath.Join(p.bin, "rollstep"), strings.Fields(j.run)...)
	command.Dir = p.repo.dir
	command.Env = append(clean(os.Environ()), p.variables(j)...)
	out := p.tell.output()
	command.Stdout, command.Stderr = out, out
	stopGently(command)
	err := command.Run()
	out.end()
	p.runs++
	var exit *exec.ExitError
	if err != nil && (ctx.Err() != nil || !errors.As(err, &exit)) {
		return cmp.Or(ctx.Err(), err)
	}
	if code := command.ProcessState.ExitCode(); code != j.exit {
		return fmt.Errorf("rollstep %s ended with exit code %d instead of %d", j.run, code, j.exit)
	} else if code != 0 {
		p.tell.good("exit code %d", code)
	}
	if background != nil {
		during, err := background.stop()
		if err != nil {
			return err
		}
		p.judge("meanwhile", during, nil)
	}
	if j.want == nil {
		return nil
	}
	if p.jobs == 1 { // nothing is sent in numbers to what does not answer
		if _, err := p.send(ctx, p.namespace, 1, 1); err != nil {
			return err
		}
	}
	after, err := p.send(ctx, p.namespace, 1000, 10)
	if err != nil {
		return err
	}
	p.judge("now", after, j.want)
	return nil
}

// judge says what requests came to, and notes what is wrong with it.
func (p *project) judge(when string, r result, want shares) {
	p.requests += r.total
	wrong := r.wrong(want)
	p.tell.requests(when, r, wrong)
	if wrong != "" {
		p.demo.wrong = append(p.demo.wrong, fmt.Sprintf("%s: %s", p.example, wrong))
	}
}

// variables are those that GitLab would give the job. CI is not among them: it
// would bring marks for GitLab's log viewer.
func (p *project) variables(j job) []string {
	pipeline := cmp.Or(j.pipeline, len(p.commits))
	return []string{
		"KUBE_NAMESPACE=" + p.namespace,
		"ROLLSTEP_MANIFESTS=" + p.manifests,
		"ROLLSTEP_SETTLE=3s", // the default of 10s is dull to watch
		"ROLLSTEP_REPORT_DIR=" + filepath.Join(p.bin, reports, fmt.Sprintf("%s-%02d-%s", p.example, p.jobs, strings.Fields(j.run)[0])),
		"CI_PROJECT_PATH_SLUG=demo-" + p.example,
		"CI_ENVIRONMENT_SLUG=production",
		"CI_COMMIT_REF_NAME=main",
		"CI_COMMIT_SHA=" + p.commits[pipeline-1],
		fmt.Sprintf("CI_PIPELINE_ID=%d", 100+pipeline),
		fmt.Sprintf("CI_PIPELINE_IID=%d", pipeline),
		fmt.Sprintf("CI_JOB_ID=%d", 1000+p.jobs),
		"CI_JOB_NAME=" + j.run,
		"GITLAB_USER_LOGIN=you",
	}
}

// clean leaves out what would steer rollstep from outside.
func clean(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return name == "CI" || strings.HasPrefix(name, "CI_") || strings.HasPrefix(name, "ROLLSTEP_") || strings.HasPrefix(name, "GIT")
	})
}

package step

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"gitlab.com/rollstep/rollstep/internal/canary"
	"gitlab.com/rollstep/rollstep/internal/cluster"
	"gitlab.com/rollstep/rollstep/internal/gitlab"
	"gitlab.com/rollstep/rollstep/internal/hint"
	"gitlab.com/rollstep/rollstep/internal/manifest"
	"gitlab.com/rollstep/rollstep/internal/record"
	"gitlab.com/rollstep/rollstep/internal/rollout"
	"gitlab.com/rollstep/rollstep/kubeconfig"
)

// run is one run of a stage: what it was told, and what it works with.
type run struct {
	Config
	log       *gitlab.Log
	report    *report
	by        record.By
	changes   bool                // the stage changes the cluster
	manifests *manifest.Manifests // nil for stages that read none

	cluster   *cluster.Client
	namespace string
	options   canary.Options
	store     *record.Store
	record    *record.Record

	began   time.Time
	work    time.Time // until when it may work towards its goal
	end     time.Time // until when it must have ended
	watcher *rollout.Watcher
	viewed  map[string]bool // namespaces that watcher watches
	before  restarts

	subjects map[string]*subjects // by namespace

	recalled map[string]bool // namespaces of releases that a lost record had

	generations map[record.Object]int64                 // of what this run wrote
	written     map[record.Object]time.Time             // when it wrote it last
	servicesIn  map[string][]*unstructured.Unstructured // by namespace, as listed
	// together: several workloads start at once and may wait for each other.
	together bool
}

// errOutOfTime ends the work of a stage that took too long.
var errOutOfTime = failed(hint.Errorf("If it only needs longer, raise ROLLSTEP_TIMEOUT (and the job's timeout)", "the time is up"))

// Run runs the stage that c names. loaded is what Load said of c: its mistakes
// are reported together with those of the manifests and of KUBECONFIG. The error
// says what happened and, by ExitCode and hint.Of, what follows.
func Run(ctx context.Context, c Config, loaded error, log *gitlab.Log, version string) (err error) {
	stage, _ := Find(c.Stage)
	began := time.Now()
	work, end := c.Deadlines(began)
	ctx, cancel := context.WithDeadlineCause(ctx, end, errOutOfTime)
	defer cancel()
	r := &run{
		Config: c, log: log, report: newReport(c, version, began), by: c.By(), changes: stage.changes, began: began, work: work, end: end,
		generations: map[record.Object]int64{}, written: map[record.Object]time.Time{},
		options:    canary.Options{Release: c.Release, TrackLabel: c.TrackLabel, App: c.CI.ProjectSlug, Env: c.CI.Environment},
		servicesIn: map[string][]*unstructured.Unstructured{}, viewed: map[string]bool{}, before: restarts{}, subjects: map[string]*subjects{},
	}
	defer func() { r.leave(err) }()
	r.check("the configuration and the manifests can be read")
	if err := errors.Join(loaded, r.prepare(stage, version)); err != nil {
		return configuration(err)
	}
	if stage.changes {
		r.check("no other job works on the release")
		held, unlock, err := r.lock(ctx)
		if err != nil {
			return preflight(err)
		}
		defer unlock()
		ctx = held
	}
	r.check("the cluster answers")
	if r.record, err = r.store.Read(ctx); err != nil {
		return preflight(cluster.Explain(err))
	}
	err = stage.run(ctx, r)
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(cause, context.Canceled) {
		r.reportServing()
		if errors.Is(cause, errOutOfTime) && !errors.Is(err, errOutOfTime) && ExitCode(err) == ExitFailed {
			return failed(hint.Errorf(hint.Of(errOutOfTime), "%w; %w", err, cause)) // what took the time
		}
		return cause // why the requests failed: a signal, the lost lock, the time
	}
	return err
}

// prepare reads everything that needs no cluster, so that all its mistakes are
// reported together.
func (r *run) prepare(stage Stage, version string) error {
	var mistakes []error
	if stage.manifests {
		m, err := manifest.Load(r.Manifests)
		if err == nil {
			manifest.EncodeSecrets(m.Objects)
			err = manifest.SetImages(m.Objects, r.Image)
		}
		r.manifests = m
		mistakes = append(mistakes, err)
	}
	kube, err := kubeconfig.Load(kubeconfig.Input{
		Kubeconfig: r.Kubeconfig, Context: r.Context, Namespace: r.Namespace, Environ: r.CI.environ,
	})
	mistakes = append(mistakes, err)
	if err := errors.Join(mistakes...); err != nil || stage.Name == "" {
		return err
	}
	for _, note := range kube.Notes {
		r.log.Note("%s", note)
	}
	r.namespace, r.report.Cluster = kube.Namespace, kube.Context
	r.options.Namespace = kube.Namespace
	if r.cluster, err = cluster.New(kube.Config, "rollstep/"+version); err != nil {
		return err
	}
	r.store = record.NewStore(r.cluster.Dynamic, r.namespace, r.Release)
	r.log.Printf("rollstep %s · release %s · namespace %s · cluster %s", r.Stage, r.Release, r.namespace,
		cmp.Or(kube.Context, "of this pod"))
	return nil
}

// lockWait bounds how long a job waits for another one's lock: longer than a
// killed job's lock lives.
const lockWait = 90 * time.Second

func (r *run) lock(ctx context.Context) (context.Context, func(), error) {
	id := cmp.Or(r.CI.JobID, fmt.Sprintf("%s-%d", r.CI.Host, os.Getpid()))
	wait := min(lockWait, time.Until(r.work)/2)
	waiting := func(holder string) { r.log.Printf("waiting for the lock, held by %s", holder) }
	held, lock, err := r.store.Acquire(ctx, id, r.by, wait, waiting)
	if apierrors.IsNotFound(err) {
		// Nothing can be locked in a namespace that comes with the release.
		if namespace := r.ownNamespace(); namespace != nil {
			if err := r.applyAll(ctx, []cluster.Preview{{Manifest: namespace, Result: namespace}}); err != nil {
				return nil, nil, err
			}
			held, lock, err = r.store.Acquire(ctx, id, r.by, wait, waiting)
		}
	}
	if err != nil {
		return nil, nil, err
	}
	return held, func() {
		// Also after a signal; the token may be invalid by then, and the lock
		// runs out by itself.
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if err := lock.Release(bounded); err != nil {
			r.log.Note("the lock runs out by itself in some seconds (%v)", err)
		}
	}, nil
}

// ownNamespace is the manifest of the release's namespace, or nil.
func (r *run) ownNamespace() *unstructured.Unstructured {
	if r.manifests == nil {
		return nil
	}
	for _, o := range r.manifests.Objects {
		if o.GetKind() == "Namespace" && o.GetName() == r.namespace && o.GroupVersionKind().Group == "" {
			return o
		}
	}
	return nil
}

// preflight gives errors found before anything was changed the exit code of a
// configuration error, but for those that are the API server's own.
func preflight(err error) error {
	if err == nil {
		return nil
	}
	err = cluster.Explain(err)
	var refusal *record.Refusal
	status := apierrors.APIStatus(nil)
	if errors.As(err, &refusal) || errors.As(err, &status) && (status.Status().Code >= 500 || status.Status().Code == 429) && !cluster.ManifestRefused(err) {
		return err
	}
	return configuration(err)
}

// write stores the record.
func (r *run) write(ctx context.Context) error {
	return cluster.Explain(r.store.Write(ctx, r.record))
}

// now is the time for the record.
func now() time.Time { return time.Now().UTC().Truncate(time.Second) }

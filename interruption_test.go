package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

// stopsIn is what GitLab leaves a job after SIGTERM; more is given here only
// because the machine may be busy.
const stopsIn = 15 * time.Second

func TestSigterm_stopsAtOnceAndTheNextRunContinues(t *testing.T) {
	t.Parallel()
	exists := func(d *appsv1.Deployment) bool { return d != nil }
	isV2 := func(d *appsv1.Deployment) bool {
		return strings.HasSuffix(d.Spec.Template.Spec.Containers[0].Image, ":v2")
	}
	for name, test := range map[string]struct {
		before, args []string
		deployment   string
		reached      func(*appsv1.Deployment) bool
		final        [2]int
		answers      []string
	}{
		"canary, once its Deployment exists": {nil, []string{"canary", "50%"}, "app-canary", exists, [2]int{5, 5}, []string{"v1", "v2"}},
		"canary, once it has pods": {nil, []string{"canary", "50%"}, "app-canary",
			func(d *appsv1.Deployment) bool { return d != nil && *d.Spec.Replicas > 0 }, [2]int{5, 5}, []string{"v1", "v2"}},
		"canary, once the stable is lowered": {nil, []string{"canary", "50%"}, "app",
			func(d *appsv1.Deployment) bool { return *d.Spec.Replicas < 10 }, [2]int{5, 5}, []string{"v1", "v2"}},
		"canary on its way down": {[]string{"canary", "50%"}, []string{"canary", "10%"}, "app",
			func(d *appsv1.Deployment) bool { return *d.Spec.Replicas > 5 }, [2]int{9, 1}, []string{"v1", "v2"}},
		"promote, once the stable has its template": {[]string{"canary", "50%"}, []string{"promote"}, "app",
			isV2, [2]int{10, 0}, []string{"v2"}},
		"promote, once the stable is half way": {[]string{"canary", "50%"}, []string{"promote"}, "app",
			func(d *appsv1.Deployment) bool {
				return isV2(d) && d.Status.ObservedGeneration == d.Generation && d.Status.UpdatedReplicas >= 3
			},
			[2]int{10, 0}, []string{"v2"}},
		"promote, once the canary goes": {[]string{"canary", "50%"}, []string{"promote"}, "app-canary",
			func(d *appsv1.Deployment) bool { return d == nil || *d.Spec.Replicas < 5 }, [2]int{10, 0}, []string{"v2"}},
		"rollback, once the stable is raised": {[]string{"canary", "50%"}, []string{"rollback"}, "app",
			func(d *appsv1.Deployment) bool { return *d.Spec.Replicas > 5 }, [2]int{10, 0}, []string{"v1"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := released(t, staged(t, "v1"))
			guard := s.Guard("app", wanted)
			p := s.Pipeline(2, staged(t, "v2"))
			if test.before != nil {
				p.Run(test.before...).Succeeds()
			}
			job := p.Start(test.args...)
			s.Await(labtest.Deployments, test.deployment, func(o *unstructured.Unstructured) bool { return test.reached(deployment(t, o)) })
			job.Cancel()
			if code := job.WaitAtMost(stopsIn); code != 0 { // it may have been done already
				job.Exits(143, "cancelled (SIGTERM)")
			}
			guard.Check(wanted)

			p.Run(test.args...).Succeeds()
			guard.Check(wanted)
			assert.Equal(t, test.final, counts(s, "app"))
			s.Ask("app", 200, test.answers...)
			if test.final[1] == 0 {
				assert.Empty(t, s.Leftovers())
			}
		})
	}
}

func deployment(t *testing.T, o *unstructured.Unstructured) *appsv1.Deployment {
	t.Helper()
	if o == nil {
		return nil
	}
	d := &appsv1.Deployment{}
	assert.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, d))
	return d
}

func TestSigterm_saysWhatServes(t *testing.T) {
	s := released(t, few(t, "v1", 3))
	p := s.Pipeline(2, few(t, "v2-slow", 3))
	job := p.Start("canary")
	s.Await(labtest.Deployments, "app-canary", func(o *unstructured.Unstructured) bool { return o != nil })
	job.Cancel()
	assert.Equal(t, 143, job.WaitAtMost(stopsIn))
	job.Exits(143, "3 of 3 pods (100.0 %) serve registry.gitlab.com/wuestkamp/k8s-deployment-example-app:v1")
}

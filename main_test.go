package main

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

// TestMain lets more tests run at the same time than there are processors: they
// wait for pods most of the time.
func TestMain(m *testing.M) {
	flag.Parse()
	parallel := flag.Lookup("test.parallel")
	if given := false; !given {
		flag.Visit(func(f *flag.Flag) { given = given || f == parallel })
		if !given {
			_ = parallel.Value.Set("6")
		}
	}
	os.Exit(m.Run())
}

// space is a namespace of the lab for one test that may run beside others.
func space(t *testing.T) *labtest.Space {
	t.Helper()
	t.Parallel()
	return labtest.New(t, run)
}

// staged are the manifests of examples/staged with another image tag.
func staged(t *testing.T, tag string) labtest.Files {
	t.Helper()
	return labtest.Examples(t, "staged/k8s").Edit("deploy.yaml", "example-app:v1", "example-app:"+tag)
}

// few are those of staged with n pods, for tests that need no more.
func few(t *testing.T, tag string, n int) labtest.Files {
	t.Helper()
	return staged(t, tag).Edit("deploy.yaml", "replicas: 10", fmt.Sprintf("replicas: %d", n))
}

// released is a space in which a first release of the files is live.
func released(t *testing.T, files labtest.Files) *labtest.Space {
	t.Helper()
	s := space(t)
	s.Pipeline(1, files).Run("canary").Succeeds("first release")
	return s
}

// counts are the pods asked for on both tracks.
func counts(s *labtest.Space, deployment string) [2]int {
	return [2]int{s.Replicas(deployment), max(0, s.Replicas(deployment+"-canary"))}
}

// complete checks that a Deployment has all of n pods, each of its newest
// template and available, and its canary none: a stage that ends well has
// waited for that.
func complete(t *testing.T, s *labtest.Space, deployment string, n int) {
	t.Helper()
	assert.Equal(t, [2]int{n, 0}, counts(s, deployment), "pods asked for")
	d := s.Deployment(deployment)
	assert.Equal(t, d.Generation, d.Status.ObservedGeneration, "generation of Deployment %s", deployment)
	for what, is := range map[string]int32{"all": d.Status.Replicas, "updated": d.Status.UpdatedReplicas, "available": d.Status.AvailableReplicas} {
		assert.EqualValues(t, n, is, "%s pods of Deployment %s", what, deployment)
	}
}

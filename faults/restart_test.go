package faults

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

// ownLab says that a test runs on a lab of its own.
const ownLab = "ROLLSTEP_TEST_OWN_LAB"

// onOwnLab runs a test once more, on a lab of its own, where it returns true.
func onOwnLab(t *testing.T) bool {
	if os.Getenv(ownLab) != "" {
		return true
	}
	self, err := os.Executable()
	require.NoError(t, err)
	lab := filepath.Join(labtest.Repository(t), "bin", "lab")
	c := exec.CommandContext(t.Context(), lab, "run", "--", self, "-test.v", "-test.run", "^"+t.Name()+"$")
	c.Env = append(os.Environ(), ownLab+"=1")
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS: "+t.Name(), "it ran")
	return false
}

// The API server is killed in the middle of every stage and comes back: the
// stage goes on, and no user notices.
func TestStages_surviveARestartOfTheAPIServer(t *testing.T) {
	if !onOwnLab(t) {
		return
	}
	p := &process{}
	space := labtest.New(t, p.run)
	pipeline := func(id int, tag string) labtest.Pipeline {
		// The cluster's own endpoints are late after a restart, however long a pod
		// must be able to serve on then.
		return space.Pipeline(id, staged(t, tag).Edit("deploy.yaml", "maxSurge: 25%", "maxSurge: 100%").
			Edit("deploy.yaml", "          ports:", "          lifecycle: {preStop: {sleep: {seconds: 20}}}\n          ports:"))
	}
	pipeline(1, "v1-slow").Run("canary").Succeeds()
	users := space.Users("app")
	second := pipeline(2, "v2-slow")
	for _, stage := range []struct {
		args   []string
		middle func(*unstructured.Unstructured) bool // of Deployment app, or its canary
		of     string
		counts [2]int
	}{
		{[]string{"canary", "50%"}, halfway("v2-slow"), "app-canary", [2]int{2, 2}},
		{[]string{"promote"}, halfway("v2-slow"), "app", [2]int{4, -1}},
		{[]string{"rollback"}, halfway("v1-slow"), "app", [2]int{4, -1}},
	} {
		job := second.Start(stage.args...)
		space.Await(labtest.Deployments, stage.of, stage.middle)
		space.RestartAPIServer()
		job.Succeeds()
		assert.Equal(t, stage.counts, [2]int{space.Replicas("app"), space.Replicas("app-canary")}, stage.args)
	}
	users.CheckAnswers()
	assert.Empty(t, space.Leftovers())
	assert.True(t, strings.HasSuffix(space.Image("app"), ":v1-slow"))
	space.AwaitReplicas("app", 4)
}

// halfway says that a Deployment has pods of a tag that are not ready.
func halfway(tag string) func(*unstructured.Unstructured) bool {
	return func(o *unstructured.Unstructured) bool {
		if o == nil {
			return false
		}
		containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
		image, _ := containers[0].(map[string]any)["image"].(string)
		updated, _, _ := unstructured.NestedInt64(o.Object, "status", "updatedReplicas")
		unavailable, _, _ := unstructured.NestedInt64(o.Object, "status", "unavailableReplicas")
		observed, _, _ := unstructured.NestedInt64(o.Object, "status", "observedGeneration")
		return strings.HasSuffix(image, ":"+tag) && observed >= o.GetGeneration() && updated > 0 && unavailable > 0
	}
}

package e2e

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
)

// Mistakes in a project's variables: the job says which, changes nothing, and
// exits with 2, which `allow_failure:exit_codes` can tell from a failed rollout.
func TestVariables_mistakesAreExplained(t *testing.T) {
	p := newProject(t, "staged")
	good := p.variables["KUBECONFIG"]
	content := good.Values["production"]
	for _, c := range []struct {
		name  string
		wrong func()
		says  []string
	}{
		{"no KUBECONFIG", func() { p.set("KUBECONFIG") }, []string{"KUBECONFIG is not set"}},
		{"KUBECONFIG of another environment", func() {
			p.variables["KUBECONFIG"] = variable{"file", map[string]string{"staging": content}}
		}, []string{"KUBECONFIG is not set"}},
		{"an empty KUBECONFIG", func() { p.set("KUBECONFIG", "") }, []string{"KUBECONFIG"}},
		{"a KUBECONFIG that is no kubeconfig", func() {
			p.variables["KUBECONFIG"] = variable{"file", map[string]string{"*": "server: https://example.com\n"}}
		}, []string{"KUBECONFIG"}},
		{"an unknown context", func() { p.set("KUBE_CONTEXT", "staging") }, []string{`"staging"`, "lab"}},
		{"a mistyped name", func() { p.set("ROLLSTEP_WIEGHT", "20") }, []string{"ROLLSTEP_WIEGHT", "rollstep help"}},
		{"a mistyped value", func() { p.set("ROLLSTEP_TIMEOUT", "soon") }, []string{"ROLLSTEP_TIMEOUT", `"soon"`, "10m"}},
		{"two mistakes", func() {
			p.set("ROLLSTEP_PREVIEW", "Ingress")
			p.set("ROLLSTEP_ON_FAILURE", "retry")
		}, []string{"ROLLSTEP_PREVIEW", "ROLLSTEP_ON_FAILURE"}},
		{"manifests that are not there", func() { p.set("ROLLSTEP_MANIFESTS", "deploy") }, []string{"deploy"}},
	} {
		before := p.variables
		p.variables = maps.Clone(before)
		c.wrong()
		t.Log(c.name)
		p.push().ran("plan").job("plan").exits(2, c.says...).reports() // GitLab, too, runs nothing after it
		p.variables = before
	}
	p.set("ROLLSTEP_WIEGHT", "20")
	wrong := p.push()
	for _, name := range []string{"canary 10%", "canary 50%", "promote", "rollback"} {
		wrong.press(name).exits(2, "ROLLSTEP_WIEGHT").reports()
	}
	p.set("ROLLSTEP_WIEGHT")
	require.Nil(t, p.Deployment("app"))

	// The content instead of the path, from a variable of the wrong type, will do.
	p.set("KUBECONFIG", content)
	p.push().job("canary 10%").succeeds("first release", "File")
}

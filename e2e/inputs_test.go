package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// Both apps of a project that uses the component twice have manifests of their own.
func TestComponent_canBeUsedTwice(t *testing.T) {
	t.Parallel()
	file := "stages: [plan, canary, promote, rollback]\n" + include("canary", `job-prefix: "a: "`, "manifests: a") +
		strings.TrimPrefix(include("canary", `job-prefix: "b: "`, "manifests: b"), "include:\n")
	out, err := gitlabCILocal(t, repository(t, file), "--preview")
	require.NoError(t, err, out)
	assert.Equal(t, 6, strings.Count(out, "ROLLSTEP_MANIFESTS: a\n"), out)
	assert.Equal(t, 6, strings.Count(out, "ROLLSTEP_MANIFESTS: b\n"), out)
}

// The inputs decide which jobs a pipeline has, and what each waits for.
func TestComponent_inputsChooseTheJobs(t *testing.T) {
	push := []string{"--variable", "CI_PIPELINE_SOURCE=push"}
	mergeRequest := []string{"--variable", "CI_PIPELINE_SOURCE=merge_request_event", "--unset-variable", "CI_COMMIT_BRANCH"}
	tag := []string{"--variable", "CI_COMMIT_TAG=v1.0.0", "--unset-variable", "CI_COMMIT_BRANCH"}
	for name, c := range map[string]struct {
		component string
		inputs    []string
		pipeline  []string
		jobs      map[string]string
	}{
		"push": {"canary", nil, push, map[string]string{"plan": "on_success", "canary 10%": "on_success",
			"canary 50%": "manual", "promote": "manual", "rollback": "manual"}},
		"merge request": {"canary", nil, mergeRequest, map[string]string{"plan": "on_success"}},
		"tag":           {"canary", nil, tag, map[string]string{}},
		"rolled out by tags": {"canary", []string{"rule: $CI_COMMIT_TAG", "second-weight: 0"}, tag, map[string]string{
			"plan": "on_success", "canary 10%": "on_success", "promote": "manual", "rollback": "manual"}},
		"a rule of two":              {"canary", []string{`rule: $CI_COMMIT_TAG || $CI_COMMIT_BRANCH == "next"`}, push, map[string]string{}},
		"no plan for merge requests": {"canary", []string{"merge-requests: false"}, mergeRequest, map[string]string{}},
		"timed": {"canary", []string{"weight: 5", "second-weight: 25", "second-gate: delayed", "promote-gate: delayed"}, push,
			map[string]string{"plan": "on_success", "canary 5%": "on_success", "canary 25%": "delayed", "promote": "delayed", "rollback": "manual"}},
		"rolled back by a check": {"canary", []string{"second-weight: 0", "rollback-on-failure: true", "rollback-on-failure-of: [canary 10%]"}, push,
			map[string]string{"plan": "on_success", "canary 10%": "on_success", "promote": "manual", "rollback": "manual", "rollback on failure": "on_failure"}},
		"apply, push":          {"apply", nil, push, map[string]string{"plan": "on_success", "apply": "on_success"}},
		"apply, merge request": {"apply", nil, mergeRequest, map[string]string{"plan": "on_success"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stages := "stages: [plan, canary, promote, deploy, rollback]\n"
			out, err := gitlabCILocal(t, repository(t, stages+include(c.component, c.inputs...)), append(c.pipeline, "--list-json")...)
			require.NoError(t, err, out)
			var all []struct{ Name, When string }
			require.NoError(t, json.Unmarshal([]byte(out[strings.Index(out, "\n[")+1:strings.LastIndex(out, "]")+1]), &all), out)
			jobs := map[string]string{}
			for _, j := range all {
				if j.When != "never" {
					jobs[j.Name] = j.When
				}
			}
			assert.Equal(t, c.jobs, jobs)
		})
	}
}

// templates/README.md lists every input with its default and description.
func TestComponent_readmeListsTheInputs(t *testing.T) {
	readme := read(t, "../templates/README.md")
	for _, component := range []string{"canary", "apply"} {
		header, _, found := strings.Cut(read(t, "../templates/"+component+".yml"), "\n---\n")
		require.True(t, found)
		table := "| input | default | meaning |\n|---|---|---|\n"
		for _, in := range inputs(t, header) {
			table += "| `" + in.name + "` | " + in.initial + " | " + in.meaning + " |\n"
		}
		_, section, _ := strings.Cut(readme, "\n## "+component+"\n")
		section, _, _ = strings.Cut(section, "\n## ")
		assert.Contains(t, section+"\n", table)
	}
}

type input struct{ name, initial, meaning string }

// inputs are those of a component's header, in its order.
func inputs(t *testing.T, header string) []input {
	t.Helper()
	var spec struct {
		Spec struct {
			Inputs map[string]struct {
				Default     any      `json:"default"`
				Description string   `json:"description"`
				Options     []string `json:"options"`
			} `json:"inputs"`
		} `json:"spec"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(header), &spec))
	var list []input
	for line := range strings.Lines(header) {
		name, isName := strings.CutSuffix(strings.TrimPrefix(line, "    "), ":\n")
		in, has := spec.Spec.Inputs[name]
		if !isName || !has {
			continue
		}
		initial, err := json.Marshal(in.Default)
		require.NoError(t, err)
		meaning := in.Description
		if len(in.Options) > 0 {
			meaning += ": " + strings.Join(in.Options, " or ")
		}
		text := strings.Trim(string(initial), `"`)
		if text != "" {
			text = "`" + text + "`"
		}
		list = append(list, input{name, text, meaning})
	}
	require.Len(t, list, len(spec.Spec.Inputs))
	return list
}

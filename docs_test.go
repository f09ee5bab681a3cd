package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/tools/clientcmd"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

// Comments before a block, which readers do not see:
//
//	<!-- not run: WHY -->     a block of commands that no test can run
//	<!-- before: COMMANDS --> what the page takes for granted is set up first
const (
	notRun = "not run:"
	before = "before:"
)

// The commands of every page work, one after the other as a reader runs them, and
// print what the page says they print.
func TestDocs_commandsWork(t *testing.T) {
	tools := documentedTools(t)
	for _, p := range pages(t) {
		if len(p.commands(t)) == 0 {
			continue
		}
		t.Run(p.path, func(t *testing.T) {
			s := space(t)
			out := runPage(t, p, s, tools)
			for i, c := range p.commands(t) {
				printed := between(out, mark("begin", i), mark("end", i))
				for _, line := range missing(c.shows, printed) {
					t.Errorf("%s: this is not printed, or not here: %s\nby the commands:\n%s\nwhich print:\n%s", p.path, line, c.script, printed)
				}
			}
		})
	}
}

// commands is a block of commands that a test runs.
type commands struct{ script, before, shows string }

func (p page) commands(t *testing.T) []commands {
	t.Helper()
	var list []commands
	for i, b := range p.blocks {
		if b.language != "sh" || strings.HasPrefix(b.comment, notRun) {
			continue
		}
		c := commands{script: b.text}
		if setup, ok := strings.CutPrefix(b.comment, before); ok {
			c.before = setup
		}
		if i+1 < len(p.blocks) && p.blocks[i+1].language == "text" {
			c.shows = p.blocks[i+1].text
		}
		list = append(list, c)
	}
	return list
}

// Few blocks are not run, each for a reason.
func TestDocs_fewCommandsAreNotRun(t *testing.T) {
	var skipped []string
	run := 0
	for _, p := range pages(t) {
		run += len(p.commands(t))
		for _, b := range p.blocks {
			if reason, ok := strings.CutPrefix(b.comment, notRun); ok {
				assert.NotEmpty(t, strings.TrimSpace(reason), "%s: why is this not run?\n%s", p.path, b.text)
				skipped = append(skipped, p.path+": "+strings.TrimSpace(reason))
			}
		}
	}
	assert.LessOrEqual(t, len(skipped), run/4, "blocks that no test runs: %s", strings.Join(skipped, "\n"))
}

// runPage runs all commands of a page as one script and returns what it prints.
func runPage(t *testing.T, p page, s *labtest.Space, tools string) string {
	t.Helper()
	dir := t.TempDir()
	// A page of an example is read in that project, all others in a checkout.
	inExample := filepath.Dir(filepath.Dir(p.path)) == "examples"
	if inExample {
		require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Dir(p.path))))
	} else {
		require.NoError(t, os.CopyFS(filepath.Join(dir, "examples"), os.DirFS("examples")))
	}
	script := strings.Builder{}
	for i, c := range p.commands(t) {
		fmt.Fprintf(&script, "%s\necho %q\n%s\necho %q\n", c.before, mark("begin", i), c.script, mark("end", i))
	}
	text := script.String()
	if inExample {
		// The Role there is for the namespace default, which all tests share.
		text = own(text, s.Name)
		role := filepath.Join(dir, "rbac.yaml")
		if manifest, err := os.ReadFile(role); err == nil {
			require.NoError(t, os.WriteFile(role, []byte(own(string(manifest), s.Name)), 0o644))
		}
	}
	cleanNamespaces(t, text, tools)

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", text)
	cmd.WaitDelay = 10 * time.Second
	cmd.Dir = dir
	cmd.Env = append(documentedEnviron(tools), "HOME="+t.TempDir(), "KUBECONFIG="+kubeconfigIn(t, s.Name))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s:\n%s", p.path, out)
	return string(out)
}

func own(text, namespace string) string {
	return strings.ReplaceAll(text, "namespace: default", "namespace: "+namespace)
}

func documentedEnviron(tools string) []string {
	return []string{"PATH=" + tools + ":" + os.Getenv("PATH"), "USER=ann", "HOSTNAME=laptop", "LC_ALL=C.UTF-8"}
}

func mark(what string, i int) string { return fmt.Sprintf("@@ %s of block %d @@", what, i+1) }

func between(text, begin, end string) string {
	_, text, _ = strings.Cut(text, begin+"\n")
	text, _, _ = strings.Cut(text, end+"\n")
	return text
}

// missing are the lines shown that are not printed, or not in this order. In a
// line … stands for any text; a line of nothing else for any lines. How wide
// columns are depends on names.
func missing(shown, printed string) []string {
	columns := regexp.MustCompile(` +`)
	printed = columns.ReplaceAllString(printed, " ")
	for line := range strings.Lines(shown) {
		line = strings.TrimSpace(columns.ReplaceAllString(line, " "))
		if line == "" || line == "…" {
			continue
		}
		pattern := strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*")
		at := regexp.MustCompile(`(?m)^\s*` + pattern + `\s*$`).FindStringIndex(printed)
		if at == nil {
			return []string{line}
		}
		printed = printed[at[1]:]
	}
	return nil
}

// documentedTools is a directory with the program and kubectl.
func documentedTools(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "rollstep"), ".")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "building rollstep: %s", out)
	kubectl, err := exec.LookPath("./bin/kubectl")
	if err != nil {
		kubectl, err = exec.LookPath("kubectl")
	}
	require.NoError(t, err, "the commands of the documentation need kubectl: run make test, which builds it")
	kubectl, err = filepath.Abs(kubectl)
	require.NoError(t, err)
	require.NoError(t, os.Symlink(kubectl, filepath.Join(dir, "kubectl")))
	return dir
}

// kubeconfigIn is the lab's, of its administrator, with a namespace as the
// context's.
func kubeconfigIn(t *testing.T, namespace string) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(os.Getenv("KUBECONFIG"))
	require.NoError(t, err)
	config.Contexts[config.CurrentContext].Namespace = namespace
	path := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, clientcmd.WriteToFile(*config, path))
	return path
}

var createsNamespace = regexp.MustCompile(`(?m)^kubectl create namespace (\S+)`)

// cleanNamespaces removes the namespaces that a page creates: before, if an earlier
// run left them, and after.
func cleanNamespaces(t *testing.T, script, tools string) {
	t.Helper()
	remove := func(name string, wait bool) {
		cmd := exec.Command(filepath.Join(tools, "kubectl"), "delete", "namespace", name, "--ignore-not-found", fmt.Sprintf("--wait=%t", wait))
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		assert.NoError(t, cmd.Run(), out.String())
	}
	for _, create := range createsNamespace.FindAllStringSubmatch(script, -1) {
		remove(create[1], true)
		t.Cleanup(func() { remove(create[1], false) })
	}
}

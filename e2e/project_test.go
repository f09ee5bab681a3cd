package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"gitlab.com/rollstep/rollstep/internal/labtest"
)

// project is a copy of an example, in a Git repository and a namespace of its
// own. gitlab-ci-local runs its pipelines, with rollstep on the PATH instead of
// in an image.
type project struct {
	*labtest.Space
	t         *testing.T
	dir       string
	variables map[string]variable // as under Settings → CI/CD → Variables
	pipelines int
}

// variable is a CI/CD variable of a project; the keys of Values are environments.
type variable struct {
	Type   string            `json:"type"`
	Values map[string]string `json:"values"`
}

// newProject copies an example. Its variables are those that the README says,
// for the production environment only, as careful people do it.
func newProject(t *testing.T, example string) *project {
	t.Helper()
	t.Parallel()
	kubeconfig, err := os.ReadFile(os.Getenv("LAB_CI_KUBECONFIG"))
	require.NoError(t, err, "this test needs the lab: run make test, or lab run -- go test ./...")
	p := &project{Space: labtest.New(t, nil), t: t, dir: filepath.Join(t.TempDir(), "project")}
	p.variables = map[string]variable{
		"KUBECONFIG":      {"file", map[string]string{"production": string(kubeconfig)}},
		"KUBE_NAMESPACE":  {"variable", map[string]string{"production": p.Name}},
		"ROLLSTEP_SETTLE": {"variable", map[string]string{"*": "0s"}},
	}
	require.NoError(t, os.CopyFS(p.dir, os.DirFS(filepath.Join("..", "examples", example))))
	p.git("init", "--quiet", "--initial-branch=main", ".")
	p.git("config", "user.name", "Ann")
	p.git("config", "user.email", "ann@example.com")
	p.git("remote", "add", "origin", "https://gitlab.example.com/shop/app.git")
	require.NoError(t, os.WriteFile(filepath.Join(p.dir, ".git", "info", "exclude"), []byte(".gitlab-ci-local\n"), 0o644))
	p.commit("The first release")
	p.git("update-ref", "refs/remotes/origin/main", "HEAD")
	p.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main") // the default branch
	return p
}

// set sets a variable of the project for all environments, and takes away what
// it was; without a value it is unset.
func (p *project) set(name string, value ...string) {
	delete(p.variables, name)
	if len(value) > 0 {
		p.variables[name] = variable{"variable", map[string]string{"*": value[0]}}
	}
}

// edit replaces a text in a file, which must be there.
func (p *project) edit(file, old, text string) {
	p.t.Helper()
	path := filepath.Join(p.dir, file)
	content, err := os.ReadFile(path)
	require.NoError(p.t, err)
	require.Contains(p.t, string(content), old, file)
	require.NoError(p.t, os.WriteFile(path, bytes.ReplaceAll(content, []byte(old), []byte(text)), 0o644))
}

// commit commits everything, and returns the commit.
func (p *project) commit(message string) string {
	p.t.Helper()
	p.git("add", "--all")
	p.git("commit", "--quiet", "--allow-empty", "--message", message)
	return p.git("rev-parse", "HEAD")
}

func (p *project) git(args ...string) string {
	p.t.Helper()
	return strings.TrimSpace(git(p.t, p.dir, args...))
}

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// repository is a temporary Git repository with a copy of an example.
type repository struct{ dir string }

// newRepository makes one, with nothing committed yet.
func newRepository(ctx context.Context, dir, example string) (*repository, error) {
	if err := os.CopyFS(dir, os.DirFS(example)); err != nil {
		return nil, err
	}
	r := &repository{dir}
	_, err := r.git(ctx, "init", "-q", "-b", "main")
	return r, err
}

// edit replaces a text that is there once.
func (r *repository) edit(file, before, after string) error {
	path := filepath.Join(r.dir, file)
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if n := strings.Count(string(content), before); n != 1 {
		return fmt.Errorf("%s has %q %d times", file, before, n)
	}
	return os.WriteFile(path, []byte(strings.Replace(string(content), before, after, 1)), 0o644)
}

// commit commits everything and returns the commit and what it changes, for people.
func (r *repository) commit(ctx context.Context, message string) (sha, change string, err error) {
	for _, args := range [][]string{{"add", "-A"}, {"commit", "-q", "-m", message}} {
		if _, err := r.git(ctx, args...); err != nil {
			return "", "", err
		}
	}
	if sha, err = r.git(ctx, "rev-parse", "HEAD"); err != nil {
		return "", "", err
	}
	if _, err := r.git(ctx, "rev-parse", "-q", "--verify", "HEAD^"); err != nil { // the first: all is new
		change, err = r.git(ctx, "show", "--stat", "--format=commit %h  %s")
		return sha, strings.ReplaceAll(change, "\n\n", "\n"), err
	}
	diff, err := r.git(ctx, "show", "--unified=0", "--no-color", "--no-prefix", "--format=commit %h  %s")
	return sha, short(diff), err
}

// short leaves of a diff the names of the files and the changed lines.
func short(diff string) string {
	var b strings.Builder
	for line := range strings.Lines(diff) {
		switch {
		case strings.HasPrefix(line, "+++ "):
			b.WriteString(strings.TrimPrefix(line, "+++ "))
		case strings.HasPrefix(line, "--- "), strings.HasPrefix(line, "@@ "), strings.HasPrefix(line, "diff "),
			strings.HasPrefix(line, "index "), line == "\n":
		default:
			b.WriteString(line)
		}
	}
	return b.String()
}

// git runs git without anybody's own configuration.
func (r *repository) git(ctx context.Context, args ...string) (string, error) {
	command := exec.CommandContext(ctx, "git", append([]string{"-c", "user.name=demo", "-c", "user.email=demo@localhost"}, args...)...)
	command.Dir = r.dir
	command.Env = append(clean(os.Environ()), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1")
	out, err := command.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// stopGently has a command whose context ends stop by itself.
func stopGently(command *exec.Cmd) {
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 10 * time.Second
}

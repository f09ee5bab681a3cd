// Package e2e tests what users copy and what they run: the example projects, the
// CI/CD component and the image, each with the real program on the lab.
package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// tools is a directory with the program, as an image has it on its PATH.
var tools string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	// Most of the time the tests wait for pods.
	if parallel := flag.Lookup("test.parallel"); !given(parallel.Name) {
		_ = parallel.Value.Set("4")
	}
	dir, err := os.MkdirTemp("", "rollstep-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer remove(dir)
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "rollstep"), ".")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building rollstep: %v\n%s", err, out)
		return 1
	}
	tools = dir
	return m.Run()
}

// remove removes the tests' directory, unless something is still mounted there:
// the build of the image mounts Go's caches, which are to stay.
func remove(dir string) {
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err == nil && strings.Contains(string(mounts), dir) {
		fmt.Fprintf(os.Stderr, "%s is not removed: something is mounted in it\n", dir)
		return
	}
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func given(name string) (is bool) {
	flag.Visit(func(f *flag.Flag) { is = is || f.Name == name })
	return is
}

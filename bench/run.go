package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// sample is what one run of a command took.
type sample struct {
	Began, Ended time.Time
	CPU          time.Duration
	Memory       int64 // peak of the resident set, in bytes
	Exit         int
	output       string
}

func (s sample) wall() time.Duration { return s.Ended.Sub(s.Began) }

// command is a program of -bin, or of PATH, with its arguments.
type command struct {
	args  []string
	env   []string      // besides the bench's own
	bound time.Duration // killed after it; 0 for hang
	fails bool          // any exit code is fine
}

// hang bounds commands that are to end by themselves.
const hang = 35 * time.Minute

// run runs a command to its end.
func (b *bench) run(ctx context.Context, c command) (sample, error) {
	bound := c.bound
	if bound == 0 {
		bound = hang
	}
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	read, write, err := os.Pipe()
	if err != nil {
		return sample{}, err
	}
	defer read.Close()
	args := append([]string{"measure"}, c.args...)
	if inBin := filepath.Join(b.bin, c.args[0]); exists(inBin) {
		args[1] = inBin
	}
	child := exec.CommandContext(ctx, b.self, args...)
	child.Env = append(b.environ(), c.env...)
	child.ExtraFiles = []*os.File{write}
	child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	child.Cancel = func() error { return syscall.Kill(-child.Process.Pid, syscall.SIGKILL) }
	began := time.Now()
	output, err := child.CombinedOutput()
	write.Close()
	if ctx.Err() == context.DeadlineExceeded && c.bound > 0 {
		return sample{Began: began, Ended: time.Now(), Exit: -1, output: string(output)}, nil
	}
	var s sample
	if e := json.NewDecoder(read).Decode(&s); e != nil {
		return s, fmt.Errorf("%s: %w: %s", c, errors.Join(err, e), output)
	}
	s.output = string(output)
	if s.Exit != 0 && !c.fails {
		return s, fmt.Errorf("%s exited with %d:\n%s", c, s.Exit, s.output)
	}
	return s, nil
}

func (c command) String() string { return strings.Join(c.args, " ") }

func exists(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// measure runs a command and writes what it took to file descriptor 3. It is a
// small process between bench and the command: on Linux a child's peak memory
// begins with what its parent has, since both share it until exec.
func measure(args []string) int {
	result := os.NewFile(3, "result")
	child := exec.Command(args[0], args[1:]...)
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	s := sample{Began: time.Now()}
	err := child.Run()
	s.Ended = time.Now()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s.Exit = child.ProcessState.ExitCode()
	s.CPU = child.ProcessState.UserTime() + child.ProcessState.SystemTime()
	if usage, ok := child.ProcessState.SysUsage().(*syscall.Rusage); ok {
		s.Memory = int64(usage.Maxrss)
		if runtime.GOOS == "linux" {
			s.Memory <<= 10
		}
	}
	line, err := json.Marshal(s)
	if err != nil {
		return 1
	}
	if _, err := result.Write(line); err != nil {
		return 1
	}
	return 0
}

// Package part runs the lab's parts: child processes that are this same binary
// under a hidden sub-command, and that never outlive it.
package part

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Command is the hidden sub-command that turns this binary into a part.
const Command = "part"

// Part is one running child process.
type Part struct {
	Name string

	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error
}

// Start starts a part; its log goes to dir/NAME.log, which is also its working directory.
func Start(dir, name string, args ...string) (*Part, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &Part{Name: name, log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	p.cmd = exec.Command(self, append([]string{Command, name}, args...)...)
	p.cmd.Dir = dir
	// Parts must read no configuration of the user's.
	p.cmd.Env = []string{"HOME=" + dir, "TMPDIR=" + dir, "PATH=" + os.Getenv("PATH")}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	// A group of its own, so that Ctrl-C in a terminal reaches the lab only, which stops its parts last.
	p.cmd.SysProcAttr = OwnGroup(DieWithParent())
	lifeline, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	started := make(chan error)
	go func() {
		started <- run(p.cmd)
		p.err = p.cmd.Wait()
		_ = lifeline.Close()
		_ = log.Close()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// run starts the command on a thread that stays alive as long as this
// goroutine: Linux sends the parent-death signal when the thread ends, not when
// the process does (https://go.dev/issue/27505).
func run(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	return cmd.Start()
}

// Done is closed when the part has ended, for whatever reason.
func (p *Part) Done() <-chan struct{} { return p.done }

// Kill ends the part at once; what it wrote is thrown away anyhow.
func (p *Part) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Failure describes the end of a part that should not have ended.
func (p *Part) Failure() error {
	return fmt.Errorf("%s ended (%v); the last lines of its log:\n%s", p.Name, p.cmd.ProcessState, p.Tail(15))
}

// Tail returns the last lines of the part's log, indented.
func (p *Part) Tail(lines int) string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return "  " + err.Error()
	}
	all := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	return "  " + strings.Join(all[max(0, len(all)-lines):], "\n  ")
}

// AddressTaken tells whether the part complained that its port is in use.
func (p *Part) AddressTaken() bool {
	data, _ := os.ReadFile(p.log)
	return bytes.Contains(data, []byte("address already in use"))
}

// EndWithParent makes a part end when the process that started it does, by
// whatever signal: its standard input is a pipe that then closes.
func EndWithParent() {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
}

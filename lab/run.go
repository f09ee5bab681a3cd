package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/term"

	"gitlab.com/rollstep/rollstep/lab/internal/datadir"
	"gitlab.com/rollstep/rollstep/lab/internal/lab"
	"gitlab.com/rollstep/rollstep/lab/internal/part"
)

// killAfter is how long the command may take to end after the lab under it died.
const killAfter = 5 * time.Second

// runCommand runs a command beside a lab of its own and returns its exit code.
func runCommand(ctx context.Context, args, environ []string, signals <-chan os.Signal, stdout, stderr io.Writer) (code int, err error) {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return 0, fmt.Errorf("run needs a command: %w", errUsage)
	}
	if _, err := exec.LookPath(args[0]); err != nil {
		return 127, err
	}
	dir, err := datadir.Temporary()
	if err != nil {
		return 1, err
	}
	l, interrupted, err := startUnlessInterrupted(ctx, dir, signals, stderr)
	if err != nil {
		return interrupted, errors.Join(err, dir.Remove())
	}
	defer func() {
		if e := l.Stop(); e != nil {
			code, err = max(code, 1), errors.Join(err, e)
		}
	}()
	command := exec.Command(args[0], args[1:]...)
	command.Env = append(environ, l.Variables()...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, stdout, stderr
	return supervise(ctx, l, command, signals)
}

// startUnlessInterrupted starts a lab; a signal meanwhile stops the start, and
// the code to exit with is then the signal's.
func startUnlessInterrupted(ctx context.Context, dir *datadir.Dir, signals <-chan os.Signal, stderr io.Writer) (l *lab.Lab, code int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	type outcome struct {
		lab *lab.Lab
		err error
	}
	started := make(chan outcome, 1)
	go func() {
		l, err := lab.Start(ctx, dir, stderr)
		started <- outcome{l, err}
	}()
	for {
		select {
		case s := <-signals:
			code = 128 + int(s.(syscall.Signal))
			cancel(fmt.Errorf("stopped by signal %q", s.String()))
		case o := <-started:
			if o.err == nil && code != 0 {
				return nil, code, errors.Join(context.Cause(ctx), o.lab.Stop())
			}
			return o.lab, max(code, 1), o.err
		}
	}
}

// supervise runs the command, forwards signals to it, and ends it if the lab dies.
func supervise(ctx context.Context, l *lab.Lab, command *exec.Cmd, signals <-chan os.Signal) (int, error) {
	command.SysProcAttr = part.DieWithParent()
	// In a terminal, Ctrl-C reaches the command without our help, and its group
	// must stay in the foreground. Elsewhere it gets a group of its own, so that
	// what we forward reaches all of it.
	terminal := term.IsTerminal(int(os.Stdin.Fd()))
	if !terminal {
		command.SysProcAttr = part.OwnGroup(command.SysProcAttr)
	}
	send := func(s syscall.Signal) {
		if terminal {
			_ = command.Process.Signal(s)
			return
		}
		_ = syscall.Kill(-command.Process.Pid, s)
	}

	// The parent-death signal is bound to the thread that starts the command.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := command.Start(); err != nil {
		return 126, err
	}
	ended := make(chan struct{})
	go func() {
		_ = command.Wait()
		close(ended)
	}()
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	died := make(chan error, 1)
	go func() { died <- l.Wait(watch) }()

	for {
		select {
		case <-ended:
			return exitCode(command.ProcessState), nil
		case s := <-signals:
			if !terminal || s != syscall.SIGINT {
				send(s.(syscall.Signal))
			}
		case err := <-died:
			send(syscall.SIGTERM)
			select {
			case <-ended:
			case <-time.After(killAfter):
				send(syscall.SIGKILL)
				<-ended
			}
			return 1, err
		}
	}
}

// exitCode is the command's, or what a shell makes of the signal that ended it.
func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}

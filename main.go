// Command rollstep takes one step of a Kubernetes canary rollout from a GitLab
// job.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"

	"gitlab.com/rollstep/rollstep/internal/gitlab"
	"gitlab.com/rollstep/rollstep/internal/hint"
	"gitlab.com/rollstep/rollstep/step"
)

// version is set when the binary is built.
var version = "dev"

// gcPercent is half of Go's default: jobs run beside others, and what counts is
// their peak memory. It costs a stage little: most of its time it waits.
const gcPercent = 50

func main() {
	debug.SetGCPercent(gcPercent)
	klog.SetLogger(logr.Discard()) // client-go's own log, of watches that start again for example
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		code := step.ExitTerminated
		if <-signals == os.Interrupt {
			code = step.ExitInterrupted
		}
		cancel(&step.Interruption{Code: code})
		<-signals // a second one ends it at once
		os.Exit(code)
	}()
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		switch args[0] {
		case "help", "-h", "--help":
			if err := step.Help(stdout); err != nil {
				return step.ExitUnexpected
			}
			return step.ExitDone
		case "version", "-v", "--version":
			fmt.Fprintln(stdout, "rollstep", version)
			return step.ExitDone
		}
	}
	config, err := step.Load(args, environ)
	if config.Stage == "rbac" {
		if err = step.RBAC(config, err, stdout); err != nil {
			report(gitlab.NewLog(stderr, false, false, time.Now), err)
		}
		return step.ExitCode(err)
	}
	log := gitlab.NewLog(stdout, config.InCI(), config.NoColor == "" && config.InCI(), time.Now)
	err = step.Run(ctx, config, err, log, version)
	if err != nil {
		report(gitlab.NewLog(stderr, false, config.NoColor == "" && config.InCI(), time.Now), err)
	}
	return step.ExitCode(err)
}

// report prints an error for people: each mistake with what to do next.
func report(log *gitlab.Log, err error) {
	for _, mistake := range mistakes(err) {
		log.Error("%s", indent(mistake.Error()))
		if next := hint.Of(mistake); next != "" {
			log.Printf("  → %s", next)
		}
	}
}

// mistakes takes joined errors apart.
func mistakes(err error) []error {
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) || hint.Of(err) != "" && err.Error() != joined.(error).Error() {
		return []error{err}
	}
	var list []error
	for _, e := range joined.Unwrap() {
		list = append(list, mistakes(e)...)
	}
	return list
}

func indent(text string) string { return strings.ReplaceAll(text, "\n", "\n  ") }

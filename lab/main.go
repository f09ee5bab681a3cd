// Command lab runs a real Kubernetes in one command, for tests and
// demonstrations: the control plane is genuine, nodes and pods are played.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"gitlab.com/rollstep/rollstep/lab/internal/part"
)

const usage = `lab runs a real Kubernetes control plane on this machine, with played nodes and pods.

  lab up [--dir DIR]
      starts it, prints the variables to use it, and runs until it is interrupted
  lab run -- COMMAND [ARG…]
      starts it, runs COMMAND with those variables, stops it, and exits as COMMAND did
  lab load [--requests N] [--parallel P] NAMESPACE/SERVICE[:PORT]
      sends requests through a Service and prints the share of each version that answered:
      through $LAB_TRAFFIC if that is set, else through the API server of $KUBECONFIG

Variables that COMMAND gets and "lab up" prints:
  KUBECONFIG          the administrator's
  LAB_CI_KUBECONFIG   that of user "ci" (group "lab:ci"), who has no rights until a Role is bound
  LAB_TRAFFIC         http://127.0.0.1:PORT; ask for /NAMESPACE/SERVICE/, or for /counts

Pods behave by the end of their image tag (app:v2-crash), or by their annotation lab.rollstep/behaviour:
  healthy, slow, never-ready, not-alive, crash, crash-later, flapping, oom, image-missing, image-unauthorized,
  create-error, run-error, cannot-run
`

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	os.Exit(run(context.Background(), os.Args[1:], os.Environ(), signals, os.Stdout, os.Stderr))
}

// errUsage is a mistake on the command line.
var errUsage = errors.New("see lab help")

func run(ctx context.Context, args, environ []string, signals <-chan os.Signal, stdout, stderr io.Writer) int {
	command := ""
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	var code int
	var err error
	switch command {
	case part.Command:
		return runPart(args, stderr)
	case "up":
		err = up(ctx, args, signals, stdout, stderr)
	case "run":
		code, err = runCommand(ctx, args, environ, signals, stdout, stderr)
	case "load":
		err = sendLoad(ctx, args, environ, stdout)
	case "help", "-h", "--help":
		fmt.Fprint(stdout, usage)
		return 0
	default:
		err = fmt.Errorf("unknown command %q: %w", command, errUsage)
	}
	switch {
	case err == nil:
		return code
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintln(stderr, "lab:", err)
		return 2
	default:
		fmt.Fprintln(stderr, "lab:", err)
		return max(code, 1)
	}
}

// flags parses a command's flags; a mistake in them is one of usage.
func flags(set *flag.FlagSet, args []string) error {
	set.SetOutput(io.Discard)
	if err := set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w: %w", err, errUsage)
	}
	return nil
}

// lookup returns the value of an environment variable, "" without one.
func lookup(environ []string, name string) string {
	value := ""
	for _, variable := range environ {
		if rest, ok := strings.CutPrefix(variable, name+"="); ok {
			value = rest
		}
	}
	return value
}

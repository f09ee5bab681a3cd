package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"gitlab.com/rollstep/rollstep/lab/internal/datadir"
	"gitlab.com/rollstep/rollstep/lab/internal/lab"
)

// up runs a lab in the foreground until a signal arrives.
func up(ctx context.Context, args []string, signals <-chan os.Signal, stdout, stderr io.Writer) error {
	set := flag.NewFlagSet("up", flag.ContinueOnError)
	path := set.String("dir", "", "")
	if err := flags(set, args); err != nil {
		return err
	}
	if set.NArg() > 0 {
		return fmt.Errorf("up takes no argument %q: %w", set.Arg(0), errUsage)
	}
	dir, err := openDir(*path)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		cancel(fmt.Errorf("stopped by signal %q", (<-signals).String()))
	}()
	l, err := lab.Start(ctx, dir, stderr)
	if err != nil {
		return errors.Join(err, dir.Remove())
	}
	for _, variable := range l.Variables() {
		name, value, _ := strings.Cut(variable, "=")
		fmt.Fprintf(stdout, "export %s=%s\n", name, quote(value))
	}
	fmt.Fprintln(stderr, "lab: press Ctrl-C to stop it")
	return errors.Join(l.Wait(ctx), l.Stop())
}

func openDir(path string) (*datadir.Dir, error) {
	if path == "" {
		return datadir.Temporary()
	}
	return datadir.At(path)
}

// quote makes a value safe for a shell.
func quote(value string) string {
	if !strings.ContainsAny(value, " \t\n'\"\\$`&|;<>()*?[]#~!{}") {
		return value
	}
	return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}

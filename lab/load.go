package main

import (
	"context"
	"flag"
	"fmt"
	"io"

	"gitlab.com/rollstep/rollstep/lab/internal/load"
)

// sendLoad sends requests through a Service and prints who answered.
func sendLoad(ctx context.Context, args, environ []string, stdout io.Writer) error {
	set := flag.NewFlagSet("load", flag.ContinueOnError)
	requests := set.Int("requests", 1000, "")
	parallel := set.Int("parallel", 10, "")
	if err := flags(set, args); err != nil {
		return err
	}
	if set.NArg() != 1 || *requests < 1 || *parallel < 1 {
		return fmt.Errorf("load needs one NAMESPACE/SERVICE and positive numbers: %w", errUsage)
	}
	target, err := load.ParseTarget(set.Arg(0))
	if err != nil {
		return fmt.Errorf("%w: %w", err, errUsage)
	}
	client, url := target.ThroughLab(lookup(environ, "LAB_TRAFFIC"))
	if lookup(environ, "LAB_TRAFFIC") == "" {
		if client, url, err = target.ThroughAPIServer(ctx, lookup(environ, "KUBECONFIG")); err != nil {
			return err
		}
	}
	result := load.Send(ctx, client, url, *requests, *parallel)
	fmt.Fprintln(stdout, result)
	if result.Answered() == 0 {
		return fmt.Errorf("service %s cannot be reached: %s", set.Arg(0), result.LastFailure)
	}
	return nil
}

package step

import (
	"context"
	"errors"

	"gitlab.com/rollstep/rollstep/internal/record"
)

// Exit codes. Pipelines branch on them (allow_failure:exit_codes).
const (
	ExitDone          = 0   // done, or nothing to do
	ExitUnexpected    = 1   // something that rollstep did not expect
	ExitConfiguration = 2   // configuration or manifests; nothing was changed
	ExitFailed        = 3   // the rollout failed
	ExitRejected      = 4   // the analysis rejected it (not in use yet)
	ExitRefused       = 5   // locked, superseded, or refused by the record
	ExitInterrupted   = 130 // interrupted (SIGINT)
	ExitTerminated    = 143 // cancelled or timed out by GitLab (SIGTERM)
)

var exitCodes = []struct {
	code    int
	meaning string
}{
	{ExitDone, "done, or nothing to do"},
	{ExitUnexpected, "unexpected"},
	{ExitConfiguration, "configuration or manifests; nothing was changed"},
	{ExitFailed, "the rollout failed"},
	{ExitRejected, "the analysis rejected it (not in use yet)"},
	{ExitRefused, "locked, superseded, or refused by the record"},
	{ExitInterrupted, "interrupted (SIGINT)"},
	{ExitTerminated, "cancelled (SIGTERM)"},
}

// coded is an error with the exit code of its cause.
type coded struct {
	error
	code int
}

func (c *coded) Unwrap() error { return c.error }

func withCode(code int, err error) error {
	if err == nil {
		return nil
	}
	return &coded{err, code}
}

func configuration(err error) error { return withCode(ExitConfiguration, err) }
func failed(err error) error        { return withCode(ExitFailed, err) }

// Interruption is the signal that ended a run: the cause of its context.
type Interruption struct{ Code int }

func (i *Interruption) Error() string {
	if i.Code == ExitInterrupted {
		return "interrupted (SIGINT)"
	}
	return "cancelled (SIGTERM)"
}

// ExitCode returns the exit code of an error's cause.
func ExitCode(err error) int {
	var (
		interruption *Interruption
		refusal      *record.Refusal
		c            *coded
	)
	switch {
	case err == nil:
		return ExitDone
	case errors.As(err, &interruption):
		return interruption.Code
	case errors.As(err, &refusal):
		return ExitRefused
	case errors.As(err, &c):
		return c.code
	case errors.Is(err, context.DeadlineExceeded):
		return ExitFailed
	}
	return ExitUnexpected
}

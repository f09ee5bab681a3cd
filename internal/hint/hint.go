// Package hint lets an error carry what its reader should do next.
package hint

import (
	"errors"
	"fmt"
)

type hinted struct {
	error
	next string
}

func (h *hinted) Unwrap() error { return h.error }

// Errorf is fmt.Errorf with the next action for whoever reads the error.
func Errorf(next, format string, args ...any) error {
	return &hinted{fmt.Errorf(format, args...), next}
}

// With adds the next action to err; an error that already has one keeps it.
func With(err error, next string) error {
	if err == nil || Of(err) != "" {
		return err
	}
	return &hinted{err, next}
}

// Of returns the next action that err carries, or "".
func Of(err error) string {
	var h *hinted
	if errors.As(err, &h) {
		return h.next
	}
	return ""
}

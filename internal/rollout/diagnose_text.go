package rollout

import (
	"fmt"
	"strings"
	"time"
)

// shown is how many pods of a finding are named.
const shown = 3

// Text renders a finding for the job log, indented by two spaces: what, which
// pods and for how long, and the next action. Log lines and events are the
// caller's to add.
func (f Finding) Text(now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %s: %s\n", f.Reason, f.Message)
	var facts []string
	switch n := len(f.Pods); {
	case n == 1:
		facts = append(facts, "pod "+f.Pods[0])
	case n > shown:
		facts = append(facts, fmt.Sprintf("%d pods: %s, …", n, strings.Join(f.Pods[:shown], ", ")))
	case n > 1:
		facts = append(facts, fmt.Sprintf("%d pods: %s", n, strings.Join(f.Pods, ", ")))
	}
	if age := now.Sub(f.Since).Round(time.Second); !f.Since.IsZero() && age > 0 {
		facts = append(facts, fmt.Sprintf("for %s", age))
	}
	if len(facts) > 0 {
		fmt.Fprintf(&b, "    %s\n", strings.Join(facts, ", "))
	}
	if f.Next != "" {
		fmt.Fprintf(&b, "    → %s\n", f.Next)
	}
	return b.String()
}

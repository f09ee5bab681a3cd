package rollout

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// merge makes equal findings of several pods one, and sorts.
func merge(found []*Finding) []Finding {
	type key struct {
		reason, message, container string
		fatal                      bool
	}
	var order []key
	groups := map[key]*Finding{}
	for _, f := range found {
		k := key{f.Reason, f.Message, f.Container, f.Fatal}
		same, ok := groups[k]
		if !ok {
			order, groups[k] = append(order, k), f
			continue
		}
		same.Pods = append(same.Pods, f.Pods...)
		same.Since = earliest(same.Since, f.Since)
		same.FatalAt = earliest(same.FatalAt, f.FatalAt)
		same.restarts = max(same.restarts, f.restarts)
	}
	var merged []Finding
	for _, k := range order {
		f := *groups[k]
		slices.Sort(f.Pods)
		f.Pods = slices.Compact(f.Pods)
		f.Message += restarted(f.restarts)
		merged = append(merged, f)
	}
	slices.SortStableFunc(merged, func(a, b Finding) int {
		if a.Fatal != b.Fatal {
			return map[bool]int{true: -1, false: 1}[a.Fatal]
		}
		return cmp.Or(len(b.Pods)-len(a.Pods), strings.Compare(a.Reason, b.Reason),
			strings.Compare(a.Container, b.Container), strings.Compare(a.Message, b.Message))
	})
	return merged
}

func restarted(times int32) string {
	switch times {
	case 0:
		return ""
	case 1:
		return " (restarted once)"
	}
	return fmt.Sprintf(" (restarted %d times)", times)
}

// earliest ignores times that are unknown.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

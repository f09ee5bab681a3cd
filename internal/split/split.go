// Package split turns a weight into pod counts, and the way there into moves
// that neither lose capacity nor exceed what the workload allows.
package split

import (
	"fmt"
	"strconv"
	"strings"
)

// Counts are the pods asked for on both tracks.
type Counts struct{ Stable, Canary int }

// Total is the number of pods on both tracks.
func (c Counts) Total() int { return c.Stable + c.Canary }

// Canary returns how many of n pods a weight in percent means: the nearest to
// n·weight/100, ties up, and neither all nor none for 1 to 99 percent.
//
//	n = 10:  1 % → 1, 10 % → 1, 15 % → 2, 50 % → 5, 99 % → 9
//	n = 1:   one pod for any weight above 0
func Canary(n, weight int) int {
	switch {
	case n <= 0 || weight <= 0:
		return 0
	case weight >= 100:
		return n
	}
	nearest := (n*weight + 50) / 100
	return max(1, min(nearest, n-1))
}

// Goal returns the counts for n wanted pods of which canary are canaries. A
// single wanted pod is never taken from the stable track: one canary pod then
// runs beside it, unless all traffic is asked for (all).
func Goal(n, canary int, all bool) Counts {
	if n == 1 && canary == 1 && !all {
		return Counts{Stable: 1, Canary: 1}
	}
	return Counts{Stable: max(0, n-canary), Canary: canary}
}

// Limits bound a move: never more than Most pods asked for, never fewer than
// Least pods serving.
type Limits struct{ Most, Least int }

// Bounds returns the limits of a move of n wanted pods by a Deployment's
// maxSurge and maxUnavailable, given as in its manifest ("25%", "3"; "" is
// Kubernetes's default of 25 %). They are resolved as Kubernetes does: surge
// rounds up, unavailability down, and if both come to 0 one pod may be
// unavailable. Where any surge is allowed, none is unavailable.
//
// Source: ResolveFenceposts in kubernetes/pkg/controller/deployment/util.
func Bounds(n int, maxSurge, maxUnavailable string) (Limits, error) {
	surge, err := amount(maxSurge, n, true)
	if err != nil {
		return Limits{}, fmt.Errorf("maxSurge: %w", err)
	}
	unavailable, err := amount(maxUnavailable, n, false)
	if err != nil {
		return Limits{}, fmt.Errorf("maxUnavailable: %w", err)
	}
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	if surge > 0 {
		unavailable = 0
	}
	return Limits{Most: n + surge, Least: max(0, n-unavailable)}, nil
}

// amount resolves "25%" of n, or "3".
func amount(s string, n int, up bool) (int, error) {
	if s == "" {
		s = "25%"
	}
	percent, isPercent := strings.CutSuffix(s, "%")
	value, err := strconv.Atoi(percent)
	if err != nil || value < 0 {
		return 0, fmt.Errorf("%q is neither a number of pods nor a percentage", s)
	}
	switch {
	case !isPercent:
		return value, nil
	case up:
		return (value*n + 99) / 100, nil
	default:
		return value * n / 100, nil
	}
}

// Next returns the counts to ask for next on the way from now to goal, and
// goal itself once there is nothing left to do. Each call only raises or only
// lowers; what was raised must serve before Next is asked again.
//
//	10+0 → 5+5, surge 3: 10+3, 7+3, 7+5 (only 2 are missing), 5+5
//	10+0 → 9+1, no surge, 1 unavailable: 9+0, 9+1
func Next(now, goal Counts, limits Limits) Counts {
	most := max(limits.Most, goal.Total())
	least := min(limits.Least, goal.Total())
	if room := most - now.Total(); room > 0 {
		stable := min(room, max(0, goal.Stable-now.Stable))
		canary := min(room-stable, max(0, goal.Canary-now.Canary))
		if stable+canary > 0 {
			return Counts{Stable: now.Stable + stable, Canary: now.Canary + canary}
		}
	}
	spare := max(0, now.Total()-least)
	canary := min(spare, max(0, now.Canary-goal.Canary))
	stable := min(spare-canary, max(0, now.Stable-goal.Stable))
	return Counts{Stable: now.Stable - stable, Canary: now.Canary - canary}
}

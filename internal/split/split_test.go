package split

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCanary_nearestTiesUpNeitherAllNorNone(t *testing.T) {
	for _, c := range []struct{ n, weight, want int }{
		{10, 0, 0}, {10, 1, 1}, {10, 10, 1}, {10, 14, 1}, {10, 15, 2}, {10, 25, 3}, {10, 50, 5}, {10, 94, 9}, {10, 99, 9}, {10, 100, 10},
		{1, 0, 0}, {1, 1, 1}, {1, 50, 1}, {1, 99, 1}, {1, 100, 1},
		{2, 1, 1}, {2, 50, 1}, {2, 99, 1}, {2, 100, 2},
		{3, 10, 1}, {3, 50, 2}, {3, 99, 2},
		{100, 1, 1}, {100, 33, 33}, {100, 99, 99},
		{1000, 10, 100}, {0, 50, 0},
	} {
		require.Equal(t, c.want, Canary(c.n, c.weight), "%d %% of %d", c.weight, c.n)
	}
}

func TestGoal_keepsTheOnlyStablePod(t *testing.T) {
	require.Equal(t, Counts{1, 1}, Goal(1, 1, false))
	require.Equal(t, Counts{0, 1}, Goal(1, 1, true))
	require.Equal(t, Counts{9, 1}, Goal(10, 1, false))
	require.Equal(t, Counts{0, 10}, Goal(10, 10, true))
}

func TestBounds_asKubernetesResolvesThem(t *testing.T) {
	for _, c := range []struct {
		n                  int
		surge, unavailable string
		want               Limits
	}{
		{10, "", "", Limits{13, 10}},
		{10, "25%", "0", Limits{13, 10}},
		{10, "0", "25%", Limits{10, 8}},
		{10, "0%", "1", Limits{10, 9}},
		{3, "0", "25%", Limits{3, 2}},
		{1, "25%", "25%", Limits{2, 1}},
		{1, "0", "0", Limits{1, 0}},
		{2, "0", "100%", Limits{2, 0}},
	} {
		got, err := Bounds(c.n, c.surge, c.unavailable)
		require.NoError(t, err)
		require.Equal(t, c.want, got, "%+v", c)
	}
	for _, bad := range []string{"x", "-1", "10 %", "%"} {
		_, err := Bounds(10, bad, "")
		require.Error(t, err, bad)
	}
}

func TestNext_showsTheBatches(t *testing.T) {
	for _, c := range []struct {
		from, goal Counts
		limits     Limits
		want       string
	}{
		{Counts{10, 0}, Counts{9, 1}, Limits{13, 10}, "10+1 9+1"},
		{Counts{10, 0}, Counts{5, 5}, Limits{13, 10}, "10+3 7+3 7+5 5+5"},
		{Counts{5, 5}, Counts{7, 3}, Limits{13, 10}, "7+5 7+3"},
		{Counts{5, 5}, Counts{10, 0}, Limits{13, 10}, "8+5 8+2 10+2 10+0"},
		{Counts{10, 0}, Counts{9, 1}, Limits{10, 9}, "9+0 9+1"},
		{Counts{3, 0}, Counts{1, 2}, Limits{3, 2}, "2+0 2+1 1+1 1+2"},
		{Counts{1, 0}, Counts{1, 1}, Limits{1, 0}, "1+1"},
		{Counts{1, 0}, Counts{0, 1}, Limits{2, 1}, "1+1 0+1"},
		{Counts{4, 0}, Counts{9, 1}, Limits{13, 10}, "9+1"},
		{Counts{20, 0}, Counts{9, 1}, Limits{13, 10}, "10+0 10+1 9+1"},
		{Counts{9, 1}, Counts{9, 1}, Limits{13, 10}, ""},
	} {
		var steps string
		for now := c.from; now != c.goal; {
			now = Next(now, c.goal, c.limits)
			steps += fmt.Sprintf(" %d+%d", now.Stable, now.Canary)
			require.Less(t, len(steps), 200, steps)
		}
		if steps != "" {
			steps = steps[1:]
		}
		require.Equal(t, c.want, steps, "%+v", c)
	}
}

// Every move between any two splits must arrive, only raise or only lower at a
// time, and stay within its limits.
func TestNext_arrivesWithinLimitsFromEverywhere(t *testing.T) {
	settings := []string{"0", "1", "3", "25%", "100%"}
	for n := 1; n <= 12; n++ {
		for _, surge := range settings {
			for _, unavailable := range settings {
				limits, err := Bounds(n, surge, unavailable)
				require.NoError(t, err)
				for from := 0; from <= n; from++ {
					for to := 0; to <= n; to++ {
						checkMove(t, Counts{n - from, from}, Counts{n - to, to}, limits)
					}
				}
			}
		}
	}
}

func checkMove(t *testing.T, now, goal Counts, limits Limits) {
	t.Helper()
	for steps := 0; now != goal; steps++ {
		next := Next(now, goal, limits)
		require.NotEqual(t, now, next, "stuck on the way to %v in %v", goal, limits)
		raises := next.Stable > now.Stable || next.Canary > now.Canary
		lowers := next.Stable < now.Stable || next.Canary < now.Canary
		require.False(t, raises && lowers)
		require.LessOrEqual(t, next.Total(), limits.Most)
		require.GreaterOrEqual(t, next.Total(), limits.Least)
		require.Less(t, steps, 100)
		now = next
	}
}

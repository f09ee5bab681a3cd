package gitlab

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestCountTicks(t *testing.T) {
	for most, want := range map[int][]int{
		0:    {0},
		1:    {0, 1},
		6:    {0, 1, 2, 3, 4, 5, 6},
		7:    {0, 2, 4, 6},
		12:   {0, 2, 4, 6, 8, 10, 12},
		13:   {0, 2, 4, 6, 8, 10, 12},
		40:   {0, 10, 20, 30, 40},
		130:  {0, 20, 40, 60, 80, 100, 120},
		150:  {0, 50, 100, 150},
		1000: {0, 200, 400, 600, 800, 1000},
	} {
		assert.Equal(t, want, countTicks(most, 6), "%d", most)
	}
	for most := range 5000 {
		assert.LessOrEqual(t, len(countTicks(most, 6)), 7)
	}
}

func TestTimeTicks(t *testing.T) {
	begin := time.Date(2026, 3, 17, 14, 2, 11, 300e6, time.FixedZone("", 3600))
	for took, want := range map[time.Duration][]string{
		0:                {},
		time.Second:      {"13:02:12"},
		17 * time.Second: {"13:02:15", "13:02:20", "13:02:25"},
		94 * time.Second: {"13:02:30", "13:03:00", "13:03:30"},
		4 * time.Minute:  {"13:03", "13:04", "13:05", "13:06"},
		time.Hour:        {"13:15", "13:30", "13:45", "14:00"},
		30 * time.Hour:   {"00:00", "12:00"},
	} {
		ticks, layout := timeTicks(begin, begin.Add(took))
		got := []string{}
		for _, at := range ticks {
			got = append(got, at.Format(layout))
		}
		assert.Equal(t, want, got, "%s", took)
	}
	for took := time.Second; took < 400*24*time.Hour; took += took/10 + time.Second {
		ticks, _ := timeTicks(began, began.Add(took))
		assert.LessOrEqual(t, len(ticks), 5, "%s", took)
		for _, at := range ticks {
			assert.False(t, at.Before(began) || at.After(began.Add(took)))
		}
	}
}

func TestStack_holdsUntilTheNextSample(t *testing.T) {
	samples := []Sample{at(0, 0, 10), at(10, 0, 10, 1), at(20, 0, 9, 1), at(30, 0, 9, 1), at(40, 0)}
	blocks := stack(samples, []int{1, 0})
	assert.Equal(t, []block{{25, 100, 0, 1}}, blocks[1], "steps without a change are one")
	assert.Equal(t, []block{{0, 25, 0, 10}, {25, 50, 1, 10}, {50, 100, 1, 9}}, blocks[0])
}

func TestStack_ofOddSamples(t *testing.T) {
	assert.Empty(t, stack(nil, []int{0}))
	assert.Empty(t, stack([]Sample{at(5, 0, 3)}, []int{0}))
	assert.Empty(t, stack([]Sample{at(5, 0, 3), at(5, 0, 4)}, []int{0}), "no time passes")
	back := stack([]Sample{at(0, 0, 1), at(50, 0, 2), at(20, 0, 3), at(100, 0, 4)}, []int{0})
	assert.Equal(t, []block{{0, 50, 0, 1}, {50, 100, 0, 3}}, back[0], "time does not go back")
	assert.Equal(t, []block{{0, 100, 0, 2}}, stack([]Sample{at(0, 0, -4, 2), at(1, 0)}, []int{0, 1, 7})[1])
}

func TestAchieved_hasGapsWhereNothingTellsIt(t *testing.T) {
	samples := []Sample{at(0, -1), at(10, 5), at(20, 5), at(30, -1), at(40, 120), at(50, 0)}
	assert.Equal(t, []span{{20, 60, 5}, {80, 100, 100}}, achieved(samples))
}

func TestStackOrder(t *testing.T) {
	assert.Equal(t, []int{1, 2, 0}, stackOrder([]Series{{"v1", false}, {"v2", true}, {"v2", false}}))
}

func TestThin_keepsBothEnds(t *testing.T) {
	var samples []Sample
	for i := range 1000 {
		samples = append(samples, at(i, 0, i))
	}
	kept := thin(samples, 100)
	assert.Len(t, kept, 100)
	assert.Equal(t, samples[0], kept[0])
	assert.Equal(t, samples[999], kept[99])
	assert.Len(t, thin(samples, 0), 2)
	assert.Len(t, thin(samples[:3], 100), 3)
}

// The share's line runs along the canary's pods as long as each pod gets its part.
func TestPlot_shareFollowsTheCanarysPods(t *testing.T) {
	c := newPlot("", canaryReport().Timelines[0], []int{0, 1})
	assert.Equal(t, c.y(2), c.shareY(20))
	assert.Equal(t, c.y(10), c.shareY(100))
	assert.InDelta(t, plotTop, c.y(12), 0, "the highest number of pods is at the top")
	assert.InDelta(t, plotBottom, c.shareY(0), 0)
}

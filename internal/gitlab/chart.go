package gitlab

import (
	"slices"
	"time"
)

// The arithmetic of a chart: where things lie, not how they are drawn. Widths
// are in percent of the plot, heights in pods or percent.

// block is a number of pods that stayed the same from one time to another.
type block struct {
	from, to float64 // percent of the plot's width
	base     int     // pods below it
	pods     int
}

// span is a share that stayed the same from one time to another.
type span struct {
	from, to float64
	share    float64
}

// positions are the times of samples in percent of all that time, never falling.
func positions(samples []Sample) []float64 {
	at := make([]float64, len(samples))
	if len(samples) == 0 {
		return at
	}
	begin, last := samples[0].At, 0.0
	all := samples[len(samples)-1].At.Sub(begin)
	for i, s := range samples {
		if all > 0 {
			last = min(max(last, 100*float64(s.At.Sub(begin))/float64(all)), 100)
		}
		at[i] = last
	}
	return at
}

// stack piles up the series in the given order, the first at the bottom. A
// sample holds until the next. The result is by series.
func stack(samples []Sample, order []int) map[int][]block {
	at := positions(samples)
	blocks := map[int][]block{}
	for i := range max(len(samples)-1, 0) {
		if at[i] == at[i+1] {
			continue
		}
		base := 0
		for _, series := range order {
			b := block{from: at[i], to: at[i+1], base: base, pods: ready(samples[i], series)}
			base += b.pods
			if b.pods > 0 {
				blocks[series] = join(blocks[series], b)
			}
		}
	}
	return blocks
}

// join lengthens the last block if nothing changed.
func join(blocks []block, b block) []block {
	if n := len(blocks) - 1; n >= 0 && blocks[n].to == b.from && blocks[n].base == b.base && blocks[n].pods == b.pods {
		blocks[n].to = b.to
		return blocks
	}
	return append(blocks, b)
}

func ready(s Sample, series int) int {
	if series >= len(s.Ready) {
		return 0
	}
	return max(s.Ready[series], 0)
}

// achieved are the canary's shares over time, with gaps where nothing tells them.
func achieved(samples []Sample) []span {
	at := positions(samples)
	var spans []span
	for i := range max(len(samples)-1, 0) {
		if samples[i].Achieved == nil || at[i] == at[i+1] {
			continue
		}
		s := span{at[i], at[i+1], bounded(*samples[i].Achieved)}
		if n := len(spans) - 1; n >= 0 && spans[n].to == s.from && spans[n].share == s.share {
			spans[n].to = s.to
			continue
		}
		spans = append(spans, s)
	}
	return spans
}

// most is the highest number of pods at one time.
func most(samples []Sample) int {
	highest := 0
	for _, s := range samples {
		total := 0
		for i := range s.Ready {
			total += ready(s, i)
		}
		highest = max(highest, total)
	}
	return highest
}

// stackOrder has the canaries at the bottom, so that their top follows the line
// of the achieved share, and above them the stable versions, the newest first.
func stackOrder(series []Series) []int {
	var order []int
	for i := range series {
		if series[i].Canary {
			order = append(order, i)
		}
	}
	for i := range slices.Backward(series) {
		if !series[i].Canary {
			order = append(order, i)
		}
	}
	return order
}

// thin keeps at most limit samples, the first and the last always.
func thin(samples []Sample, limit int) []Sample {
	if limit = max(limit, 2); len(samples) <= limit {
		return samples
	}
	kept := make([]Sample, limit)
	for i := range kept {
		kept[i] = samples[i*(len(samples)-1)/(limit-1)]
	}
	return kept
}

// countTicks are round numbers from 0 to most, in at most limit steps.
func countTicks(most, limit int) []int {
	step := 1
	for tens := 1; most/step > limit; tens *= 10 {
		for _, n := range []int{1, 2, 5} {
			if step = n * tens; most/step <= limit {
				break
			}
		}
	}
	var ticks []int
	for n := 0; n <= most; n += step {
		ticks = append(ticks, n)
	}
	return ticks
}

// timeSteps are what clocks are divided by.
var timeSteps = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
}

// timeTicks are round times from begin to end, as many as a narrow screen has
// room for, and how to write them.
func timeTicks(begin, end time.Time) (ticks []time.Time, layout string) {
	step, layout := timeStep(end.Sub(begin))
	first := begin.UTC().Truncate(step)
	if first.Before(begin) {
		first = first.Add(step)
	}
	for at := first; !at.After(end); at = at.Add(step) {
		ticks = append(ticks, at)
	}
	return ticks, layout
}

func timeStep(all time.Duration) (step time.Duration, layout string) {
	for _, step := range timeSteps {
		switch {
		case step < time.Minute && all < 4*step:
			return step, "15:04:05"
		case step >= time.Minute && all < 5*step:
			return step, "15:04"
		}
	}
	step = 24 * time.Hour
	for all >= 5*step {
		step *= 2
	}
	return step, "2 Jan"
}

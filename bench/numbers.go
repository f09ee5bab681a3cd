package main

import (
	"fmt"
	"slices"
)

// series are the runs of one command.
type series []sample

// values are sorted numbers.
type values []float64

func (s series) of(f func(sample) float64) values {
	v := make(values, len(s))
	for i, one := range s {
		v[i] = f(one)
	}
	slices.Sort(v)
	return v
}

func (s series) seconds() values {
	return s.of(func(one sample) float64 { return one.wall().Seconds() })
}

func (s series) memory() values {
	return s.of(func(one sample) float64 { return float64(one.Memory) / (1 << 20) })
}

func (s series) cpu() values {
	return s.of(func(one sample) float64 { return one.CPU.Seconds() })
}

func (v values) median() float64 {
	if len(v) == 0 {
		return 0
	}
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

func (v values) max() float64 { return slices.Max(append(values{0}, v...)) }

// spread is a median with its range: "1.23 (1.10–1.50)".
func (v values) spread(unit string) string {
	if len(v) == 0 {
		return "–"
	}
	if len(v) == 1 {
		return fmt.Sprintf("%s%s", round(v[0]), unit)
	}
	return fmt.Sprintf("%s%s (%s–%s)", round(v.median()), unit, round(v[0]), round(v[len(v)-1]))
}

// round shows about three digits.
func round(f float64) string {
	switch {
	case f >= 100:
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.2f", f)
}

func times(f float64) string { return round(f) + " ×" }

// insert adds a number where it belongs.
func insert(v values, f float64) values {
	i, _ := slices.BinarySearch(v, f)
	return slices.Insert(v, i, f)
}

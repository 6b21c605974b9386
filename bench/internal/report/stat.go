package report

import (
	"cmp"
	"math"
	"slices"
)

// Stat is the median of several runs, and the lowest and highest of them.
type Stat struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	Runs   int     `json:"runs"`
}

// Of returns the median and the spread of what several runs have given, the
// zero Stat of none.
func Of(runs []float64) Stat {
	if len(runs) == 0 {
		return Stat{}
	}
	sorted := slices.Sorted(slices.Values(runs))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (median + sorted[middle-1]) / 2
	}
	return Stat{median, sorted[0], sorted[len(sorted)-1], len(sorted)}
}

// One returns the Stat of a single figure.
func One(v float64) Stat { return Of([]float64{v}) }

// Times returns the Stat with every figure multiplied.
func (s Stat) Times(factor float64) Stat {
	return Stat{s.Median * factor, s.Low * factor, s.High * factor, s.Runs}
}

// Percentile returns the value below which p of 100 figures lie, by the
// nearest rank; 0 of none.
func Percentile(figures []float64, p float64) float64 {
	if len(figures) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(figures))
	rank := int(math.Ceil(p/100*float64(len(sorted)))) - 1
	return sorted[min(max(rank, 0), len(sorted)-1)]
}

// Ratios divides, run by run, the figures of two variants that ran side by
// side: what happens to the machine in the meantime happens to both.
func Ratios(dividends, divisors []float64) Stat {
	ratios := make([]float64, min(len(dividends), len(divisors)))
	for i := range ratios {
		ratios[i] = dividends[i] / cmp.Or(divisors[i], math.SmallestNonzeroFloat64)
	}
	return Of(ratios)
}

package lab

import (
	"context"
	"time"
)

// Variant is one way to do what is measured; it returns its figure.
type Variant func(ctx context.Context) (float64, error)

// Turns lets the variants take turns, so many times each, in an order that
// turns as well, and returns the figures of each. Anything that happens to the
// machine in the meantime happens to all of them.
func Turns(ctx context.Context, times int, variants ...Variant) ([][]float64, error) {
	figures := make([][]float64, len(variants))
	for turn := range times {
		for i := range variants {
			at := (turn + i) % len(variants)
			figure, err := variants[at](ctx)
			if err != nil {
				return nil, err
			}
			figures[at] = append(figures[at], figure)
		}
	}
	return figures, nil
}

// Milliseconds is the variant that takes the time of do.
func Milliseconds(do func(ctx context.Context) error) Variant {
	return func(ctx context.Context) (float64, error) {
		start := time.Now()
		err := do(ctx)
		return float64(time.Since(start)) / float64(time.Millisecond), err
	}
}

package backendtest

import (
	"iter"
	"slices"
)

// These break any listing.

func reversed[T any](all []T) []T {
	slices.Reverse(all)
	return all
}

func repeated[T any](all []T) []T { return append(all, all[len(all)-1:]...) }

func shortened[T any](all []T) []T { return all[:max(0, len(all)-1)] }

func onePage[T any](all []T) []T { return all[:min(len(all), 50)] }

func each[T any](change func(*T)) func([]T) []T {
	return func(all []T) []T {
		for i := range all {
			change(&all[i])
		}
		return all
	}
}

// changed yields items other than the items of the sequence. It keeps errors.
func changed[T any](all iter.Seq2[T, error], change func([]T) []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var items []T
		for item, err := range all {
			if err != nil {
				yield(item, err)
				return
			}
			items = append(items, item)
		}
		for _, item := range change(items) {
			if !yield(item, nil) {
				return
			}
		}
	}
}

// where yields what matches.
func where[T any](all iter.Seq2[T, error], match func(T) bool) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for item, err := range all {
			if (err != nil || match(item)) && !yield(item, err) {
				return
			}
		}
	}
}

// stubborn goes on when the loop has been left.
func stubborn[T any](all iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for item, err := range all {
			yield(item, err)
		}
	}
}

// once yields nothing the second time.
func once[T any](all iter.Seq2[T, error]) iter.Seq2[T, error] {
	used := false
	return func(yield func(T, error) bool) {
		if !used {
			used = true
			all(yield)
		}
	}
}

// hiding yields errors that keep no cause.
func hiding[T any](all iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for item, err := range all {
			if !yield(item, hidden(err)) {
				return
			}
		}
	}
}

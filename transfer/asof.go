package transfer

import (
	"context"
	"fmt"
	"math"
	"sort"
	"time"

	"ropewalk/head"
	"ropewalk/internal/link"
)

// At is a moment of the past: of each aggregate what it was at a version, or at a time.
type At struct {
	// Version is the newest version that is wanted, if Time is zero.
	Version uint64
	// Time, if not zero, is the latest time of recording that is wanted, by the clocks of
	// the writers.
	Time time.Time
}

// asOf replaces the head of the source by the head that it had at the moment of the
// options. It is the zero Head if it had no head then.
func (w *work) asOf(ctx context.Context) error {
	at, h := w.options.At, w.report.Source
	if at == nil || h.State == head.Erased {
		return nil
	}
	length, err := w.lengthAt(ctx, *at)
	if err != nil {
		return fmt.Errorf("at the source: %w", err)
	}
	switch {
	case length == 0:
		h = head.Head{}
	case length < h.Len():
		h, err = link.AsOf(ctx, w.from.Changesets, h, length-1)
	}
	if err != nil {
		return fmt.Errorf("the source as of version %d: %w", length-1, corruptIfMissing(err))
	}
	w.report.Source = h
	return nil
}

// lengthAt returns how many changesets the source had at a moment.
func (w *work) lengthAt(ctx context.Context, at At) (uint64, error) {
	h := w.report.Source
	if at.Time.IsZero() {
		return min(h.Version, at.Version) + 1, nil
	}
	if !h.UpdatedAt.After(at.Time) {
		return h.Len(), nil
	}
	if h.Version >= math.MaxInt { // no such chain can have been written
		return 0, fmt.Errorf("%q is too long to be searched", h.AggregateID)
	}
	var failure error
	// Times never go back along a chain: a binary search finds the first later one.
	length := sort.Search(int(h.Version), func(i int) bool {
		if failure != nil {
			return true
		}
		place, err := locate(ctx, w.from.Changesets, h, uint64(i))
		failure = err
		return place.Header.RecordedAt.After(at.Time)
	})
	return uint64(length), failure
}

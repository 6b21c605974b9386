package ropewalk_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/internal/link"
)

// packsOfTen returns a chain of n objects with 10 changesets of a size each.
func packsOfTen(t *testing.T, n, size int) *built {
	b := newBuilt(t)
	for range n {
		drafts := make([]changeset.Draft, 10)
		for i := range drafts {
			drafts[i].Content = make([]byte, size)
		}
		b.append(link.Layout{Packed: true}, drafts...)
	}
	b.save()
	return b
}

// The window counts changesets, across objects, and lets the next object pass.
func TestWindowOfAPackedChainCountsChangesets(t *testing.T) {
	b := packsOfTen(t, 40, 10)
	for _, c := range []struct {
		window            int
		forward, backward int64 // the most requests at once
	}{
		{1, 1, 2}, // backward the object below proves the parent
		{2, 2, 2},
		{11, 2, 2},
		{12, 3, 3},
		{31, 4, 4},
		{32, 5, 5},
	} {
		t.Run(fmt.Sprint(c.window), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for backward, most := range map[bool]int64{false: c.forward, true: c.backward} {
					s := &slow{Store: b.db, takes: time.Second}
					r := ropewalk.New(s, b.db, &ropewalk.Options{WindowCount: c.window}).Chain("order-1").ReaderAt(b.head)
					all, err := ropewalk.Collect(r.Changesets(t.Context(), ropewalk.Range{Last: ropewalk.Newest, Backward: backward}))
					require.NoError(t, err)
					require.Len(t, all, 400)
					require.Equal(t, most, s.most.Load(), "backward %v", backward)
					require.EqualValues(t, 40, s.gets.Load())
				}
			})
		})
	}
}

// The bytes of objects, as they are stored, are bounded ahead of the consumer.
func TestWindowOfAPackedChainIsBounded(t *testing.T) {
	b := packsOfTen(t, 40, 100)
	size := int64(0)
	for _, o := range b.objects {
		info, err := b.db.Stat(t.Context(), o)
		require.NoError(t, err)
		size = max(size, info.BodySize)
	}
	for _, limit := range []int64{1, 2 * size, 10 * size} {
		for _, backward := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				db := &window{Store: b.db}
				r := ropewalk.New(db, db, &ropewalk.Options{WindowBytes: limit, WindowCount: 100}).Chain("order-1").ReaderAt(b.head)
				seen := 0
				for _, err := range r.Changesets(t.Context(), ropewalk.Range{Last: ropewalk.Newest, Backward: backward}) {
					require.NoError(t, err)
					if seen++; seen%10 == 0 {
						db.held.Add(-size)
					}
				}
				require.Equal(t, 400, seen)
				// An object leaves the window after the loop here has seen its last changeset,
				// and the next one always passes.
				require.LessOrEqual(t, db.peak.Load(), max(limit, size)+2*size)
				require.LessOrEqual(t, db.aborted.Load(), int64(40), "no object is turned away twice")
			})
		}
	}
}

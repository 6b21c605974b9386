package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/reference"
)

// A moment is resolved to what a walk over the whole chain would find.
func TestMomentsAreResolved(t *testing.T) {
	p := newTestPlace()
	s := p.store(t)
	chain := s.Chain("order")
	h, err := chain.Create(t.Context(), changeset.Draft{})
	require.NoError(t, err)
	times := []time.Time{h.UpdatedAt}
	for range 40 {
		h, err = chain.Append(t.Context(), h, changeset.Draft{})
		require.NoError(t, err)
		times = append(times, h.UpdatedAt)
	}
	for _, at := range times {
		for _, moment := range []time.Time{at.Add(-1), at, at.Add(1)} {
			want := -1
			for version, recorded := range times {
				if !recorded.After(moment) {
					want = version
				}
			}
			sp, err := s.span(t.Context(), reference.Reference{ID: "order", Form: reference.AsOf, At: moment})
			if want < 0 {
				require.ErrorIs(t, err, ropewalk.ErrNotFound)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, uint64(want), sp.first)
			require.Equal(t, uint64(want), sp.last)
		}
	}
}

// The end of a UUID names an orphan only if it names no other.
func TestEndsOfUUIDsMustBeUnique(t *testing.T) {
	p := newTestPlace()
	s := p.store(t)
	_, err := s.Chain("order").Create(t.Context(), changeset.Draft{})
	require.NoError(t, err)
	a, b := p.pend(t, "order"), p.pend(t, "order")
	common := 0
	for x, y := a.ID.String(), b.ID.String(); x[len(x)-1-common] == y[len(y)-1-common]; {
		common++
	}
	x := a.ID.String()
	r := reference.Reference{ID: "order", Form: reference.Exact, First: 1, Last: 1, UUID: x[len(x)-1-common:]}
	l, err := s.locate(context.Background(), r)
	require.NoError(t, err)
	require.Equal(t, a, l.ref)
	require.Nil(t, l.reader)

	r.UUID = x[len(x)-common:]
	_, err = s.locate(context.Background(), r)
	require.Equal(t, 2, cliexit.Classify(t.Context(), err).Exit)
	require.ErrorContains(t, err, "is not unique: 2 changesets end so")
}

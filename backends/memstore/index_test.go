package memstore

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// TestListingsFollowTheObjects puts, deletes and tampers at random. Listings and ranges
// return the stored objects, in the order of their names.
func TestListingsFollowTheObjects(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	s := New()
	var all []changeset.Changeset
	for _, id := range []string{"a", "a/b", "c d"} {
		for range 3 { // forks
			cs, _, err := link.Extend(head.Head{}, id, make([]changeset.Draft, 12), time.Now())
			require.NoError(t, err)
			all = append(all, cs...)
		}
	}
	for range 2000 {
		c := all[random.IntN(len(all))]
		switch random.IntN(4) {
		case 0:
			require.NoError(t, s.Delete(t.Context(), c.Ref))
		case 1:
			s.Tamper(func(stored *Contents) {
				o, err := encode(c)
				require.NoError(t, err)
				if stored.Objects[c.ObjectName()] != nil {
					delete(stored.Objects, c.ObjectName())
				} else {
					stored.Objects[c.ObjectName()] = o
				}
			})
		default:
			require.NoError(t, s.Put(t.Context(), c))
		}
		requireListed(t, s, c.AggregateID, random)
	}
}

// requireListed holds the listing of an aggregate, and a range of it, against the objects.
func requireListed(t *testing.T, s *Store, aggregateID string, random *rand.Rand) {
	t.Helper()
	var want, got, ranged, within []changeset.Ref
	for _, name := range slices.Sorted(maps.Keys(s.contents.Objects)) {
		if ref, err := changeset.ParseObjectName(name); err == nil && ref.AggregateID == aggregateID {
			want = append(want, ref)
		}
	}
	for o, err := range s.Objects(t.Context(), aggregateID) {
		require.NoError(t, err)
		got = append(got, o.Ref)
	}
	require.Equal(t, want, got)
	first := random.Uint64N(12)
	last := first + random.Uint64N(12)
	for _, ref := range want {
		if first <= ref.Version && ref.Version <= last {
			within = append(within, ref)
		}
	}
	found, err := s.GetRange(t.Context(), aggregateID, first, last, nil)
	require.NoError(t, err)
	for _, c := range found {
		ranged = append(ranged, c.Ref)
	}
	require.Equal(t, within, ranged)
	listed := false
	for id, err := range s.Aggregates(t.Context(), "") {
		require.NoError(t, err)
		listed = listed || id == aggregateID
	}
	require.Equal(t, len(want) > 0, listed)
}

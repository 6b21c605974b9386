package feed_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/feed"
)

func TestOnceFeedsWhatHappened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memstore.New()
		store := ropewalk.New(db, bare{db}, nil)
		for i := range 20 {
			chain := store.Chain(fmt.Sprintf("a%d", i%5))
			h, err := chain.Head(t.Context())
			if i >= 5 {
				require.NoError(t, err)
			}
			_, err = chain.Append(t.Context(), h, ropewalk.Draft{Content: []byte("x")})
			require.NoError(t, err)
		}
		f := feed.Open(store, nil)
		_, err := f.End(t.Context())
		require.ErrorIs(t, err, feed.ErrNoFeed)
		report, err := f.Relay(nil).Once(t.Context())
		require.NoError(t, err)
		require.Equal(t, 5, report.Advances)
		changes, err := ropewalk.Collect(f.After(t.Context(), feed.Position{}))
		require.NoError(t, err)
		require.Len(t, changes, 20)
		end, err := f.End(t.Context())
		require.NoError(t, err)
		require.Equal(t, changes[19].Position, end)
		for i, c := range changes {
			rest, err := ropewalk.Collect(f.After(t.Context(), c.Position))
			require.NoError(t, err)
			require.Equal(t, len(changes)-i-1, len(rest))
			require.LessOrEqual(t, len(c.Position.String()), 120)
			p, err := feed.ParsePosition(c.Position.String())
			require.NoError(t, err)
			require.Equal(t, c.Position, p)
		}
		again, err := f.Relay(nil).Once(t.Context())
		require.NoError(t, err)
		require.Zero(t, again.Batches)
	})
}

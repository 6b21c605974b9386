package hedge_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/hedge"
	"ropewalk/internal/body"
	"ropewalk/internal/link"
)

// The reads of packs are hedged as the reads of changesets are, also where the header
// alone is wanted.
func TestPacksAreHedged(t *testing.T) {
	db := memstore.New()
	var h head.Head
	for range 400 {
		drafts := []changeset.Draft{{Content: []byte("a")}}
		a, err := link.Build(h, "order-1", [][]body.Draft{body.Drafts(drafts, false)}, time.Now(), link.Layout{Packed: true})
		require.NoError(t, err)
		require.NoError(t, db.Put(t.Context(), a.Objects[0]))
		h = a.Next
	}
	synctest.Test(t, func(t *testing.T) {
		s := hedge.New(&tailed{Store: db, slow: oneInFifty}, nil)
		r := ropewalk.New(s, db, &ropewalk.Options{WindowCount: 20}).Chain("order-1").ReaderAt(h)
		for range 2 {
			all, err := ropewalk.Collect(r.Backward(t.Context()))
			require.NoError(t, err)
			require.Len(t, all, 400)
			headers, err := ropewalk.Collect(r.Headers(t.Context(), ropewalk.Range{Last: ropewalk.Newest}))
			require.NoError(t, err)
			require.Len(t, headers, 400)
		}
		require.Positive(t, s.Stats().Won)
	})
}

package ropewalk_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/chaintest"
)

// What lies beyond the version to come is not found, however it is asked for.
func TestReadingBeyondTheHead(t *testing.T) {
	for _, length := range []uint64{0, 1, 40} {
		db := memstore.New()
		chain := ropewalk.New(db, db, nil).Chain("order-1")
		var h head.Head
		for range length {
			var err error
			h, err = chain.Append(t.Context(), h, chaintest.Draft("x"))
			require.NoError(t, err)
		}
		r, ctx := chain.ReaderAt(h), t.Context()
		got, err := ropewalk.Collect(r.Changesets(ctx, ropewalk.Range{First: length, Last: ropewalk.Newest}))
		require.NoError(t, err, "the version to come")
		require.Empty(t, got)
		for _, beyond := range []uint64{length, length + 1, length + 2, 1 << 40, math.MaxUint64 - 1} {
			for name, read := range map[string]func() error{
				"from": func() error {
					return last(r.Changesets(ctx, ropewalk.Range{First: max(beyond, length+1), Last: ropewalk.Newest}))
				},
				"range":            func() error { return last(r.Changesets(ctx, ropewalk.Range{Last: beyond})) },
				"one":              func() error { return last(r.Changesets(ctx, ropewalk.Range{First: beyond, Last: beyond})) },
				"range backward":   func() error { return last(r.Changesets(ctx, ropewalk.Range{Last: beyond, Backward: true})) },
				"headers":          func() error { return last(r.Headers(ctx, ropewalk.Range{Last: beyond})) },
				"headers backward": func() error { return last(r.Headers(ctx, ropewalk.Range{Last: beyond, Backward: true})) },
				"at":               func() error { _, err := r.At(ctx, beyond); return err },
				"head at":          func() error { _, err := chain.HeadAt(ctx, beyond); return err },
				"since": func() error {
					return last(r.Since(ctx, head.Head{Ref: changeset.Ref{AggregateID: "order-1", Version: beyond, ID: changeset.NewID()}}))
				},
			} {
				require.ErrorIs(t, read(), ropewalk.ErrNotFound, "%s %d of %d", name, beyond, length)
			}
		}
	}
}

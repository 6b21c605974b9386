package ropewalk_test

import (
	"iter"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/chaintest"
	"ropewalk/internal/reserved"
)

// The library's own chains are written by the library alone, are read like others,
// and are not among an application's heads.
func TestReservedChains(t *testing.T) {
	db := memstore.New()
	store := ropewalk.New(db, db, nil)
	_, err := store.Chain("order-1").Create(t.Context(), chaintest.Draft("x"))
	require.NoError(t, err)
	ids := []string{reserved.Register, reserved.Feed("0123456789abcdef"), reserved.Subscription("mail")}
	for _, id := range ids {
		chain := store.Chain(id)
		_, err := chain.Create(t.Context(), chaintest.Draft("x"))
		require.ErrorIs(t, err, ropewalk.ErrInvalidAggregateID)
		h, err := chain.Create(reserved.Open(t.Context()), chaintest.Draft("x"))
		require.NoError(t, err)
		_, err = chain.Append(t.Context(), h, chaintest.Draft("y"))
		require.ErrorIs(t, err, ropewalk.ErrInvalidAggregateID)
		_, err = chain.NewAppender(nil).Append(t.Context(), chaintest.Draft("y"))
		require.ErrorIs(t, err, ropewalk.ErrInvalidAggregateID)
		r, err := chain.Reader(t.Context())
		require.NoError(t, err)
		require.Equal(t, h, r.Head())
	}
	for _, id := range []string{reserved.Snapshots("order-1"), "$later"} {
		_, err := store.Chain(id).Create(reserved.Open(t.Context()), changeset.Draft{})
		require.ErrorIs(t, err, ropewalk.ErrInvalidAggregateID, "it has no chain")
	}

	require.Equal(t, []string{"order-1"}, aggregatesOf(t, store.Heads(t.Context(), "")))
	require.Equal(t, append(ids, "order-1"), aggregatesOf(t, store.HeadStore().List(t.Context(), "")))
	for h, err := range store.Heads(t.Context(), "$") {
		require.NoError(t, err)
		require.Equal(t, "order-1", h.AggregateID)
		break // the loop may be left
	}
	db.Tamper(func(c *memstore.Contents) { c.Heads[head.ObjectName(ids[1])][0] = '[' })
	_, err = ropewalk.Collect(store.Heads(t.Context(), ""))
	damaged, _ := head.Damaged(err)
	require.Equal(t, ids[1], damaged, "what cannot be read is not passed over")
}

func aggregatesOf(t *testing.T, heads iter.Seq2[head.Head, error]) (ids []string) {
	t.Helper()
	for h, err := range heads {
		require.NoError(t, err)
		ids = append(ids, h.AggregateID)
	}
	return ids
}

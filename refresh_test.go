package ropewalk_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/head"
	"ropewalk/internal/chaintest"
	"ropewalk/internal/link"
)

// conditional is a store of heads with tokens that counts the records it sends.
type conditional struct {
	*memstore.Store
	sent int
}

func (s *conditional) Load(ctx context.Context, aggregateID string) (head.Head, error) {
	s.sent++
	h, err := s.Store.Load(ctx, aggregateID)
	return h.WithToken(h.ETag()), err
}

func (s *conditional) Refresh(ctx context.Context, seen head.Head) (head.Head, error) {
	if h, err := s.Store.Load(ctx, seen.AggregateID); err == nil && h.SameRecord(seen) {
		return seen, nil
	}
	return s.Load(ctx, seen.AggregateID)
}

func TestRefreshSendsOnlyWhatHasChanged(t *testing.T) {
	db := memstore.New()
	heads := &conditional{Store: db}
	chain := ropewalk.New(db, heads, nil).Chain("order-1")
	_, err := chain.Refresh(t.Context(), head.Head{})
	require.ErrorIs(t, err, ropewalk.ErrNotFound)
	h := chainOf(t, db, "order-1", 3)
	seen, err := chain.Refresh(t.Context(), head.Head{})
	require.NoError(t, err)
	require.True(t, seen.SameRecord(h))
	require.Equal(t, 2, heads.sent)

	same, err := chain.Refresh(t.Context(), seen)
	require.NoError(t, err)
	require.Equal(t, seen, same)
	require.Equal(t, 2, heads.sent, "it was unchanged")

	h, err = ropewalk.New(db, db, nil).Chain("order-1").Append(t.Context(), h, chaintest.Draft("3"))
	require.NoError(t, err)
	later, err := chain.Refresh(t.Context(), seen)
	require.NoError(t, err)
	require.True(t, later.SameRecord(h))
	require.Equal(t, 3, heads.sent)
	require.Equal(t, 1, countUp(t, chain.ReaderAt(later).Since(t.Context(), seen), 3))
}

func TestRefreshTellsWhatBecameOfTheHead(t *testing.T) {
	db := memstore.New()
	chain := ropewalk.New(db, db, nil).Chain("order-1")
	h := chainOf(t, db, "order-1", 3)
	_, err := ropewalk.New(db, db, nil).Chain("order-2").Refresh(t.Context(), h)
	require.ErrorContains(t, err, "not to")

	before := db.Clone()
	h, err = chain.Append(t.Context(), h, chaintest.Draft("3"))
	require.NoError(t, err)
	_, err = ropewalk.New(before, before, nil).Chain("order-1").Refresh(t.Context(), h)
	require.ErrorIs(t, err, ropewalk.ErrHeadLost, "the storage was restored")
	_, err = ropewalk.New(memstore.New(), memstore.New(), nil).Chain("order-1").Refresh(t.Context(), h)
	require.ErrorIs(t, err, ropewalk.ErrHeadLost, "the head is gone")

	_, err = db.Swap(t.Context(), h, link.Tombstone(h))
	require.NoError(t, err)
	_, err = chain.Refresh(t.Context(), h)
	require.ErrorIs(t, err, ropewalk.ErrErased)
}

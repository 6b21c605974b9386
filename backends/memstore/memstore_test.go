package memstore

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// committed returns a store with one chain of one changeset.
func committed(t *testing.T) (*Store, changeset.Changeset, head.Head) {
	s := New()
	cs, next, err := link.Extend(head.Head{}, "order-1", []changeset.Draft{{Content: []byte("one")}}, time.Now())
	require.NoError(t, err)
	next, err = s.Commit(t.Context(), cs, head.Head{}, next)
	require.NoError(t, err)
	cs[0].Content = nil // as a store returns it
	return s, cs[0], next
}

func TestTamperedObjectsAreCorrupt(t *testing.T) {
	s, c, _ := committed(t)
	s.Tamper(func(all *Contents) { all.Objects[c.ObjectName()].Metadata["after-revision"] = "07" })
	_, err := s.Get(t.Context(), c.Ref, nil)
	var corrupt *changeset.CorruptError
	require.ErrorAs(t, err, &corrupt)
	require.Equal(t, s.Locate(c.Ref), corrupt.Object)
	_, err = s.Stat(t.Context(), c.Ref)
	require.ErrorAs(t, err, &corrupt)
}

func TestTamperedBodiesAreReadAsTheyAre(t *testing.T) {
	s, c, _ := committed(t)
	s.Tamper(func(all *Contents) { all.Objects[c.ObjectName()].Body[0] ^= 1 })
	got, err := s.Get(t.Context(), c.Ref, nil)
	require.NoError(t, err)
	require.Error(t, got.Verify(changeset.Digest{}))
	require.NoError(t, c.Verify(changeset.Digest{}), "the store's bytes are not the caller's")
}

func TestSwapOfACorruptHeadIsNotApplied(t *testing.T) {
	s, c, h := committed(t)
	s.Tamper(func(all *Contents) { all.Heads[head.ObjectName(c.AggregateID)][0] = '[' })
	before := s.Clone()

	_, err := s.Swap(t.Context(), h, link.Fence(h))
	var refused *head.NotAppliedError
	require.ErrorAs(t, err, &refused)
	require.False(t, refused.Retryable)
	var corrupt *changeset.CorruptError
	require.ErrorAs(t, err, &corrupt)
	require.Equal(t, before.contents, s.contents)

	_, err = s.Load(t.Context(), c.AggregateID)
	require.ErrorAs(t, err, &corrupt)
}

func TestCloneIsDeep(t *testing.T) {
	s, c, h := committed(t)
	before, clone := s.Clone(), s.Clone()
	clone.Tamper(func(all *Contents) {
		all.Objects[c.ObjectName()].Body[0]++
		all.Objects[c.ObjectName()].Metadata["format"] = "3"
		all.Heads[head.ObjectName(c.AggregateID)][0] = ' '
		all.Objects["changesets/x"] = &Object{}
		all.Heads["heads/x"] = nil
	})
	require.Equal(t, before.contents, s.contents)
	got, err := s.Load(t.Context(), c.AggregateID)
	require.NoError(t, err)
	require.Equal(t, h, got)
	require.False(t, s.Holds(clone))
}

func TestListingsLeaveForeignNamesOut(t *testing.T) {
	s, c, h := committed(t)
	s.Tamper(func(all *Contents) {
		for _, name := range []string{"changesets/order-1/README", "changesets/order-1", "changesets/order.1/" + c.ObjectName()[len("changesets/order-1/"):]} {
			all.Objects[name] = &Object{}
		}
		for _, name := range []string{"heads/", "heads/a/b", "heads/%41", "elsewhere"} {
			all.Heads[name] = []byte("{}")
		}
	})
	for o, err := range s.Objects(t.Context(), c.AggregateID) {
		require.NoError(t, err)
		require.Equal(t, c.Ref, o.Ref)
	}
	for id, err := range s.Aggregates(t.Context(), "") {
		require.NoError(t, err)
		require.Equal(t, c.AggregateID, id)
	}
	for got, err := range s.List(t.Context(), "") {
		require.NoError(t, err)
		require.Equal(t, h, got)
	}
}

func TestCallersMayUseTheStoreWhileItWaitsForThem(t *testing.T) {
	s, c, h := committed(t)
	use := func() {
		require.NoError(t, s.Put(t.Context(), c))
		_, err := s.Load(t.Context(), c.AggregateID)
		require.NoError(t, err)
	}
	_, err := s.Get(t.Context(), c.Ref, func(changeset.Header) error { use(); return nil })
	require.NoError(t, err)
	for _, err := range s.Objects(t.Context(), c.AggregateID) {
		require.NoError(t, err)
		use()
	}
	for listed, err := range s.List(t.Context(), "") {
		require.NoError(t, err)
		require.Equal(t, h, listed)
		use()
	}
}

func TestContentDeletedAfterItsHeaderWasReadIsStillReturned(t *testing.T) {
	s, c, _ := committed(t)
	got, err := s.Get(t.Context(), c.Ref, func(changeset.Header) error { return s.Delete(t.Context(), c.Ref) })
	require.NoError(t, err)
	require.Equal(t, c, got)
	_, err = s.Get(t.Context(), c.Ref, nil)
	require.ErrorIs(t, err, changeset.ErrNotFound)
}

package ropewalk_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// many is a store that reads many objects by one request.
type many struct{ changeset.PassThrough }

func (m many) GetMany(ctx context.Context, refs []changeset.Ref, admission changeset.Admission) ([]changeset.Changeset, error) {
	var all []changeset.Changeset
	for _, ref := range refs {
		if c, err := m.Get(ctx, ref, admission); err == nil {
			all = append(all, c)
		}
	}
	return all, ctx.Err()
}

// TestPackedReadersAgreeWithASlice compares all reads of random mixed chains with what
// was appended.
func TestPackedReadersAgreeWithASlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBuilt(t)
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		old := rapid.SampledFrom([]int{0, 0, 1, 20}).Draw(t, "appends of format 1")
		b.random(r, old, 1+rapid.IntRange(0, 35).Draw(t, "appends"))
		h := b.save()
		store := storeOf(t, b)
		newest := int(h.Version)
		for range 2 {
			at := h
			if version := rapid.IntRange(0, newest).Draw(t, "at"); version < newest {
				place, err := link.Locate(t.Context(), b.db, h, uint64(version))
				require.NoError(t, err)
				at = place.At
				if rapid.Bool().Draw(t, "unplaced") {
					at = head.At(b.want[version].Header)
				}
			}
			requireReads(t, store.Chain("order-1").ReaderAt(at), b.want[:at.Version+1])
		}
	})
}

// storeOf returns a store over the built chain with any options.
func storeOf(t *rapid.T, b *built) *ropewalk.Store {
	var objects changeset.Store = b.db
	if rapid.Bool().Draw(t, "many") {
		objects = many{changeset.NewPassThrough(b.db)}
	}
	return ropewalk.New(objects, b.db, &ropewalk.Options{
		WindowCount: rapid.SampledFrom([]int{0, 1, 2, 5, 50}).Draw(t, "window"),
		WindowBytes: int64(rapid.SampledFrom([]int{0, 1, 500, 20_000}).Draw(t, "bytes")),
	})
}

// requireReads makes reads of all kinds, whose versions are drawn.
func requireReads(t *rapid.T, r *ropewalk.Reader, want []changeset.Changeset) {
	first := rapid.IntRange(0, len(want)-1).Draw(t, "first")
	last := rapid.IntRange(first, len(want)-1).Draw(t, "last")
	versions := ropewalk.Range{First: uint64(first), Last: uint64(last)}
	requireSame(t, want, r.All(t.Context()))
	requireSame(t, backwards(want), r.Backward(t.Context()))
	requireSame(t, want[first:last+1], r.Changesets(t.Context(), versions))
	requireHeaders(t, want[first:last+1], r.Headers(t.Context(), versions))
	versions.Backward = true
	requireSame(t, backwards(want[first:last+1]), r.Changesets(t.Context(), versions))
	requireHeaders(t, backwards(want[first:last+1]), r.Headers(t.Context(), versions))
	one, err := r.At(t.Context(), uint64(first))
	require.NoError(t, err)
	requireEqual(t, want[first], one)
	requireSame(t, want[first+1:], r.Since(t.Context(), head.At(want[first].Header)))
	_, err = r.At(t.Context(), uint64(len(want)))
	require.ErrorIs(t, err, ropewalk.ErrNotFound)
}

func backwards(all []changeset.Changeset) []changeset.Changeset {
	all = slices.Clone(all)
	slices.Reverse(all)
	return all
}

func requireSame(t require.TestingT, want []changeset.Changeset, seq iter.Seq2[changeset.Changeset, error]) {
	got, err := ropewalk.Collect(seq)
	require.NoError(t, err)
	require.Len(t, got, len(want))
	for i := range want {
		requireEqual(t, want[i], got[i])
	}
}

func requireHeaders(t require.TestingT, want []changeset.Changeset, seq iter.Seq2[changeset.Header, error]) {
	got, err := ropewalk.Collect(seq)
	require.NoError(t, err)
	require.Len(t, got, len(want))
	for i := range want {
		require.Equal(t, want[i].Header, got[i])
	}
}

func requireEqual(t require.TestingT, want, got changeset.Changeset) {
	require.Equal(t, want.Header, got.Header)
	if string(want.Content) != string(got.Content) || string(want.Body) != string(got.Body) {
		require.Fail(t, fmt.Sprintf("content of %s", got.Ref))
	}
}

package ropewalk_test

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// These tests hold each check of a reader alone: what they plant passes all
// the others, its digests among them, as a forger would have it.

// requireDamage reads a whole history forward and backward, which must both find damage there.
func requireDamage(t *testing.T, r *ropewalk.Reader, at changeset.Ref) {
	t.Helper()
	for name, read := range map[string]func(context.Context) iter.Seq2[changeset.Changeset, error]{"forward": r.All, "backward": r.Backward} {
		_, err := ropewalk.Collect(read(t.Context()))
		var corrupt *ropewalk.CorruptError
		require.ErrorAs(t, err, &corrupt, name)
		require.Equal(t, at, corrupt.Ref, name)
	}
}

func TestTheNewestIsHeldAgainstTheHead(t *testing.T) {
	db := memstore.New()
	h := chainOf(t, db, "a", 3)
	for name, change := range map[string]func(*head.Head){
		"digest":   func(h *head.Head) { h.Digest[0] ^= 1 },
		"time":     func(h *head.Head) { h.UpdatedAt = h.UpdatedAt.Add(time.Second) },
		"revision": func(h *head.Head) { h.Revision = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			forged := h
			change(&forged)
			requireDamage(t, ropewalk.New(db, db, nil).Chain("a").ReaderAt(forged), changeset.Ref{AggregateID: "a"})
		})
	}
}

func TestLinksAreProvedBeyondTheirDigests(t *testing.T) {
	for name, change := range map[string]func(*changeset.Header){
		"recorded before its parent":       func(h *changeset.Header) { h.RecordedAt = h.RecordedAt.Add(-time.Hour) },
		"built on no later revision":       func(h *changeset.Header) { h.AfterRevision = 0 },
		"a part of an append that is none": func(h *changeset.Header) { h.Part = changeset.Part{Number: 2, Of: 2} },
	} {
		t.Run(name, func(t *testing.T) {
			first, h, err := link.Extend(head.Head{}, "a", []changeset.Draft{{}}, time.Now())
			require.NoError(t, err)
			second, _, err := link.Extend(h, "a", []changeset.Draft{{}}, time.Now())
			require.NoError(t, err)
			change(&second[0].Header)
			second[0].Digest = second[0].ComputeDigest(first[0].Digest)
			db := memstore.New()
			for _, c := range []changeset.Changeset{first[0], second[0]} {
				require.NoError(t, db.Put(t.Context(), c))
			}
			r := ropewalk.New(db, db, nil).Chain("a").ReaderAt(head.At(second[0].Header))
			requireDamage(t, r, second[0].Ref)
		})
	}
}

// An index that only leads the way, and belongs to no changeset that is
// yielded, must agree with the others all the same.
func TestIndexesThatLeadTheWayMustAgree(t *testing.T) {
	const n, guide = 40, 31
	db := memstore.New()
	h := chainOf(t, db, "a", n)
	chain := ropewalk.New(db, db, nil).Chain("a")
	_, id, ok := h.Ancestors.Nearest(guide)
	require.True(t, ok)
	info, err := db.Stat(t.Context(), changeset.Ref{AggregateID: "a", Version: guide, ID: id})
	require.NoError(t, err)

	forged := info.Header
	forged.Ancestors = changeset.Index{}
	for version := range uint64(guide) {
		r, err := chain.ReaderAt(h).At(t.Context(), version)
		require.NoError(t, err)
		if version == 15 { // which the head's own index has, too
			r.ID = changeset.NewID()
		}
		forged.Ancestors = forged.Ancestors.Push(r.ID)
	}
	metadata, err := changeset.Encode(forged, changeset.Hyphenated)
	require.NoError(t, err)
	db.Tamper(func(all *memstore.Contents) { all.Objects[forged.ObjectName()].Metadata = metadata })

	// Backward, where version 25 is not known before the guide has come.
	_, err = ropewalk.Collect(chain.ReaderAt(h).Changesets(t.Context(), ropewalk.Range{First: 14, Last: 25, Backward: true}))
	var corrupt *ropewalk.CorruptError
	require.ErrorAs(t, err, &corrupt)
	require.Equal(t, forged.Ref, corrupt.Ref)
}

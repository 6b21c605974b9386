package ropewalk_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/internal/link"
	"ropewalk/internal/meter"
)

// A reader at a point loads the record once for each sequence, and reads as at a head.
func TestReaderAtAPoint(t *testing.T) {
	b := spread(t)
	m := meter.New(0)
	chain := ropewalk.New(m.Changesets(b.db), m.Heads(b.db), nil).Chain("order-1")
	for version, counts := range map[int]meter.Counts{
		30: {Load: 1, Get: 12 + 5},             // the head's
		29: {Load: 1, Get: 12 + 5},             // in the tip
		28: {Load: 1, Get: 12 + 1 + 5},         // the end of the newest object, which is read to find it
		7:  {Load: 1, Stat: 1, Get: 2 + 1 + 5}, // in an object
		4:  {Load: 1, Stat: 2 + 1 + 1, Get: 5}, // of format 1
		3:  {Load: 1, Stat: 2 + 1 + 1, Get: 4}, // of format 1
		0:  {Load: 1, Stat: 2 + 1 + 1, Get: 1}, // of format 1
	} {
		point := head.At(b.want[version].Header)
		require.Equal(t, version > 4, point.IsPoint())
		if !point.IsPoint() {
			counts.Load, counts.Stat = 0, 0 // such a head is complete
		}
		m.Reset()
		requireSame(t, b.want[:version+1], chain.ReaderAt(point).All(t.Context()))
		require.Equal(t, counts, m.Count(), "version %d", version)
	}
}

// A point that the chain does not pass through is not found.
func TestReaderAtAForeignPoint(t *testing.T) {
	b := spread(t)
	chain := ropewalk.New(b.db, b.db, nil).Chain("order-1")
	for _, version := range []int{30, 29, 20, 7, 6, 5} {
		for name, change := range map[string]func(*head.Head){
			"ID":      func(h *head.Head) { h.ID = changeset.NewID() },
			"digest":  func(h *head.Head) { h.Digest[0] ^= 1 },
			"version": func(h *head.Head) { h.Version += 1000 },
		} {
			point := head.At(b.want[version].Header)
			change(&point)
			_, err := chain.ReaderAt(point).At(t.Context(), 0)
			require.ErrorIs(t, err, ropewalk.ErrNotFound, "%s of %d", name, version)
			require.ErrorContains(t, err, "does not pass through")
		}
	}
	other := ropewalk.New(b.db.Clone(), faults.TwoSteps(newBuilt(t).db), nil).Chain("order-1")
	_, err := other.ReaderAt(head.At(b.want[20].Header)).At(t.Context(), 0)
	require.ErrorIs(t, err, ropewalk.ErrNotFound, "there is no head")
}

// Since proves that a packed chain passes through a head of any kind.
func TestSinceInAPackedChain(t *testing.T) {
	b := spread(t)
	r := ropewalk.New(b.db, b.db, nil).Chain("order-1").ReaderAt(b.head)
	for version := range b.want {
		place, err := link.Locate(t.Context(), b.db, b.head, uint64(version))
		require.NoError(t, err)
		for _, h := range []head.Head{place.At, head.At(b.want[version].Header)} {
			requireSame(t, b.want[version+1:], r.Since(t.Context(), h))
			foreign, forged := h, h
			foreign.ID, forged.Digest[0] = changeset.NewID(), ^h.Digest[0]
			_, err = ropewalk.Collect(r.Since(t.Context(), foreign))
			require.ErrorIs(t, err, ropewalk.ErrNotFound)
			if version < len(b.want)-1 {
				all, err := ropewalk.Collect(r.Since(t.Context(), forged))
				require.ErrorAs(t, err, new(*ropewalk.CorruptError), "version %d", version)
				require.Empty(t, all)
			}
		}
	}
}

// An object that is missing although the head has moved on to lead to it is corrupt,
// however often the head moves.
func TestMissingObjectOfAnAggregateThatIsAppendedTo(t *testing.T) {
	b := spread(t)
	missing := b.objects[4]
	require.NoError(t, b.db.Delete(t.Context(), missing))
	var script faults.Script
	pinned := b.head
	chain := ropewalk.New(script.Changesets(b.db), script.Heads(b.db), nil).Chain("order-1")
	for _, h := range []head.Head{pinned, head.At(b.want[28].Header)} {
		script.Reset()
		script.Every(faults.Load, faults.Fault{Before: func() {
			b.append(link.Layout{Tip: 1000}, changeset.Draft{})
			b.save()
		}})
		got, err := ropewalk.Collect(chain.ReaderAt(h).All(t.Context()))
		var corrupt *ropewalk.CorruptError
		require.ErrorAs(t, err, &corrupt)
		require.Equal(t, missing, corrupt.Ref)
		require.Equal(t, b.db.Locate(missing), corrupt.Object)
		require.Len(t, got, int(missing.First()))
		require.LessOrEqual(t, script.Calls(faults.Load), 3)
	}
}

// MaxContentSize bounds the content of each changeset, and not an object.
func TestMaxContentSizeInAPackedChain(t *testing.T) {
	b := newBuilt(t)
	for _, size := range []int{10, 99, 100, 101, 5} {
		b.append(link.Layout{Packed: true, Tip: 3000}, changeset.Draft{Content: make([]byte, size)})
	}
	for _, flushed := range []bool{false, true} {
		if flushed {
			b.flush()
		}
		h := b.save()
		for limit, n := range map[int64]int{1000: 5, 101: 5, 100: 3, 99: 2, 1: 0} {
			r := ropewalk.New(b.db, b.db, &ropewalk.Options{MaxContentSize: limit}).Chain("order-1").ReaderAt(h)
			all, err := ropewalk.Collect(r.All(t.Context()))
			require.Equal(t, n < 5, errors.Is(err, ropewalk.ErrStoredTooLarge))
			require.Len(t, all, n)
			headers, err := ropewalk.Collect(r.Headers(t.Context(), ropewalk.Range{Last: ropewalk.Newest}))
			require.NoError(t, err)
			require.Len(t, headers, 5)
		}
	}
}

// Content belongs to the caller, although it may lie beside the next content in memory.
func TestContentOfAPackedChainIsTheCallersOwn(t *testing.T) {
	b := newBuilt(t)
	for _, tip := range []int{0, 0, 1000} {
		b.append(link.Layout{Packed: true, Tip: tip}, make([]changeset.Draft, 3)...)
		b.append(link.Layout{Packed: true, Tip: tip}, changeset.Draft{Content: []byte("a")}, changeset.Draft{Content: []byte("b")})
	}
	r := ropewalk.New(b.db, b.db, nil).Chain("order-1").ReaderAt(b.save())
	for range 2 {
		for c, err := range r.All(t.Context()) {
			require.NoError(t, err)
			requireEqual(t, b.want[c.Version], c)
			_ = append(c.Content, "overwritten"...)
			clear(c.Content)
		}
	}
}

// Reading a packed chain while it is erased is no corruption.
func TestReadingAPackedChainWhileItIsErased(t *testing.T) {
	for name := range whileAbsorbing(spread(t)) {
		for _, op := range []faults.Op{faults.Get, faults.Stat, faults.Load} {
			for request := 1; request <= 7; request += 2 {
				b := spread(t)
				var script faults.Script
				script.On(op, request, faults.Fault{Before: func() { erase(t, b.db, "order-1") }})
				chain := ropewalk.New(script.Changesets(b.db), script.Heads(b.db), &ropewalk.Options{WindowCount: 4}).Chain("order-1")
				err := whileAbsorbing(b)[name](t.Context(), chain.ReaderAt(head.At(b.want[25].Header)))
				if h, _ := b.db.Load(t.Context(), "order-1"); h.State != head.Erased {
					require.NoError(t, err)
					continue
				}
				if err != nil { // everything may have been under way already
					require.ErrorIs(t, err, ropewalk.ErrErased, "%s, %s %d", name, op, request)
					require.NotErrorAs(t, err, new(*ropewalk.CorruptError))
				}
			}
		}
	}
}

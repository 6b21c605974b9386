package transfer_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/gc"
	"ropewalk/head"
	"ropewalk/inspect"
	"ropewalk/transfer"
)

// moments makes chains of every form, an append a second, and returns the heads that were
// stored after each append.
func moments(t *testing.T, s *memstore.Store) map[string][]head.Head {
	seen := map[string][]head.Head{}
	commit := func(store *ropewalk.Store, id string, drafts ...changeset.Draft) {
		h, err := store.Chain(id).Update(t.Context(), func(context.Context, *ropewalk.Reader) ([]changeset.Draft, error) { return drafts, nil })
		require.NoError(t, err)
		seen[id] = append(seen[id], h)
		time.Sleep(time.Second)
	}
	plain := ropewalk.New(s, s, nil)
	for i := range 20 {
		commit(plain, "plain", draft(fmt.Sprint("plain ", i)))
		commit(tipped(s, 1000), "packed", draft(fmt.Sprint("packed ", i)))
		if i == 2 {
			commit(plain, "plain", draft("a"), draft("b"), draft("c"))
			commit(tipped(s, 1000), "packed", draft("a"), draft("b"), draft("c"))
		}
		if i < 3 {
			commit(plain, "mixed", draft(fmt.Sprint("mixed ", i)))
		} else {
			commit(tipped(s, 1000), "mixed", draft(fmt.Sprint("mixed ", i)))
		}
	}
	commit(tipped(s, 4000), "alone", draft("one"))
	commit(tipped(s, 4000), "alone", draft(strings.Repeat("large ", 200_000)))
	commit(tipped(s, 4000), "alone", draft("three"))
	return seen
}

// newestAt returns the last of the heads that satisfies a condition, or the zero Head.
func newestAt(all []head.Head, is func(head.Head) bool) (newest head.Head) {
	for _, h := range all {
		if is(h) {
			newest = h
		}
	}
	return newest
}

// requireForked demands that a store has an aggregate as it was at a head, and proves it.
func requireForked(t *testing.T, s both, id string, want head.Head) {
	t.Helper()
	report, err := inspect.New(s, s, nil).Verify(t.Context(), id)
	require.NoError(t, err)
	require.Empty(t, report.Problems, id)
	require.Zero(t, report.Lost+report.Pending+report.Ahead+report.Unknown, id)
	got := report.Head
	require.Equal(t, want.Ref, got.Ref)
	require.Equal(t, want.Digest, got.Digest)
	require.Equal(t, want.Revision, got.Revision, "nothing has fenced the source")
	require.Equal(t, want.UpdatedAt, got.UpdatedAt)
	require.Equal(t, want.Formats.Numbers(), got.Formats.Numbers())
	if !want.IsPacked() {
		require.Equal(t, want.Ancestors, got.Ancestors)
	}
}

// A copy of every version, and of every time, is the history that the source had then. It
// goes on with the source, unless it went on alone.
func TestCopyAsOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := memstore.New()
		for id, all := range moments(t, from) {
			newest := all[len(all)-1]
			for version := range newest.Version + 2 {
				want := newestAt(all, func(h head.Head) bool { return h.Version <= version })
				requireFork(t, from, id, transfer.At{Version: version}, want)
			}
			for _, h := range all {
				for _, off := range []time.Duration{-1, 0, 1} {
					at := h.UpdatedAt.Add(off)
					want := newestAt(all, func(h head.Head) bool { return !h.UpdatedAt.After(at) })
					requireFork(t, from, id, transfer.At{Time: at}, want)
				}
			}
		}
	})
}

func requireFork(t *testing.T, from both, id string, at transfer.At, want head.Head) {
	t.Helper()
	to, alone := memstore.New(), memstore.New()
	for _, s := range []both{to, alone} {
		for range 2 { // the second one finds it equal
			report, err := transfer.New(storage(from), storage(s), &transfer.Options{At: &at}).Copy(t.Context(), id)
			require.NoError(t, err)
			if want.IsZero() {
				require.Equal(t, transfer.Absent, report.Outcome)
				return
			}
			requireForked(t, s, id, want)
		}
	}
	appendTo(t, tipped(alone, 1000), id, "its own", strings.Repeat("x", 1100), "tip")
	_, err := transfer.New(storage(from), storage(alone), nil).Copy(t.Context(), id)
	if newest, _ := from.Load(t.Context(), id); newest.Version > want.Version {
		require.ErrorIs(t, err, ropewalk.ErrConflict)
	} else {
		require.NoError(t, err) // newer
	}
	_, err = transfer.New(storage(from), storage(to), nil).Copy(t.Context(), id)
	require.NoError(t, err)
	requireCopied(t, from, to, id)
}

// A fork dies at every request, and the next run finishes it.
func TestCopyAsOfIsKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := memstore.New()
		all := moments(t, from)
		for _, id := range []string{"plain", "mixed", "packed"} {
			want := all[id][10]
			at := &transfer.At{Time: want.UpdatedAt}
			for _, op := range []faults.Op{faults.Put, faults.Swap, faults.Get, faults.GetMany, faults.Load} {
				for call := 1; ; call++ {
					require.Less(t, call, 200)
					to := memstore.New()
					var here, there faults.Script
					script := &here
					if op == faults.Put || op == faults.Swap {
						script = &there
					}
					script.On(op, call, faults.Fault{Kind: faults.Dropped})
					_, _ = transfer.New(scripted(from, &here), scripted(to, &there), &transfer.Options{At: at}).Copy(t.Context(), id)
					_, err := transfer.New(storage(from), storage(to), &transfer.Options{At: at}).Copy(t.Context(), id)
					require.NoError(t, err)
					requireForked(t, to, id, want)
					if len(script.Unused()) > 0 {
						break
					}
				}
			}
		}
	})
}

// Tombstones are copied at every moment, and what came later is left out.
func TestCopyAllAsOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, to := memstore.New(), memstore.New()
		s := ropewalk.New(from, from, nil)
		appendTo(t, s, "old", "one")
		appendTo(t, s, "gone", "one")
		at := time.Now()
		time.Sleep(time.Second)
		appendTo(t, s, "old", "two")
		appendTo(t, s, "new", "one")
		_, err := gc.New(from, from, nil).Erase(t.Context(), "gone")
		require.NoError(t, err)
		counts := copyAll(t, storage(from), storage(to), &transfer.Options{At: &transfer.At{Time: at}})
		require.Equal(t, map[transfer.Outcome]int{transfer.Copied: 2, transfer.Absent: 1}, counts)
		require.Len(t, history(t, to, "old"), 1)
		h, err := to.Load(t.Context(), "gone")
		require.NoError(t, err)
		require.Equal(t, head.Erased, h.State)
		h, err = to.Load(t.Context(), "new")
		require.NoError(t, err)
		require.True(t, h.IsZero())
	})
}

package transfer_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/backends/sqlitestore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/feed"
	"ropewalk/gc"
	"ropewalk/head"
	"ropewalk/inspect"
	"ropewalk/internal/reserved"
	"ropewalk/transfer"
)

// both is a storage of changesets and of heads.
type both interface {
	inspect.Changesets
	changeset.Deleter
	head.Store
}

func storage(s both) transfer.Storage { return transfer.Storage{Changesets: s, Heads: s} }

// tipped returns a store whose packed chains have tips, as in a cloud.
func tipped(s both, tip int) *ropewalk.Store {
	return ropewalk.New(s, faults.TwoSteps(s), &ropewalk.Options{Packed: true, TipSize: tip})
}

func draft(text string) changeset.Draft {
	return changeset.Draft{Content: []byte(text), ContentType: "text/plain", Metadata: map[string]string{"tenant": "acme"}}
}

// appendTo appends changesets one by one.
func appendTo(t *testing.T, s *ropewalk.Store, id string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		_, err := s.Chain(id).Update(t.Context(), func(context.Context, *ropewalk.Reader) ([]changeset.Draft, error) {
			return []changeset.Draft{draft(text)}, nil
		})
		require.NoError(t, err)
	}
}

// ids are the aggregates of [fill] that have a history.
var ids = []string{"alone", "compressed", "mixed", "packed", "plain/ü", "tip"}

// fill makes chains of every form.
func fill(t *testing.T, s both) {
	t.Helper()
	plain, squeezed := ropewalk.New(s, s, nil), ropewalk.New(s, s, &ropewalk.Options{Compress: true})
	for i := range 40 {
		appendTo(t, plain, "plain/ü", fmt.Sprint("plain ", i))
	}
	_, err := plain.Chain("plain/ü").Update(t.Context(), func(context.Context, *ropewalk.Reader) ([]changeset.Draft, error) {
		return []changeset.Draft{draft("a"), draft("b"), {}}, nil
	})
	require.NoError(t, err)
	appendTo(t, squeezed, "compressed", strings.Repeat("much of the same ", 100), "x")
	appendTo(t, plain, "mixed", "one", "two", "three")
	for i := range 30 {
		appendTo(t, tipped(s, 1000), "mixed", fmt.Sprint("mixed ", i))
		appendTo(t, tipped(s, 1000), "packed", fmt.Sprint("packed ", i))
	}
	appendTo(t, tipped(s, 4000), "tip", "one", "two")
	appendTo(t, tipped(s, 4000), "alone", "one", string(bytes.Repeat([]byte("large "), 200_000)), "three")
	appendTo(t, plain, "erased", "secret")
	_, err = gc.New(s, s, nil).Erase(t.Context(), "erased")
	require.NoError(t, err)
}

// requireCopied demands that the destination has the history of the source, proved.
func requireCopied(t *testing.T, from, to both, id string) {
	t.Helper()
	report, err := inspect.New(to, to, nil).Verify(t.Context(), id)
	require.NoError(t, err)
	require.Empty(t, report.Problems, id)
	require.Zero(t, report.Lost+report.Pending+report.Ahead+report.Unknown, id)
	want, err := from.Load(t.Context(), id)
	require.NoError(t, err)
	got := report.Head
	require.Equal(t, want.Ref, got.Ref)
	require.Equal(t, want.Digest, got.Digest)
	require.Equal(t, want.Tip, got.Tip)
	require.Equal(t, want.Index, got.Index)
	require.Equal(t, history(t, from, id), history(t, to, id))
}

// history returns everything that a reader sees of an aggregate.
func history(t *testing.T, s both, id string) (all []string) {
	t.Helper()
	reader, err := ropewalk.New(s, s, nil).Chain(id).Reader(t.Context())
	require.NoError(t, err)
	for c, err := range reader.All(t.Context()) {
		require.NoError(t, err)
		all = append(all, fmt.Sprintf("%s %s %s %s %.20q", c.Ref, c.Digest, c.ContentType, c.Metadata, c.Content))
	}
	return all
}

// copyAll copies everything, without a failure, and counts the outcomes.
func copyAll(t *testing.T, from, to transfer.Storage, o *transfer.Options) map[transfer.Outcome]int {
	t.Helper()
	counts := map[transfer.Outcome]int{}
	for r, err := range transfer.New(from, to, o).CopyAll(t.Context()) {
		require.NoError(t, err)
		require.NoError(t, r.Err)
		counts[r.Outcome]++
	}
	return counts
}

func openSQLite(t *testing.T) *sqlitestore.Store {
	t.Helper()
	db, err := sqlitestore.Open(filepath.Join(t.TempDir(), "store.db"), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// Chains of every form are copied between backends, and back, and stay what they were. A
// copy can be appended to, and the source goes on to the same copy.
func TestCopyBetweenBackends(t *testing.T) {
	memory, file, back := memstore.New(), openSQLite(t), memstore.New()
	fill(t, memory)
	require.Equal(t, map[transfer.Outcome]int{transfer.Copied: 7}, copyAll(t, storage(memory), storage(file), nil))
	require.Equal(t, map[transfer.Outcome]int{transfer.Equal: 7}, copyAll(t, storage(memory), storage(file), nil))
	require.Equal(t, map[transfer.Outcome]int{transfer.Copied: 7}, copyAll(t, storage(file), storage(back), nil))
	for _, id := range ids {
		requireCopied(t, memory, file, id)
		requireCopied(t, memory, back, id)
	}
	for _, s := range []both{file, back} {
		h, err := s.Load(t.Context(), "erased")
		require.NoError(t, err)
		require.Equal(t, head.Erased, h.State)
	}
	for _, id := range ids {
		appendTo(t, tipped(memory, 1000), id, "more", strings.Repeat("much more ", 200), "most")
	}
	require.Equal(t, map[transfer.Outcome]int{transfer.Copied: 6, transfer.Equal: 1}, copyAll(t, storage(memory), storage(file), nil))
	for _, id := range ids {
		requireCopied(t, memory, file, id)
		appendTo(t, ropewalk.New(file, file, nil), id, "at the destination")
	}
	require.Equal(t, map[transfer.Outcome]int{transfer.Newer: 6, transfer.Equal: 1}, copyAll(t, storage(memory), storage(file), nil))
	require.Equal(t, map[transfer.Outcome]int{transfer.Copied: 6, transfer.Equal: 1}, copyAll(t, storage(file), storage(memory), nil), "and the other way round")
}

// The feed of the destination has every change once.
func TestCopyIsInTheFeed(t *testing.T) {
	from, to := memstore.New(), openSQLite(t)
	fill(t, from)
	copyAll(t, storage(from), storage(to), nil)
	f := feed.Open(ropewalk.New(to, to, nil), nil)
	seen := map[string]int{}
	for c, err := range f.After(t.Context(), feed.Position{}) {
		require.NoError(t, err)
		seen[c.AggregateID]++
	}
	for _, id := range ids {
		require.Len(t, history(t, from, id), seen[id], id)
	}
}

// Only new changesets are read and put.
func TestCopyOnlyWhatIsNew(t *testing.T) {
	for _, id := range []string{"plain/ü", "mixed", "packed"} {
		from, to := memstore.New(), memstore.New()
		fill(t, from)
		if id != "plain/ü" {
			appendTo(t, tipped(from, 1000), id, "in the tip")
		}
		_, err := transfer.New(storage(from), storage(to), nil).Copy(t.Context(), id)
		require.NoError(t, err)
		before, err := from.Load(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, before.IsPacked(), before.Tip != "")
		appendTo(t, ropewalk.New(from, from, nil), id, "new")
		report, err := transfer.New(storage(from), storage(to), nil).Copy(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, int64(1), report.Objects, id)
		first := before.Len()
		if before.IsPacked() {
			first = before.Index.Next()
		}
		require.Equal(t, int64(report.Source.Len()-first), report.Changesets, id)
		requireCopied(t, from, to, id)
	}
}

// The library's own chains stay where they are, and a prefix and a time choose aggregates.
func TestWhatIsCopied(t *testing.T) {
	from := memstore.New()
	appendTo(t, ropewalk.New(from, from, nil), "order-1", "x")
	appendTo(t, ropewalk.New(from, from, nil), "user-1", "x")
	_, err := ropewalk.New(from, from, nil).Chain(reserved.Subscription("x")).Create(reserved.Open(t.Context()), draft("x"))
	require.NoError(t, err)
	to := memstore.New()
	require.Equal(t, map[transfer.Outcome]int{transfer.Copied: 1}, copyAll(t, storage(from), storage(to), &transfer.Options{Prefix: "order-"}))
	require.Empty(t, copyAll(t, storage(from), storage(to), &transfer.Options{Since: time.Now().Add(time.Hour)}))
	require.Equal(t, map[transfer.Outcome]int{transfer.Copied: 1, transfer.Equal: 1}, copyAll(t, storage(from), storage(to), nil))
	_, err = gc.New(from, from, nil).Erase(t.Context(), "order-1")
	require.NoError(t, err)
	later := memstore.New()
	require.Equal(t, map[transfer.Outcome]int{transfer.Copied: 1}, copyAll(t, storage(from), storage(later), &transfer.Options{Since: time.Now().Add(time.Hour)}), "the tombstone")
	_, err = transfer.New(storage(from), storage(to), nil).Copy(t.Context(), "$feed")
	require.ErrorIs(t, err, changeset.ErrInvalidAggregateID)
	_, err = transfer.New(storage(from), storage(to), nil).Copy(t.Context(), "nobody")
	require.ErrorIs(t, err, changeset.ErrNotFound)
}

// A context that has ended ends the copy.
func TestCopyEnds(t *testing.T) {
	from := memstore.New()
	fill(t, from)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := transfer.New(storage(from), storage(memstore.New()), nil).Copy(ctx, "packed")
	require.ErrorIs(t, err, context.Canceled)
}

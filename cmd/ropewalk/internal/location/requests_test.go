package location

import (
	"bytes"
	"context"
	"iter"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/backendtest"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
)

func TestLoggedStoresHaveWhatTheyWrap(t *testing.T) {
	requests := requestLog{slog.New(slog.DiscardHandler)}
	t.Run("changesets", func(t *testing.T) {
		backendtest.TestChangesetDecorator(t, func(_ testing.TB, inner changeset.Store) changeset.Store {
			return loggedObjects{changeset.NewPassThrough(inner), requests}
		})
	})
	t.Run("heads", func(t *testing.T) {
		backendtest.TestHeadDecorator(t, func(_ testing.TB, inner head.Store) head.Store {
			return loggedHeads{head.NewPassThrough(inner), requests}
		})
	})
}

// drain reads a listing to its end.
func drain[T any](listing iter.Seq2[T, error]) (n int) {
	for range listing {
		n++
	}
	return n
}

func TestEveryRequestIsLoggedOnce(t *testing.T) {
	var out bytes.Buffer
	db := memstore.New()
	o, h := Logged(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})), db, db)
	bare := head.NewPassThrough(struct{ head.Store }{db}) // whose logs and sources are a page with an error
	ctx := t.Context()
	ref := changeset.Ref{AggregateID: "a", ID: changeset.NewID()}
	changesets, heads := o.(loggedObjects), loggedHeads{bare, h.(loggedHeads).requestLog}
	for op, call := range map[string]func(){
		"put":             func() { _ = changesets.Put(ctx, changeset.Changeset{}) },
		"get":             func() { _, _ = changesets.Get(ctx, ref, nil) },
		"get-many":        func() { _, _ = changesets.GetMany(ctx, []changeset.Ref{ref}, nil) },
		"stat":            func() { _, _ = changesets.Stat(ctx, ref) },
		"delete":          func() { _ = changesets.Delete(ctx, ref) },
		"list":            func() { drain(changesets.Objects(ctx, "a")) },
		"scan":            func() { drain(changesets.Scan(ctx, []string{"a"}, nil)) },
		"list-aggregates": func() { drain(changesets.Aggregates(ctx, "")) },
		"load-head":       func() { _, _ = heads.Load(ctx, "a") },
		"refresh-head":    func() { _, _ = heads.Refresh(ctx, head.Head{Ref: ref}) },
		"swap-head":       func() { _, _ = heads.Swap(ctx, head.Head{}, head.Head{}) },
		"commit":          func() { _, _ = heads.Commit(context.WithoutCancel(ctx), nil, head.Head{}, head.Head{}) },
		"swap-heads":      func() { _, _ = heads.SwapAll(ctx, []head.Exchange{{AggregateID: "a"}}) },
		"list-heads":      func() { drain(heads.List(ctx, "")) },
		"list-tags":       func() { drain(heads.Tags(ctx, "")) },
		"read-log":        func() { drain(heads.Entries(ctx, head.LogPosition{}, false)) },
		"end-of-log":      func() { _, _ = heads.LogEnd(ctx) },
		"read-hints":      func() { drain(heads.Hints(ctx, nil)) },
	} {
		out.Reset()
		call()
		require.Equal(t, 1, strings.Count(out.String(), "msg=request"), op)
		require.Contains(t, out.String(), "op="+op+" ")
	}
}

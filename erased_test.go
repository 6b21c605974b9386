package ropewalk_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/backends/sqlitestore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/internal/chaintest"
	"ropewalk/internal/link"
)

// erasable is a store whose aggregates can be erased.
type erasable interface {
	changeset.Store
	changeset.Lister
	changeset.Deleter
	head.Store
}

// erase replaces the head by a tombstone and deletes all objects.
func erase(t *testing.T, s erasable, id string) {
	ctx := context.WithoutCancel(t.Context())
	h, err := s.Load(ctx, id)
	require.NoError(t, err)
	if h.State == head.Erased {
		return
	}
	_, err = s.Swap(ctx, h, link.Tombstone(h))
	require.NoError(t, err)
	var refs []changeset.Ref
	for o, err := range s.Objects(ctx, id) {
		require.NoError(t, err)
		refs = append(refs, o.Ref)
	}
	for _, ref := range refs {
		require.NoError(t, s.Delete(ctx, ref))
	}
}

// whileErasing are all ways to read a chain of 60 changesets by a reader at its
// head, of which middle is somewhere in the middle.
var whileErasing = map[string]func(ctx context.Context, c *ropewalk.Chain, r *ropewalk.Reader, middle head.Head) error{
	"all": func(ctx context.Context, _ *ropewalk.Chain, r *ropewalk.Reader, _ head.Head) error {
		return last(r.All(ctx))
	},
	"backward": func(ctx context.Context, _ *ropewalk.Chain, r *ropewalk.Reader, _ head.Head) error {
		return last(r.Backward(ctx))
	},
	"range": func(ctx context.Context, _ *ropewalk.Chain, r *ropewalk.Reader, _ head.Head) error {
		return last(r.Changesets(ctx, ropewalk.Range{First: 10, Last: 40}))
	},
	"range backward": func(ctx context.Context, _ *ropewalk.Chain, r *ropewalk.Reader, _ head.Head) error {
		return last(r.Changesets(ctx, ropewalk.Range{First: 10, Last: 40, Backward: true}))
	},
	"from": func(ctx context.Context, _ *ropewalk.Chain, r *ropewalk.Reader, _ head.Head) error {
		return last(r.Changesets(ctx, ropewalk.Range{First: 10, Last: ropewalk.Newest}))
	},
	"since": func(ctx context.Context, _ *ropewalk.Chain, r *ropewalk.Reader, h head.Head) error {
		return last(r.Since(ctx, h))
	},
	"headers": func(ctx context.Context, _ *ropewalk.Chain, r *ropewalk.Reader, _ head.Head) error {
		return last(r.Headers(ctx, ropewalk.Range{Last: 59}))
	},
	"headers backward": func(ctx context.Context, _ *ropewalk.Chain, r *ropewalk.Reader, _ head.Head) error {
		return last(r.Headers(ctx, ropewalk.Range{Last: 59, Backward: true}))
	},
	"at": func(ctx context.Context, _ *ropewalk.Chain, r *ropewalk.Reader, _ head.Head) error {
		_, err := r.At(ctx, 5)
		return err
	},
	"head at": func(ctx context.Context, c *ropewalk.Chain, _ *ropewalk.Reader, _ head.Head) error {
		_, err := c.HeadAt(ctx, 5)
		return err
	},
	"head of": func(ctx context.Context, c *ropewalk.Chain, _ *ropewalk.Reader, h head.Head) error {
		_, err := c.HeadOf(ctx, h.Ref)
		return err
	},
	"settle": func(ctx context.Context, c *ropewalk.Chain, _ *ropewalk.Reader, h head.Head) error {
		_, err := c.Settle(ctx, h.Ref, h.Revision-1)
		return err
	},
	"update": func(ctx context.Context, c *ropewalk.Chain, _ *ropewalk.Reader, _ head.Head) error {
		_, err := c.Update(ctx, func(ctx context.Context, r *ropewalk.Reader) ([]changeset.Draft, error) { return nil, last(r.All(ctx)) })
		return err
	},
	"append again": func(ctx context.Context, c *ropewalk.Chain, _ *ropewalk.Reader, h head.Head) error {
		_, err := c.Append(ctx, h, changeset.Draft{CommandID: "again"})
		return err
	},
}

// last returns the error that ends a sequence.
func last[T any](seq iter.Seq2[T, error]) error {
	_, err := ropewalk.Collect(seq)
	return err
}

// Reading an aggregate while it is erased is no corruption.
func TestReadingWhileItIsErased(t *testing.T) {
	file, err := sqlitestore.Open(filepath.Join(t.TempDir(), "ropewalk.db"), nil)
	require.NoError(t, err)
	defer file.Close()
	for form, s := range map[string]erasable{"memory": memstore.New(), "file": file} {
		for name, read := range whileErasing {
			for request := range 3 {
				if form == "file" && request > 0 {
					break // it reads as memory does, and takes its time
				}
				t.Run(fmt.Sprint(form, " ", name, " ", request+1), func(t *testing.T) {
					id := t.Name()
					var script faults.Script
					store := ropewalk.New(script.Changesets(s), script.Heads(s), &ropewalk.Options{WindowCount: 4})
					middle, r := grown(t, ropewalk.New(s, s, nil).Chain(id), store.Chain(id))
					for _, op := range []faults.Op{faults.Get, faults.Stat} {
						script.On(op, request+1, faults.Fault{Before: func() { erase(t, s, id) }})
					}
					err := read(t.Context(), store.Chain(id), r, middle)
					h, loadErr := s.Load(t.Context(), id)
					require.NoError(t, loadErr)
					if h.State != head.Erased {
						require.Positive(t, request, "the first request must find it erased")
						require.False(t, errors.Is(err, ropewalk.ErrErased))
						return
					}
					require.ErrorIs(t, err, ropewalk.ErrErased)
					require.NotErrorAs(t, err, new(*ropewalk.CorruptError))
				})
			}
		}
	}
}

// grown appends 60 changesets, and returns the head in the middle and a reader
// at the newest.
func grown(t *testing.T, direct, chain *ropewalk.Chain) (middle head.Head, r *ropewalk.Reader) {
	var h head.Head
	for range 3 {
		var err error
		h, err = direct.Append(t.Context(), h, make([]changeset.Draft, 20)...)
		require.NoError(t, err)
		if !middle.Exists() {
			middle = h
		}
	}
	return middle, chain.ReaderAt(h)
}

// A changeset that is missing while the head is live, or cannot be read, is corrupt.
func TestMissingWithoutAnErasure(t *testing.T) {
	db := memstore.New()
	var script faults.Script
	chain := ropewalk.New(script.Changesets(db), script.Heads(db), nil).Chain("order-1")
	h, err := chain.Create(t.Context(), chaintest.Draft("0"))
	require.NoError(t, err)
	require.NoError(t, db.Delete(t.Context(), h.Ref))
	_, err = chain.ReaderAt(h).At(t.Context(), 0)
	require.ErrorAs(t, err, new(*ropewalk.CorruptError))
	require.NotErrorIs(t, err, ropewalk.ErrErased)
	script.Next(faults.Load, faults.Fault{Kind: faults.Dropped})
	_, err = chain.ReaderAt(h).At(t.Context(), 0)
	require.ErrorAs(t, err, new(*ropewalk.CorruptError))
	require.ErrorIs(t, err, faults.ErrInjected, "the head could not be asked whether it was erased")
}

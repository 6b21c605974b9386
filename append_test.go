package ropewalk_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/internal/chaintest"
	"ropewalk/internal/link"
)

func TestLostReplyWithOthersAppendedSince(t *testing.T) {
	for _, size := range []int{1, 3} {
		for _, others := range []int{1, 40} {
			t.Run(fmt.Sprintf("%d changesets, %d others", size, others), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, chaintest.Situation{Existing: 2, Size: size})
					w.Script.On(faults.Swap, 1, faults.Fault{Kind: faults.Lost, After: func() {
						for range others {
							w.AppendRival()
						}
					}})
					got, err := w.Chain.Append(t.Context(), w.Before, w.Drafts...)
					require.NoError(t, err)
					last, ok := w.Committed()
					require.True(t, ok)
					require.Equal(t, last, got.Ref, "the head of this append, not the newest one")

					_, err = w.Chain.Append(t.Context(), got, chaintest.Draft("next"))
					require.ErrorAs(t, err, new(*ropewalk.ConflictError), "the caller has not read what the others appended")
				})
			})
		}
	}
}

func TestSameCommandAgain(t *testing.T) {
	for _, combined := range []bool{false, true} {
		for _, size := range []int{1, 3} {
			for _, others := range []int{0, 1, 300} {
				t.Run(fmt.Sprintf("combined %v, %d changesets, %d others", combined, size, others), func(t *testing.T) {
					w := newWorld(t, chaintest.Situation{Existing: 2, Size: size, Command: "pay-4711", Combined: combined})
					first, err := w.Chain.Append(t.Context(), w.Before, w.Drafts...)
					require.NoError(t, err)
					for range others {
						w.AppendRival()
					}
					other := changeset.Draft{Content: []byte("decided anew"), CommandID: "pay-4711"}
					for range 2 { // from anywhere, at any time; the contents need not be equal
						again, err := w.Storage.Direct().Append(t.Context(), w.Before, other)
						require.NoError(t, err)
						require.Equal(t, first.Ref, again.Ref)
						require.Equal(t, first.Digest, again.Digest)
					}
					last, ok := w.Committed()
					require.True(t, ok, "what it stored stands")
					require.Equal(t, first.Ref, last)

					other.CommandID = "pay-4712"
					_, err = w.Chain.Append(t.Context(), w.Before, other)
					require.ErrorAs(t, err, new(*ropewalk.ConflictError), "another command is not this one")
				})
			}
		}
	}
}

func TestFencedAppendIsBuiltAnew(t *testing.T) {
	for _, fences := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, chaintest.Situation{Existing: 2, Size: 2})
			fence := func() {
				h, err := w.Storage.Direct().Head(t.Context())
				require.NoError(t, err)
				_, err = db(w).Swap(t.Context(), h, link.Fence(h))
				require.NoError(t, err)
			}
			for n := range fences { // the objects are put, and then the head is fenced
				w.Script.On(faults.Swap, n+1, faults.Fault{Before: fence})
			}
			got, err := w.Chain.Append(t.Context(), w.Before, w.Drafts...)
			require.NoError(t, err)
			last, ok := w.Committed()
			require.True(t, ok)
			require.Equal(t, last, got.Ref)
			require.Equal(t, w.Before.Revision+uint64(fences)+1, got.Revision)
			require.Equal(t, 2*(fences+1), w.Script.Calls(faults.Put), "new objects, since the old ones are shut out")

			newest, err := w.Chain.ReaderAt(got).At(t.Context(), got.Version)
			require.NoError(t, err)
			require.Equal(t, got.Revision-1, newest.AfterRevision)
		})
	}
}

func TestThrottledSwapIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, chaintest.Situation{Existing: 1, Size: 1})
		for n := range 5 {
			w.Script.On(faults.Swap, n+1, faults.Fault{Kind: faults.Refused, Retryable: true})
		}
		_, err := w.Chain.Append(t.Context(), w.Before, w.Drafts...)
		require.NoError(t, err)
		require.Equal(t, 6, w.Script.Calls(faults.Swap))
		require.Zero(t, w.Script.Calls(faults.Load), "nothing was unknown")
	})
}

func TestThrottledForTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, chaintest.Situation{Existing: 1, Size: 1})
		w.Script.Every(faults.Swap, faults.Fault{Kind: faults.Refused, Retryable: true})
		_, err := w.Chain.Append(t.Context(), w.Before, w.Drafts...)
		require.ErrorIs(t, err, faults.ErrInjected)
		require.NotErrorAs(t, err, new(*ropewalk.UncertainError))
		_, ok := w.Committed()
		require.False(t, ok)
	})
}

func TestDeniedSwapIsAnErrorAtOnce(t *testing.T) {
	w := newWorld(t, chaintest.Situation{Existing: 1, Size: 1})
	w.Script.Every(faults.Swap, faults.Fault{Kind: faults.Refused})
	_, err := w.Chain.Append(t.Context(), w.Before, w.Drafts...)
	require.ErrorAs(t, err, new(*head.NotAppliedError))
	require.Equal(t, 1, w.Script.Calls(faults.Swap))
}

func TestDeniedAfterUnknownStaysUncertain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, chaintest.Situation{Existing: 1, Size: 1})
		w.Script.Every(faults.Swap, faults.Fault{Kind: faults.Refused})
		w.Script.On(faults.Swap, 1, faults.Fault{Kind: faults.Late})
		_, err := w.Chain.Append(t.Context(), w.Before, w.Drafts...)
		var uncertain *ropewalk.UncertainError
		require.ErrorAs(t, err, &uncertain, "the first attempt may still arrive")
		w.Script.Release()
		_, ok := w.Committed()
		require.True(t, ok)
	})
}

func TestContextEndsDuringTheSwap(t *testing.T) {
	for _, kind := range []faults.Kind{faults.HangBefore, faults.HangAfter} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, chaintest.Situation{Existing: 1, Size: 1})
			w.Script.On(faults.Swap, 1, faults.Fault{Kind: kind})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := w.Chain.Append(ctx, w.Before, w.Drafts...)
			require.NoError(t, err, "resolved on a context of its own")
			_, ok := w.Committed()
			require.True(t, ok)
		})
	}
}

func TestUncertainWrapsTheContextsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, chaintest.Situation{Existing: 1, Size: 1})
		w.Script.Every(faults.Swap, faults.Fault{Kind: faults.HangBefore})
		w.Script.Every(faults.Load, faults.Fault{Kind: faults.HangBefore})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := w.Chain.Append(ctx, w.Before, w.Drafts...)
		require.ErrorAs(t, err, new(*ropewalk.UncertainError))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 11*time.Second, time.Since(start), "the resolution is bounded")
	})
}

func TestContextEndedBefore(t *testing.T) {
	for _, combined := range []bool{false, true} {
		w := newWorld(t, chaintest.Situation{Existing: 1, Size: 1, Combined: combined})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := w.Chain.Append(ctx, w.Before, w.Drafts...)
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorAs(t, err, new(*ropewalk.UncertainError))
		require.Empty(t, w.Script.Log(), "nothing was sent")
	}
}

func TestHeadLost(t *testing.T) {
	old := func(t *testing.T, w *chaintest.World) head.Head { // the head before w.Before
		h, err := w.Storage.Direct().HeadAt(t.Context(), w.Before.Version-1)
		require.NoError(t, err)
		return h
	}
	put := func(t *testing.T, w *chaintest.World, h head.Head) {
		record, err := head.EncodeJSON(h)
		require.NoError(t, err)
		db(w).Tamper(func(c *memstore.Contents) { c.Heads[head.ObjectName("order-1")] = record })
	}
	for name, restore := range map[string]func(*testing.T, *chaintest.World){
		"gone": func(_ *testing.T, w *chaintest.World) {
			db(w).Tamper(func(c *memstore.Contents) { delete(c.Heads, head.ObjectName("order-1")) })
		},
		"older": func(t *testing.T, w *chaintest.World) { put(t, w, old(t, w)) },
		"another history": func(t *testing.T, w *chaintest.World) { // restored, and gone on differently
			h := old(t, w)
			for range 3 {
				put(t, w, h)
				var err error
				h, err = w.Storage.Direct().Append(t.Context(), h, chaintest.Draft("other"))
				require.NoError(t, err)
			}
		},
		"the same revision, another changeset": func(t *testing.T, w *chaintest.World) {
			put(t, w, old(t, w))
			_, err := w.Storage.Direct().Append(t.Context(), old(t, w), chaintest.Draft("other"))
			require.NoError(t, err)
		},
		"the same revision, another append": func(t *testing.T, w *chaintest.World) {
			put(t, w, old(t, w))
			_, err := w.Storage.Direct().Append(t.Context(), old(t, w), make([]changeset.Draft, 50)...)
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, chaintest.Situation{Existing: 3, Size: 1})
			restore(t, w)
			_, err := w.Chain.Append(t.Context(), w.Before, w.Drafts...)
			require.ErrorIs(t, err, ropewalk.ErrHeadLost)
			require.NotErrorAs(t, err, new(*ropewalk.ConflictError))
		})
	}
}

// A head in the middle of an append is older than the rest of its append.
func TestAppendWithinAnAppend(t *testing.T) {
	w := newWorld(t, chaintest.Situation{Existing: 1, Size: 3})
	got, err := w.Chain.Append(t.Context(), w.Before, w.Drafts...)
	require.NoError(t, err)
	for version := range got.Version {
		h, err := w.Chain.HeadAt(t.Context(), version)
		require.NoError(t, err)
		require.Equal(t, version > 0, h.MidAppend())
		w.Script.Reset()
		_, err = w.Chain.Append(t.Context(), h, chaintest.Draft("late"))
		var conflict *ropewalk.ConflictError
		require.ErrorAs(t, err, &conflict)
		require.Equal(t, got.Ref, conflict.Actual.Ref)
		require.Equal(t, version == 0, w.Script.Calls(faults.Put) == 1, "what cannot be committed is not put")
	}
	within, err := w.Chain.HeadAt(t.Context(), 1)
	require.NoError(t, err)
	db(w).Tamper(func(c *memstore.Contents) { delete(c.Heads, head.ObjectName("order-1")) })
	_, err = w.Chain.Append(t.Context(), within, chaintest.Draft("late"))
	require.ErrorIs(t, err, ropewalk.ErrHeadLost)
}

func TestErasedChain(t *testing.T) {
	w := newWorld(t, chaintest.Situation{Existing: 2, Size: 1})
	tombstone := link.Fence(w.Before)
	tombstone.State = head.Erased
	tombstone, err := db(w).Swap(t.Context(), w.Before, tombstone)
	require.NoError(t, err)

	for name, call := range map[string]func() error{
		"append":            func() error { _, err := w.Chain.Append(t.Context(), w.Before, w.Drafts...); return err },
		"append after tomb": func() error { _, err := w.Chain.Append(t.Context(), tombstone, w.Drafts...); return err },
		"create":            func() error { _, err := w.Chain.Create(t.Context(), w.Drafts...); return err },
		"update":            func() error { _, err := w.Chain.Update(t.Context(), nil); return err },
		"settle":            func() error { _, err := w.Chain.Settle(t.Context(), w.Before.Ref, 1); return err },
		"reader":            func() error { _, err := w.Chain.Reader(t.Context()); return err },
		"reader at tomb": func() error {
			_, err := ropewalk.Collect(w.Chain.ReaderAt(tombstone).All(t.Context()))
			return err
		},
	} {
		require.ErrorIs(t, call(), ropewalk.ErrErased, name)
	}
}

func TestBadAppends(t *testing.T) {
	db := memstore.New()
	store := ropewalk.New(db, db, &ropewalk.Options{MaxContentSize: 10})
	order, other := store.Chain("order-1"), store.Chain("order-2")
	h, err := order.Create(t.Context(), chaintest.Draft("0123456789"))
	require.NoError(t, err)
	for _, c := range []struct {
		name   string
		chain  *ropewalk.Chain
		after  head.Head
		drafts []changeset.Draft
		want   error
	}{
		{"no drafts", order, h, nil, ropewalk.ErrInvalidDraft},
		{"too many drafts", order, h, make([]changeset.Draft, 257), ropewalk.ErrInvalidDraft},
		{"too large", order, h, []changeset.Draft{chaintest.Draft("01234567890")}, ropewalk.ErrTooLarge},
		{"the second too large", order, h, []changeset.Draft{chaintest.Draft(""), chaintest.Draft("01234567890")}, ropewalk.ErrTooLarge},
		{"two commands", order, h, []changeset.Draft{{CommandID: "a"}, {CommandID: "b"}}, ropewalk.ErrInvalidDraft},
		{"empty ID", store.Chain(""), head.Head{}, []changeset.Draft{chaintest.Draft("")}, ropewalk.ErrInvalidAggregateID},
		{"control character", store.Chain("a\n"), head.Head{}, []changeset.Draft{chaintest.Draft("")}, ropewalk.ErrInvalidAggregateID},
		{"reserved", store.Chain("$a"), head.Head{}, []changeset.Draft{chaintest.Draft("")}, ropewalk.ErrInvalidAggregateID},
		{"another chain's head", other, h, []changeset.Draft{chaintest.Draft("")}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.chain.Append(t.Context(), c.after, c.drafts...)
			require.NotErrorIs(t, err, ropewalk.ErrStoredTooLarge)
			require.Error(t, err)
			if c.want != nil {
				require.ErrorIs(t, err, c.want)
			}
		})
	}
	now, err := order.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, h, now, "nothing was committed")
}

func TestPutThatFailsCommitsNothing(t *testing.T) {
	w := newWorld(t, chaintest.Situation{Existing: 1, Size: 3})
	cause := errors.New("disk full")
	w.Script.On(faults.Put, 2, faults.Fault{Kind: faults.Refused, Err: cause})
	_, err := w.Chain.Append(t.Context(), w.Before, w.Drafts...)
	require.ErrorIs(t, err, cause)
	require.Zero(t, w.Script.Calls(faults.Swap))
}

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
	"ropewalk/head"
	"ropewalk/internal/faults"
)

func TestLostReplyWithOthersAppendedSince(t *testing.T) {
	for _, size := range []int{1, 3} {
		for _, others := range []int{1, 40} {
			t.Run(fmt.Sprintf("%d changesets, %d others", size, others), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, situation{existing: 2, size: size})
					w.script.On(faults.Swap, 1, faults.Fault{Kind: faults.Lost, After: func() {
						for range others {
							w.appendRival()
						}
					}})
					got, err := w.chain.Append(t.Context(), w.before, w.drafts...)
					require.NoError(t, err)
					last, ok := w.committed()
					require.True(t, ok)
					require.Equal(t, last, got.Ref, "the head of this append, not the newest one")

					_, err = w.chain.Append(t.Context(), got, draft("next"))
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
					w := newWorld(t, situation{existing: 2, size: size, command: "pay-4711", combined: combined})
					first, err := w.chain.Append(t.Context(), w.before, w.drafts...)
					require.NoError(t, err)
					for range others {
						w.appendRival()
					}
					other := changeset.Draft{Content: []byte("decided anew"), CommandID: "pay-4711"}
					for range 2 { // from anywhere, at any time; the contents need not be equal
						again, err := w.direct.Append(t.Context(), w.before, other)
						require.NoError(t, err)
						require.Equal(t, first.Ref, again.Ref)
						require.Equal(t, first.Digest, again.Digest)
					}
					last, ok := w.committed()
					require.True(t, ok, "what it stored stands")
					require.Equal(t, first.Ref, last)

					other.CommandID = "pay-4712"
					_, err = w.chain.Append(t.Context(), w.before, other)
					require.ErrorAs(t, err, new(*ropewalk.ConflictError), "another command is not this one")
				})
			}
		}
	}
}

func TestFencedAppendIsBuiltAnew(t *testing.T) {
	for _, fences := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, situation{existing: 2, size: 2})
			fence := func() {
				h, err := w.direct.Head(t.Context())
				require.NoError(t, err)
				_, err = w.db.Swap(t.Context(), h, h.Fence())
				require.NoError(t, err)
			}
			for n := range fences { // the objects are put, and then the head is fenced
				w.script.On(faults.Swap, n+1, faults.Fault{Before: fence})
			}
			got, err := w.chain.Append(t.Context(), w.before, w.drafts...)
			require.NoError(t, err)
			last, ok := w.committed()
			require.True(t, ok)
			require.Equal(t, last, got.Ref)
			require.Equal(t, w.before.Revision+uint64(fences)+1, got.Revision)
			require.Equal(t, 2*(fences+1), w.script.Calls(faults.Put), "new objects, since the old ones are shut out")

			newest, err := w.chain.ReaderAt(got).At(t.Context(), got.Version)
			require.NoError(t, err)
			require.Equal(t, got.Revision-1, newest.AfterRevision)
		})
	}
}

func TestThrottledSwapIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, situation{existing: 1, size: 1})
		for n := range 5 {
			w.script.On(faults.Swap, n+1, faults.Fault{Kind: faults.Refused, Retryable: true})
		}
		_, err := w.chain.Append(t.Context(), w.before, w.drafts...)
		require.NoError(t, err)
		require.Equal(t, 6, w.script.Calls(faults.Swap))
		require.Zero(t, w.script.Calls(faults.Load), "nothing was unknown")
	})
}

func TestThrottledForTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, situation{existing: 1, size: 1})
		w.script.Every(faults.Swap, faults.Fault{Kind: faults.Refused, Retryable: true})
		_, err := w.chain.Append(t.Context(), w.before, w.drafts...)
		require.ErrorIs(t, err, faults.ErrInjected)
		require.NotErrorAs(t, err, new(*ropewalk.UncertainError))
		_, ok := w.committed()
		require.False(t, ok)
	})
}

func TestDeniedSwapIsAnErrorAtOnce(t *testing.T) {
	w := newWorld(t, situation{existing: 1, size: 1})
	w.script.Every(faults.Swap, faults.Fault{Kind: faults.Refused})
	_, err := w.chain.Append(t.Context(), w.before, w.drafts...)
	require.ErrorAs(t, err, new(*head.NotApplied))
	require.Equal(t, 1, w.script.Calls(faults.Swap))
}

func TestDeniedAfterUnknownStaysUncertain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, situation{existing: 1, size: 1})
		w.script.Every(faults.Swap, faults.Fault{Kind: faults.Refused})
		w.script.On(faults.Swap, 1, faults.Fault{Kind: faults.Late})
		_, err := w.chain.Append(t.Context(), w.before, w.drafts...)
		var uncertain *ropewalk.UncertainError
		require.ErrorAs(t, err, &uncertain, "the first attempt may still arrive")
		w.script.Release()
		_, ok := w.committed()
		require.True(t, ok)
	})
}

func TestContextEndsDuringTheSwap(t *testing.T) {
	for _, kind := range []faults.Kind{faults.HangBefore, faults.HangAfter} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, situation{existing: 1, size: 1})
			w.script.On(faults.Swap, 1, faults.Fault{Kind: kind})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := w.chain.Append(ctx, w.before, w.drafts...)
			require.NoError(t, err, "resolved on a context of its own")
			_, ok := w.committed()
			require.True(t, ok)
		})
	}
}

func TestUncertainWrapsTheContextsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, situation{existing: 1, size: 1})
		w.script.Every(faults.Swap, faults.Fault{Kind: faults.HangBefore})
		w.script.Every(faults.Load, faults.Fault{Kind: faults.HangBefore})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := w.chain.Append(ctx, w.before, w.drafts...)
		require.ErrorAs(t, err, new(*ropewalk.UncertainError))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 11*time.Second, time.Since(start), "the resolution is bounded")
	})
}

func TestContextEndedBefore(t *testing.T) {
	for _, combined := range []bool{false, true} {
		w := newWorld(t, situation{existing: 1, size: 1, combined: combined})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := w.chain.Append(ctx, w.before, w.drafts...)
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorAs(t, err, new(*ropewalk.UncertainError))
		require.Empty(t, w.script.Log(), "nothing was sent")
	}
}

func TestHeadLost(t *testing.T) {
	old := func(t *testing.T, w *world) head.Head { // the head before w.before
		h, err := w.direct.HeadAt(t.Context(), w.before.Version-1)
		require.NoError(t, err)
		return h
	}
	put := func(t *testing.T, w *world, h head.Head) {
		record, err := head.EncodeJSON(h)
		require.NoError(t, err)
		w.db.Tamper(func(c *memstore.Contents) { c.Heads[head.ObjectName("order-1")] = record })
	}
	for name, restore := range map[string]func(*testing.T, *world){
		"gone": func(_ *testing.T, w *world) {
			w.db.Tamper(func(c *memstore.Contents) { delete(c.Heads, head.ObjectName("order-1")) })
		},
		"older": func(t *testing.T, w *world) { put(t, w, old(t, w)) },
		"another history": func(t *testing.T, w *world) { // restored, and gone on differently
			h := old(t, w)
			for range 3 {
				put(t, w, h)
				var err error
				h, err = w.direct.Append(t.Context(), h, draft("other"))
				require.NoError(t, err)
			}
		},
		"the same revision, another changeset": func(t *testing.T, w *world) {
			put(t, w, old(t, w))
			_, err := w.direct.Append(t.Context(), old(t, w), draft("other"))
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, situation{existing: 3, size: 1})
			restore(t, w)
			_, err := w.chain.Append(t.Context(), w.before, w.drafts...)
			require.ErrorIs(t, err, ropewalk.ErrHeadLost)
			require.NotErrorAs(t, err, new(*ropewalk.ConflictError))
		})
	}
}

func TestErasedChain(t *testing.T) {
	w := newWorld(t, situation{existing: 2, size: 1})
	tombstone := w.before.Fence()
	tombstone.State = head.Erased
	tombstone, err := w.db.Swap(t.Context(), w.before, tombstone)
	require.NoError(t, err)

	for name, call := range map[string]func() error{
		"append":            func() error { _, err := w.chain.Append(t.Context(), w.before, w.drafts...); return err },
		"append after tomb": func() error { _, err := w.chain.Append(t.Context(), tombstone, w.drafts...); return err },
		"create":            func() error { _, err := w.chain.Create(t.Context(), w.drafts...); return err },
		"update":            func() error { _, err := w.chain.Update(t.Context(), nil); return err },
		"settle":            func() error { _, err := w.chain.Settle(t.Context(), w.before.Ref); return err },
		"reader":            func() error { _, err := w.chain.Reader(t.Context()); return err },
		"reader at tomb": func() error {
			_, err := ropewalk.Collect(w.chain.ReaderAt(tombstone).All(t.Context()))
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
	h, err := order.Create(t.Context(), draft("0123456789"))
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
		{"too large", order, h, []changeset.Draft{draft("01234567890")}, ropewalk.ErrTooLarge},
		{"the second too large", order, h, []changeset.Draft{draft(""), draft("01234567890")}, ropewalk.ErrTooLarge},
		{"two commands", order, h, []changeset.Draft{{CommandID: "a"}, {CommandID: "b"}}, ropewalk.ErrInvalidDraft},
		{"empty ID", store.Chain(""), head.Head{}, []changeset.Draft{draft("")}, ropewalk.ErrInvalidAggregateID},
		{"control character", store.Chain("a\n"), head.Head{}, []changeset.Draft{draft("")}, ropewalk.ErrInvalidAggregateID},
		{"reserved", store.Chain("$a"), head.Head{}, []changeset.Draft{draft("")}, ropewalk.ErrInvalidAggregateID},
		{"another chain's head", other, h, []changeset.Draft{draft("")}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.chain.Append(t.Context(), c.after, c.drafts...)
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
	w := newWorld(t, situation{existing: 1, size: 3})
	cause := errors.New("disk full")
	w.script.On(faults.Put, 2, faults.Fault{Kind: faults.Refused, Err: cause})
	_, err := w.chain.Append(t.Context(), w.before, w.drafts...)
	require.ErrorIs(t, err, cause)
	require.Zero(t, w.script.Calls(faults.Swap))
}

package ropewalk_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/internal/chaintest"
)

// balance returns the sum of the numbers in a history.
func balance(ctx context.Context, r *ropewalk.Reader) (sum int, err error) {
	for c, err := range r.All(ctx) {
		if err != nil {
			return 0, err
		}
		n, err := strconv.Atoi(string(c.Content))
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

func amount(n int) []ropewalk.Draft { return []ropewalk.Draft{chaintest.Draft(strconv.Itoa(n))} }

// move is the decision to move money from the first account to the second, as far as the
// first account has it, if the third one, a limit, allows as much.
func move(n int) func(context.Context, []*ropewalk.Reader) ([][]ropewalk.Draft, error) {
	return func(ctx context.Context, r []*ropewalk.Reader) ([][]ropewalk.Draft, error) {
		has, err := balance(ctx, r[0])
		if err != nil {
			return nil, err
		}
		limit, err := balance(ctx, r[2])
		if err != nil || has < n || limit < n {
			return nil, err
		}
		return [][]ropewalk.Draft{amount(-n), amount(n)}, nil
	}
}

// TestUpdateAllDecidesOnWhatItCommitsAfter: 32 callers move money between three accounts,
// each only as far as the account has it, while the limit falls.
func TestUpdateAllDecidesOnWhatItCommitsAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memstore.New()
		store := ropewalk.New(db, faults.TwoSteps(db), nil)
		accounts := []string{"a", "b", "c"}
		for _, id := range accounts {
			_, err := store.Chain(id).Create(t.Context(), amount(10)...)
			require.NoError(t, err)
		}
		limit, err := store.Chain("limit").Create(t.Context(), amount(6)...)
		require.NoError(t, err)
		var callers sync.WaitGroup
		for i := range 32 {
			callers.Go(func() {
				from, to := accounts[i%3], accounts[(i+1+i%2)%3]
				got, err := store.UpdateAll(t.Context(), []string{from, to, "limit"}, move(1+i%7))
				if err != nil || len(got) != 3 || got[0].AggregateID != from {
					t.Errorf("%v, %v", got, err)
				}
			})
		}
		callers.Go(func() {
			_, err := store.Chain("limit").Append(t.Context(), limit, amount(-3)...)
			if err != nil {
				t.Error(err)
			}
		})
		callers.Wait()
		sum := 0
		for _, id := range accounts {
			r, err := store.Chain(id).Reader(t.Context())
			require.NoError(t, err)
			all, err := ropewalk.Collect(r.All(t.Context()))
			require.NoError(t, err)
			at := 0
			for _, c := range all {
				n, err := strconv.Atoi(string(c.Content))
				require.NoError(t, err)
				at += n
				require.GreaterOrEqual(t, at, 0, "%s was overdrawn", id)
			}
			sum += at
		}
		require.Equal(t, 30, sum)
	})
}

// TestUpdateAllGuards: an aggregate that was read and not appended to must be unchanged
// when the others are appended to.
func TestUpdateAllGuards(t *testing.T) {
	db := memstore.New()
	store := ropewalk.New(db, faults.TwoSteps(db), nil)
	_, err := store.Chain("from").Create(t.Context(), amount(5)...)
	require.NoError(t, err)
	limit, err := store.Chain("limit").Create(t.Context(), amount(5)...)
	require.NoError(t, err)

	calls := 0
	got, err := store.UpdateAll(t.Context(), []string{"from", "to", "limit"}, func(ctx context.Context, r []*ropewalk.Reader) ([][]ropewalk.Draft, error) {
		if calls++; calls == 1 {
			defer func() { _, err = store.Chain("limit").Append(ctx, limit, amount(-5)...) }()
		}
		return move(5)(ctx, r)
	})
	require.NoError(t, err)
	require.Equal(t, 2, calls, "it decides again, and then nothing is allowed")
	require.EqualValues(t, 0, got[0].Version)
	require.True(t, got[1].IsZero(), "nothing was appended")
	require.EqualValues(t, 1, got[2].Version, "the heads that decide saw")
}

// TestUpdateAllOnce: a command is recognised in what decide has read of one aggregate, in
// both formats, and is never committed again after it was appended to one aggregate alone.
func TestUpdateAllOnce(t *testing.T) {
	for _, packed := range []bool{false, true} {
		db := memstore.New()
		store := ropewalk.New(db, faults.TwoSteps(db), &ropewalk.Options{Packed: packed, TipSize: 1000})
		update := func(command string, ids ...string) ([]head.Head, error) {
			return store.UpdateAll(t.Context(), ids, func(ctx context.Context, r []*ropewalk.Reader) ([][]ropewalk.Draft, error) {
				_, err := balance(ctx, r[0])
				if err != nil {
					return nil, err
				}
				for range r[1].Headers(ctx, ropewalk.Range{Last: ropewalk.Newest}) {
					break
				}
				drafts := [][]ropewalk.Draft{amount(-1), amount(1)}
				drafts[1][0].CommandID = command
				return drafts, nil
			})
		}
		first, err := update("one", "a", "b")
		require.NoError(t, err)
		_, err = store.Chain("a").Append(t.Context(), first[0], amount(5)...)
		require.NoError(t, err)
		again, err := update("one", "a", "b")
		require.NoError(t, err)
		require.EqualValues(t, []uint64{1, 0}, []uint64{again[0].Version, again[1].Version}, "the heads that decide saw")
		again, err = update("one", "c", "b")
		require.NoError(t, err, "one find is enough")
		require.True(t, again[0].IsZero())

		alone := amount(1)
		alone[0].CommandID = "two"
		_, err = store.Chain("d").Create(t.Context(), alone...)
		require.NoError(t, err)
		_, err = update("two", "d", "e")
		require.ErrorIs(t, err, ropewalk.ErrInvalidDraft)
		require.ErrorContains(t, err, `appended to "d" alone`)
		_, err = update("", "d", "e")
		require.NoError(t, err)
		_, err = update("", "d", "e")
		require.NoError(t, err, "without a command nothing is looked for")
	}
}

func TestUpdateAllEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var script faults.Script
		db := memstore.New()
		store := ropewalk.New(db, script.Heads(faults.TwoSteps(db)), nil)
		ids, calls := []string{"a", "b"}, 0
		update := func(drafts [][]ropewalk.Draft, err error) error {
			_, err = store.UpdateAll(t.Context(), ids, func(context.Context, []*ropewalk.Reader) ([][]ropewalk.Draft, error) {
				calls++
				return drafts, err
			})
			return err
		}
		wrong := errors.New("no")
		require.ErrorIs(t, update(nil, wrong), wrong)
		require.NoError(t, update([][]ropewalk.Draft{nil, {}}, nil), "nothing is committed")
		require.ErrorIs(t, update([][]ropewalk.Draft{nil, nil, amount(1)}, nil), ropewalk.ErrInvalidDraft)
		require.Equal(t, 3, calls)

		script.Every(faults.SwapAll, faults.Fault{Kind: faults.Lost})
		script.Every(faults.Load, faults.Fault{Kind: faults.Refused})
		calls = 0
		require.Error(t, update([][]ropewalk.Draft{amount(1), amount(2)}, nil))
		require.Zero(t, calls, "the heads cannot be read")
		script.Reset()
		require.NoError(t, update([][]ropewalk.Draft{amount(1), amount(2)}, nil))
		require.Equal(t, 1, calls)

		script.Every(faults.SwapAll, faults.Fault{Kind: faults.Refused})
		script.On(faults.SwapAll, 1, faults.Fault{Kind: faults.Lost})
		script.Every(faults.Swap, faults.Fault{Kind: faults.Refused})
		calls = 0
		err := update([][]ropewalk.Draft{amount(1), amount(2)}, nil)
		require.Equal(t, 1, calls, "an uncertain commit is never decided again: %v", err)

		ids = nil
		require.ErrorContains(t, update(nil, nil), "no aggregates")
		ids = []string{"a", "a"}
		require.ErrorContains(t, update(nil, nil), "twice")
		for i := range 101 {
			ids = append(ids, fmt.Sprint(i))
		}
		require.ErrorContains(t, update(nil, nil), "100")
		require.Equal(t, 1, calls)
	})
}

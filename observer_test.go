package ropewalk_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/faults"
)

// observed notes operations, and holds them to the contract of an observer.
type observed struct {
	t  *testing.T
	mu sync.Mutex

	started []ropewalk.Operation
	ended   []ropewalk.Result
	parents []ropewalk.OperationName
}

type withinKey struct{}

func (o *observed) Start(ctx context.Context, operation ropewalk.Operation) (context.Context, func(ropewalk.Result)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.started = append(o.started, operation)
	parent, _ := ctx.Value(withinKey{}).(ropewalk.OperationName)
	o.parents = append(o.parents, parent)
	once := false
	return context.WithValue(ctx, withinKey{}, operation.Name), func(r ropewalk.Result) {
		o.mu.Lock()
		defer o.mu.Unlock()
		require.False(o.t, once, "%s has ended twice", operation.Name)
		once = true
		o.ended = append(o.ended, r)
	}
}

// only returns the result of the only operation since the last call.
func (o *observed) only(name ropewalk.OperationName) ropewalk.Result {
	o.t.Helper()
	require.Len(o.t, o.started, 1)
	require.Len(o.t, o.ended, 1, "the operation has ended")
	require.Equal(o.t, name, o.started[0].Name)
	r := o.ended[0]
	o.started, o.ended, o.parents = nil, nil, nil
	return r
}

func observedStore(t *testing.T, timeout time.Duration) (*ropewalk.Store, *observed, *faults.Script) {
	o, script, db := &observed{t: t}, &faults.Script{}, memstore.New()
	return ropewalk.New(script.Changesets(db), script.Heads(db), &ropewalk.Options{Observer: o, SettleTimeout: timeout}), o, script
}

func TestEachOperationEndsOnceWithItsResult(t *testing.T) {
	store, o, script := observedStore(t, 50*time.Millisecond)
	chain := store.Chain("order-1")
	h, err := chain.Create(t.Context(), make([]ropewalk.Draft, 3)...)
	require.NoError(t, err)
	require.Equal(t, ropewalk.Result{Count: 3}, o.only(ropewalk.OperationAppend))

	_, err = chain.Create(t.Context(), ropewalk.Draft{})
	require.Equal(t, ropewalk.Result{Count: 1, Err: err}, o.only(ropewalk.OperationAppend))
	require.ErrorIs(t, err, ropewalk.ErrConflict)

	script.Every(faults.Swap, faults.Fault{Kind: faults.Dropped})
	_, err = chain.Append(t.Context(), h, ropewalk.Draft{})
	require.Equal(t, ropewalk.Result{Count: 1, Err: err}, o.only(ropewalk.OperationAppend))
	var uncertain *ropewalk.UncertainError
	require.ErrorAs(t, err, &uncertain)
	*script = faults.Script{}

	_, err = chain.Settle(t.Context(), uncertain.Ref, uncertain.AfterRevision)
	require.Equal(t, ropewalk.Result{Err: err}, o.only(ropewalk.OperationSettle))
	require.ErrorIs(t, err, ropewalk.ErrConflict)

	_, err = chain.NewAppender(nil).Append(t.Context(), ropewalk.Draft{})
	require.NoError(t, err)
	require.Equal(t, ropewalk.Result{Count: 1}, o.only(ropewalk.OperationAppend))

	_, err = store.Commit(t.Context(), store.Chain("order-2").Appending(ropewalk.Head{}, ropewalk.Draft{}))
	require.NoError(t, err)
	require.Equal(t, ropewalk.Result{Count: 1}, o.only(ropewalk.OperationCommit))
}

func TestReadEndsOnceHoweverItsLoopEnds(t *testing.T) {
	store, o, script := observedStore(t, 0)
	chain := store.Chain("order-1")
	h, err := chain.Create(t.Context(), make([]ropewalk.Draft, 3)...)
	require.NoError(t, err)
	o.only(ropewalk.OperationAppend)
	r := chain.ReaderAt(h)

	_, err = ropewalk.Collect(r.All(t.Context()))
	require.NoError(t, err)
	require.Equal(t, ropewalk.Result{Count: 3}, o.only(ropewalk.OperationRead))

	for range r.All(t.Context()) {
		break
	}
	require.Equal(t, ropewalk.Result{Count: 1}, o.only(ropewalk.OperationRead), "a break is no error")

	_, err = r.At(t.Context(), 7)
	require.Equal(t, ropewalk.Result{Err: err}, o.only(ropewalk.OperationRead))
	require.ErrorIs(t, err, ropewalk.ErrNotFound)

	require.Panics(t, func() {
		for range r.Backward(t.Context()) {
			panic("of the loop")
		}
	})
	ended := o.only(ropewalk.OperationRead)
	require.Equal(t, 1, ended.Count)
	require.EqualError(t, ended.Err, "the operation has panicked")

	script.Every(faults.Get, faults.Fault{Kind: faults.Dropped})
	script.Every(faults.GetMany, faults.Fault{Kind: faults.Dropped})
	_, err = ropewalk.Collect(r.All(t.Context()))
	require.Equal(t, ropewalk.Result{Err: err}, o.only(ropewalk.OperationRead))
	require.ErrorIs(t, err, faults.ErrInjected)
}

func TestUpdateHasItsAppendsWithinIt(t *testing.T) {
	store, o, _ := observedStore(t, 0)
	first := true
	_, err := store.Chain("order-1").Update(t.Context(), func(ctx context.Context, r *ropewalk.Reader) ([]ropewalk.Draft, error) {
		if first {
			first = false
			_, err := store.Chain("order-1").Create(context.Background(), ropewalk.Draft{})
			require.NoError(t, err)
		}
		return make([]ropewalk.Draft, 1), nil
	})
	require.NoError(t, err)
	require.Equal(t, []ropewalk.OperationName{"", "", "update", "update"}, o.parents)
	require.Len(t, o.ended, 4)

	o.started, o.ended = nil, nil
	require.Panics(t, func() {
		_, _ = store.Chain("order-1").Update(t.Context(), func(context.Context, *ropewalk.Reader) ([]ropewalk.Draft, error) { panic("decide") })
	})
	require.Error(t, o.only(ropewalk.OperationUpdate).Err)
	_, err = store.UpdateAll(t.Context(), []string{"order-1"}, func(context.Context, []*ropewalk.Reader) ([][]ropewalk.Draft, error) {
		return nil, errors.New("no")
	})
	require.Equal(t, err, o.only(ropewalk.OperationUpdate).Err)
}

func TestNoObserverAllocatesNothing(t *testing.T) {
	options := ropewalk.New(memstore.New(), memstore.New(), nil).Options()
	ctx := t.Context()
	require.Zero(t, testing.AllocsPerRun(100, func() {
		_, end := options.Start(ctx, ropewalk.Operation{Name: ropewalk.OperationAppend, AggregateID: "order-1"})
		end(ropewalk.Result{Count: 1})
	}))
}

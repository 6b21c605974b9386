package gc_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/gc"
	"ropewalk/head"
)

// everyFault returns every way in which one request can go wrong.
func everyFault() []faults.Fault {
	return []faults.Fault{
		{Kind: faults.Dropped},
		{Kind: faults.Lost},
		{Kind: faults.HangBefore},
		{Kind: faults.HangAfter},
		{Kind: faults.Late},
		{Kind: faults.Late, LateBy: time.Millisecond},
		{Kind: faults.Late, LateBy: 2 * time.Minute},
		{Kind: faults.Late, LateUntil: faults.Load},
		{Kind: faults.Late, LateUntil: faults.Delete},
		{Kind: faults.Refused},
		{Kind: faults.Refused, Retryable: true},
	}
}

// untilDone repeats work until it succeeds, as one does with a command; the
// first time under the faults.
func untilDone(t *testing.T, script *faults.Script, work func(context.Context) error) {
	for try := 1; ; try++ {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err := work(ctx)
		cancel()
		script.Reset()
		if err == nil {
			return
		}
		require.True(t, errors.Is(err, faults.ErrInjected) || errors.Is(err, context.DeadlineExceeded), "%v", err)
		require.Less(t, try, 3)
	}
}

// eachStep runs a test with every request of work gone wrong in every way: the
// request of each operation and number, until work makes no such request.
func eachStep(t *testing.T, test func(t *testing.T, op faults.Op, n int, f faults.Fault) (reached bool)) {
	eachStepOf(t, []faults.Op{faults.Load, faults.Stat, faults.Swap, faults.Delete}, test)
}

func eachStepOf(t *testing.T, ops []faults.Op, test func(t *testing.T, op faults.Op, n int, f faults.Fault) (reached bool)) {
	cases := 0
	for i, op := range ops {
		for j, f := range everyFault() {
			if testing.Short() && (i+j)%4 != 0 {
				continue
			}
			for n, reached := 1, true; reached; n++ {
				synctest.Test(t, func(t *testing.T) { reached = test(t, op, n, f) })
				cases++
			}
		}
	}
	t.Logf("%d cases", cases)
	require.True(t, testing.Short() || cases >= 2*len(everyFault())*len(ops), "each of them is reached")
}

// If any request of a collection goes wrong, nothing committed is lost, and
// repeating the collection collects all that there is.
func TestCollectUnderFaults(t *testing.T) {
	eachStep(t, func(t *testing.T, op faults.Op, n int, f faults.Fault) bool {
		p, _ := inMemory(t)
		h := p.grow(2)
		p.orphan(h, "lost")
		h = p.grow(17)
		p.orphan(h, "lost", "lost", "lost")
		h = p.grow(1)
		p.orphan(h, "pending", "pending")
		var script faults.Script
		script.On(op, n, f)
		reached := false
		faulty := p.under(&script)
		untilDone(t, &script, func(ctx context.Context) error {
			_, err := faulty.collector(gc.Options{Grace: -1, Delete: true, Parallel: 1}).Collect(ctx, p.id)
			reached = reached || script.Calls(op) >= n
			require.Equal(t, 20, p.verify().Committed, "%s %d %s", op, n, f.Kind)
			return err
		})
		script.Release()
		time.Sleep(3 * time.Minute)
		require.Equal(t, 20, p.verify().Committed)
		require.Len(t, p.objects(), 20, "%s %d %s", op, n, f.Kind)
		require.LessOrEqual(t, p.head().Revision, uint64(20+2), "a fence that was repeated is one too many at most")
		p.grow(1)
		return reached
	})
}

// If any request of an erasure goes wrong, repeating the erasure erases all; and
// a chain that is not a tombstone yet is whole.
func TestEraseUnderFaults(t *testing.T) {
	eachStep(t, func(t *testing.T, op faults.Op, n int, f faults.Fault) bool {
		p, _ := inMemory(t)
		h := p.grow(3)
		p.orphan(h, "pending")
		p.snapshots().orphan(head.Head{}, "a snapshot")
		var script faults.Script
		script.On(op, n, f)
		reached := false
		faulty := p.under(&script)
		untilDone(t, &script, func(ctx context.Context) error {
			_, err := faulty.collector(gc.Options{Parallel: 1}).Erase(ctx, p.id)
			reached = reached || script.Calls(op) >= n
			if p.head().State == head.Live {
				require.Equal(t, 3, p.verify().Committed)
			}
			return err
		})
		script.Release()
		time.Sleep(3 * time.Minute)
		require.Equal(t, head.Erased, p.head().State)
		require.Empty(t, p.objects())
		require.Empty(t, p.snapshots().objects())
		return reached
	})
}

// brokenListing is a listing that ends with an error after some objects.
type brokenListing struct {
	gc.Changesets
	after int
	err   error
}

func (b brokenListing) Objects(ctx context.Context, id string) iter.Seq2[changeset.Object, error] {
	return broken(b.Changesets.Objects(ctx, id), b.after, b.err)
}

func (b brokenListing) Aggregates(ctx context.Context, after string) iter.Seq2[string, error] {
	return broken(b.Changesets.Aggregates(ctx, after), b.after, b.err)
}

func broken[T any](all iter.Seq2[T, error], after int, err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		n := 0
		for v, failed := range all {
			if n++; n > after {
				break
			}
			if !yield(v, failed) {
				return
			}
		}
		var none T
		yield(none, err)
	}
}

func TestListingsThatFail(t *testing.T) {
	failure := errors.New("listing is broken")
	p, _ := inMemory(t)
	refs := p.orphan(p.grow(2), "pending")
	whole := p.changesets
	for after := range 3 {
		p.changesets = brokenListing{whole, after, failure}
		r, err := p.collect()
		require.ErrorIs(t, err, failure)
		require.Zero(t, r.Deleted, "nothing is decided on half a listing")
		require.False(t, r.Fenced)
		n := 0
		for r, err := range p.collector(gc.Options{Grace: -1}).CollectAll(t.Context(), "") {
			require.True(t, errors.Is(err, failure) || errors.Is(r.Err, failure), "%v %v", err, r.Err)
			n++
		}
		require.Positive(t, n)
	}
	p.changesets = whole
	require.Contains(t, p.objects(), refs[0])
	p.changesets = brokenListing{whole, 1, failure}
	r, err := p.erase()
	require.ErrorIs(t, err, failure)
	require.EqualValues(t, 1, r.Erased.Objects)
	p.changesets = whole
	_, err = p.erase()
	require.NoError(t, err)
	require.Empty(t, p.objects())
}

// The context's end ends each of them, and leaves nothing running.
func TestContexts(t *testing.T) {
	p, _ := inMemory(t)
	before := p.orphan(p.grow(2), "pending")
	collector := p.collector(gc.Options{Grace: -1, Delete: true})
	_, err := collector.Collect(ended(t), p.id)
	require.ErrorIs(t, err, context.Canceled)
	_, err = collector.Erase(ended(t), p.id)
	require.ErrorIs(t, err, context.Canceled)
	require.Subset(t, p.objects(), before)

	synctest.Test(t, func(t *testing.T) {
		for n := 1; n <= 3; n++ {
			ctx, cancel := context.WithCancel(t.Context())
			p, _ := inMemory(t)
			p.grow(3)
			var script faults.Script
			script.On(faults.Delete, n, faults.Fault{Before: cancel})
			collector := p.under(&script).collector(gc.Options{Parallel: 1})
			r, err := collector.Erase(ctx, p.id)
			require.ErrorIs(t, err, context.Canceled)
			require.EqualValues(t, n-1, r.Deleted.Objects, "what was done is told")
			_, err = collector.Erase(t.Context(), p.id)
			require.NoError(t, err)
			require.Empty(t, p.objects())
		}
	})
}

func TestProgress(t *testing.T) {
	p, _ := inMemory(t)
	for i := range 5 {
		p.of(fmt.Sprint(i)).grow(4)
	}
	told := int64(0) // without a lock: one call at a time
	for _, err := range p.collector(gc.Options{Progress: func(n int64) { told += n }}).CollectAll(t.Context(), "") {
		require.NoError(t, err)
	}
	require.EqualValues(t, 20, told)
}

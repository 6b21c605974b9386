package sqlitestore

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// noTransactions are transactions that write nothing, and let others run while they end.
type noTransactions struct{}

func (noTransactions) begin() error { return nil }

func (noTransactions) commit() error {
	for range 50 {
		runtime.Gosched()
	}
	return nil
}

func (noTransactions) rollback() bool { return false }
func (noTransactions) close() error   { return nil }

// onOneProcessor lets goroutines take turns until the test ends: how often one of them
// yields then says how often the others run.
func onOneProcessor(t *testing.T) {
	before := runtime.GOMAXPROCS(1)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

// A transaction takes the requests of all callers who were answered together, although
// each prepares its next request first.
func TestATransactionAwaitsCallersThatComeAgain(t *testing.T) {
	onOneProcessor(t)
	const callers, rounds = 8, 100
	synctest.Test(t, func(t *testing.T) {
		w := &writer{transactions: noTransactions{}}
		var all sync.WaitGroup
		for i := range callers {
			all.Go(func() {
				for range rounds {
					for range 10 + 2*i { // some take longer than others
						runtime.Gosched()
					}
					require.NoError(t, w.do(t.Context(), 0, func() error { return nil }))
				}
			})
		}
		all.Wait()
		require.LessOrEqual(t, w.commits.Load(), int64(rounds*3/2))
	})
}

// A caller waits for others only a moment, if they do not come again: here in virtual time,
// which stands still meanwhile.
func TestATransactionDoesNotAwaitCallersForLong(t *testing.T) {
	onOneProcessor(t)
	synctest.Test(t, func(t *testing.T) {
		w := &writer{transactions: noTransactions{}, expected: 16}
		var ended atomic.Bool
		var yields int
		go func() {
			for ; !ended.Load(); yields++ {
				runtime.Gosched()
			}
		}()
		require.NoError(t, w.do(t.Context(), 0, func() error { return nil }))
		ended.Store(true)
		synctest.Wait()
		require.LessOrEqual(t, yields, 2*maxYields)
		require.Equal(t, 1, w.expected, "the next transaction does not wait for them")
	})
}

func TestAClosedWriterTakesNoRequest(t *testing.T) {
	w := &writer{transactions: noTransactions{}}
	require.NoError(t, w.close())
	err := w.do(t.Context(), 0, func() error { panic("the store is closed") })
	require.ErrorIs(t, err, errClosed)
	requireRefused(t, err, false)
}

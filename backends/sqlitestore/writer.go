package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ropewalk/head"
)

// The bounds of one transaction: a batch takes no further request once it has
// this many, or this many bytes of content.
const (
	maxBatch      = 256
	maxBatchBytes = 64 << 20
)

// The bounds of what a transaction waits for one more request; see [writer.await].
const (
	maxYields = 256
	patience  = 50 * time.Microsecond
)

// transactions is the connection that the group commit writes through. Only one
// goroutine uses it at a time.
type transactions interface {
	// begin opens a transaction. Its error is a *head.NotAppliedError, retryable where
	// other processes hold the database.
	begin() error
	// commit makes the transaction durable, or ends it with an error: a
	// *head.NotAppliedError where nothing was committed, any other where the outcome
	// is unknown.
	commit() error
	// rollback undoes the transaction, and reports whether one was open.
	rollback() bool
	close() error
}

// writer is the group commit. Requests queue up. A goroutine that lives only as
// long as there are requests takes all waiting requests, and the requests that
// come while it applies them, into one transaction. One sync makes the
// transaction durable. While that sync lasts, the next batch gathers. Callers that have
// just been answered often come again at once, and the transaction waits for them a moment.
type writer struct {
	transactions transactions
	busy         time.Duration // how long a request waits for other processes
	commits      atomic.Int64  // transactions so far
	// expected is how many requests were answered by the last transaction or waited when it
	// ended: so many callers may be about to make one. Only the goroutine that commits uses it.
	expected int

	mu      sync.Mutex
	waiting []*request
	running bool
	closed  bool
	refusal error // why the last transaction did not begin; nil if it did
	loop    sync.WaitGroup
}

// request is one call that waits for its transaction.
type request struct {
	// apply does the work, perhaps again after a request of the same batch has
	// failed. A *head.ConflictError or *head.ConflictsError must come before it has written anything;
	// any other error undoes the transaction.
	apply func() error
	// size is how many bytes of content it writes.
	size  int
	since time.Time
	// outcome gets one error: nil once the transaction is durable, the error of
	// apply, or a *head.NotAppliedError if nothing was done; after any other error the
	// outcome is unknown.
	outcome chan error
}

// do runs apply in a transaction and returns its outcome; see [request]. Until
// a transaction has taken the request, the end of the context withdraws it.
func (w *writer) do(ctx context.Context, size int, apply func() error) error {
	r := &request{apply: apply, size: size, since: time.Now(), outcome: make(chan error, 1)}
	first, err := w.enqueue(ctx, r)
	if err != nil {
		return &head.NotAppliedError{Err: err}
	}
	if first {
		w.lead()
	}
	select {
	case err := <-r.outcome:
		return err
	case <-ctx.Done():
		if w.withdraw(r) {
			return &head.NotAppliedError{Err: w.withdrawn(ctx)}
		}
		return <-r.outcome
	}
}

// enqueue lets the request wait, and reports whether it is the first one: then
// its caller must lead.
func (w *writer) enqueue(ctx context.Context, r *request) (first bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if w.closed {
		return false, errClosed
	}
	w.waiting = append(w.waiting, r)
	if first = !w.running; first {
		w.running = true
		w.loop.Add(1)
	}
	return first, nil
}

// lead makes the first transaction in the goroutine of the first request:
// without other writers, it need not wait for another goroutine to wake up.
func (w *writer) lead() {
	defer w.loop.Done()
	if w.tryBegin() == nil {
		w.commit()
	}
	if w.goesOn() {
		w.loop.Go(w.run)
	}
}

// withdrawn returns the error of a request whose context ended while it waited.
// If other processes held the database, the error says so, beside the cause of
// the context's end.
func (w *writer) withdrawn(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refusal == nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", context.Cause(ctx), errors.Unwrap(w.refusal))
}

// withdraw takes r out of the queue, and reports whether it was still waiting.
func (w *writer) withdraw(r *request) bool {
	return len(w.remove(func(other *request) bool { return other == r })) > 0
}

// remove takes the waiting requests that match out of the queue.
func (w *writer) remove(match func(*request) bool) (removed []*request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	kept := w.waiting[:0:0]
	for _, r := range w.waiting {
		if match(r) {
			removed = append(removed, r)
		} else {
			kept = append(kept, r)
		}
	}
	w.waiting = kept
	return removed
}

// run commits batch after batch, and ends when no request waits.
func (w *writer) run() {
	for {
		runtime.Gosched() // lets requests that are about to be made join
		if !w.begin() {
			return
		}
		w.commit()
	}
}

// begin opens a transaction once a request waits for it. It returns false if no
// request waits.
func (w *writer) begin() bool {
	for pause := firstPause; w.goesOn(); pause = min(2*pause, longestPause) {
		err := w.tryBegin()
		switch {
		case err == nil:
			return true
		case isRetryable(err):
			w.refuse(err, func(r *request) bool { return time.Since(r.since) >= w.busy })
			time.Sleep(pause/2 + rand.N(pause))
		default:
			w.refuse(err, everyone)
		}
	}
	return false
}

// tryBegin opens a transaction, and remembers why it could not.
func (w *writer) tryBegin() error {
	err := w.transactions.begin()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refusal = err
	return err
}

func everyone(*request) bool { return true }

// refuse ends the waiting requests that match with an error.
func (w *writer) refuse(err error, match func(*request) bool) {
	for _, r := range w.remove(match) {
		r.outcome <- err
	}
}

// goesOn reports whether a request waits. If no request waits, run ends,
// and the next request starts it again.
func (w *writer) goesOn() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running = len(w.waiting) > 0
	return w.running
}

// queued returns how many requests wait.
func (w *writer) queued() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.waiting)
}

// next takes the oldest request out of the queue; nil if none waits.
func (w *writer) next() *request {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) == 0 {
		return nil
	}
	r := w.waiting[0]
	w.waiting = slices.Delete(w.waiting, 0, 1)
	return r
}

// await is next, but waits a moment for callers of the last transaction that have not come
// again: each of them that comes saves a sync. It only yields, since a timer is
// too coarse, and gives up soon, since they may never come.
func (w *writer) await(taken int) *request {
	r := w.next()
	since := time.Now()
	for yields := 0; r == nil && taken < w.expected && yields < maxYields && time.Since(since) < patience; yields++ {
		runtime.Gosched()
		r = w.next()
	}
	return r
}

// commit applies requests until none comes or the transaction has enough of
// them, commits it and sends each request its outcome. A request that fails gets
// its error at once, and the requests before it begin again without it.
func (w *writer) commit() {
	var batch []*request
	var outcomes []error
	for size := 0; len(batch) < maxBatch && size < maxBatchBytes; {
		r := w.await(len(batch))
		if r == nil {
			break
		}
		err := r.apply()
		if err != nil && !isConflict(err) {
			w.transactions.rollback()
			w.again(batch)
			r.outcome <- refused(err)
			return
		}
		batch, outcomes, size = append(batch, r), append(outcomes, err), size+r.size
	}
	if err := w.transactions.commit(); err != nil {
		outcomes = afterCommit(outcomes, err)
	}
	w.commits.Add(1)
	w.expected = len(batch) + w.queued()
	for i, r := range batch {
		r.outcome <- outcomes[i]
	}
}

// again puts requests back at the front of the queue: nothing of them is stored.
func (w *writer) again(batch []*request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = slices.Concat(batch, w.waiting)
}

// errClosed becomes an fs.ErrClosed in Store.failure.
var errClosed = errors.New("the store is closed")

// close refuses the requests that wait, and returns when the loop has ended.
func (w *writer) close() error {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.refuse(&head.NotAppliedError{Err: errClosed}, everyone)
	w.loop.Wait()
	return w.transactions.close()
}

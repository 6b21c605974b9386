package ropewalk

import (
	"context"
	"errors"
	"time"

	"ropewalk/head"
	"ropewalk/internal/pause"
)

const (
	// loadTries is how often the head is asked for before all calls fail.
	loadTries = 3
	// burst is how many batches follow each other without a gap for others.
	burst = 16
	// gap is how many swaps' time such a gap takes, and maxGap bounds it.
	gap    = 4
	maxGap = time.Second
	// gather is the part of a swap's duration, one divided by it, that a call
	// waits for others to join it while another swap is under way.
	gather = 8
	// maxConflictPause bounds the pauses of those who lose again and again to
	// another appender: it leaves gaps that are short.
	maxConflictPause = 200 * time.Millisecond
)

// work is the state of the goroutine that works while calls wait. It outlives
// that, so that the next one need not ask for the head.
type work struct {
	base      head.Head     // the head to build on, the latest one seen
	known     bool          // false where it must be loaded again
	limit     int           // of the calls in the next batch; 0 for none
	conflicts int           // in a row
	streak    int           // batches in a row that left no gap
	took      time.Duration // the latest swap
	pauses    *pause.Pauses
}

func newWork() work {
	return work{pauses: pause.New(pause.Max(maxConflictPause))}
}

// run commits batch after batch while calls wait.
func (a *Appender) run() {
	for !a.idle() {
		ctx := a.context()
		for b := a.begin(ctx); b != nil; {
			ctx = a.context()
			b = a.finish(ctx, b)
		}
	}
}

// begin builds a batch on the head as it is.
func (a *Appender) begin(ctx context.Context) *batch {
	if err := a.know(ctx); err != nil {
		if ctx.Err() == nil { // else all who waited have gone, and others may have come
			a.failAll(err)
		}
		return nil
	}
	limit := a.work.limit
	a.work.limit = 0
	return a.build(a.take(limit), a.work.base)
}

// know loads the head where it is not known.
func (a *Appender) know(ctx context.Context) error {
	if a.work.known {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, a.chain.store.options.SettleTimeout)
	defer cancel()
	for try, pauses := 1, pause.New(); ; try++ {
		h, err := a.chain.reload(ctx, a.work.base)
		final := errors.Is(err, ErrErased) || errors.Is(err, ErrHeadLost) || hopeless(err)
		switch {
		case err == nil:
			a.work.base, a.work.known = h, true
			return nil
		case final:
			a.work.base = head.Head{} // the next call takes the storage as it is
			return err
		case try == loadTries || pauses.Wait(ctx) != nil:
			return err
		}
	}
}

// finish commits the batch, and returns the one that was prepared meanwhile if
// it can go on at once.
func (a *Appender) finish(ctx context.Context, b *batch) *batch {
	defer b.cancel()
	if !a.launch(b) {
		return nil
	}
	var got head.Head
	var err error
	predicted, start, done := b.attempt.next, time.Now(), make(chan struct{})
	go func() {
		defer close(done)
		got, err = b.attempt.commit(ctx)
	}()
	ahead := a.prepare(predicted, done)
	<-done
	a.work.took = time.Since(start)
	return a.conclude(ctx, b, ahead, got, err)
}

// prepare builds a batch on the head that the swap under way is to make, as
// soon as a call has waited for others to join it. It returns nil where the
// swap is done before that, and where put and swap are one step.
func (a *Appender) prepare(predicted head.Head, done <-chan struct{}) *batch {
	if a.chain.store.combined != nil {
		return nil
	}
	for age := a.work.took / gather; ; {
		waited, ok := a.waited()
		if ok && waited >= age {
			return a.build(a.take(0), predicted)
		}
		var ripe <-chan time.Time
		if ok {
			ripe = time.After(age - waited)
		}
		select {
		case <-done:
			return nil
		case <-ripe:
		case <-a.arrived:
		}
	}
}

// conclude tells the calls of a batch what became of its swap, or lets them be
// built again. It returns the batch that was prepared behind it, which may be
// nil, if that can be sent; its calls are never lost.
func (a *Appender) conclude(ctx context.Context, b, ahead *batch, got head.Head, err error) *batch {
	fence, fenced := errors.AsType[*fencedError](err)
	conflict, refused := errors.AsType[*ConflictError](err)
	switch {
	case err == nil:
		return a.committed(ctx, b, ahead, got)
	case fenced:
		a.again(b, ahead)
		a.work.base = fence.head
	case refused:
		a.again(b, ahead)
		a.retreat(ctx, conflict.Actual)
	case is[*UncertainError](err):
		b.tell(err)
		a.work.known = false
		if ahead != nil && a.know(ctx) == nil && ahead.adopt(a.work.base) {
			return ahead
		}
		a.again(ahead)
	case errors.Is(err, ErrHeadLost), errors.Is(err, ErrErased):
		b.tell(err)
		a.again(ahead)
		a.failAll(err)
		a.work.base, a.work.known = head.Head{}, false
	default:
		b.tell(err)
		a.again(ahead)
	}
	return nil
}

// committed goes on from the head that a batch has made.
func (a *Appender) committed(ctx context.Context, b, ahead *batch, got head.Head) *batch {
	_, waiting := a.waited()
	b.tell(nil)
	a.work.base, a.work.conflicts = got, 0
	a.work.pauses.Reset()
	a.work.streak++
	if ahead == nil && !waiting {
		a.work.streak = 0
	}
	if a.work.streak == burst {
		// Time for another writer to read, put and swap, who would else never
		// find the head as it was a moment ago.
		a.work.streak = 0
		rest(ctx, min(gap*a.work.took, maxGap))
	}
	if ahead != nil && ahead.adopt(got) {
		return ahead
	}
	a.again(ahead)
	return nil
}

// retreat makes way for another writer that was faster: at once to the head
// that it made, and if that is not the first time, after a pause.
func (a *Appender) retreat(ctx context.Context, winner head.Head) {
	a.work.base = winner
	if a.work.conflicts++; a.work.conflicts > 1 {
		_ = a.work.pauses.Wait(ctx) // an end of ctx is seen by the next batch
		a.work.known = false
	}
}

// rest waits for a while, or until nobody is there to wait for.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

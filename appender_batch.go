package ropewalk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/body"
	"ropewalk/internal/link"
	"ropewalk/internal/pause"
)

const (
	// loadTries is how often the head is loaded before all calls fail.
	loadTries = 3
	// burst is how many batches follow each other without a gap for others.
	burst = 16
	// gap is how many swaps' time such a gap takes, and maxGap bounds it.
	gap    = 4
	maxGap = time.Second
	// gather divides the duration of a swap: a call waits this part of it for
	// others to join its batch.
	gather = 8
	// maxConflictPause bounds the pauses after repeated conflicts with another
	// appender, whose gaps are short.
	maxConflictPause = 200 * time.Millisecond
)

// work is the state of the goroutine in run. It is kept between two runs, so
// that the next one need not load the head.
type work struct {
	head      head.Head     // the latest head, to build on
	headKnown bool          // false if head must be loaded again
	limit     int           // the largest number of calls in the next batch; 0 means no limit
	conflicts int           // in a row
	streak    int           // batches in a row that left no gap
	took      time.Duration // the latest swap
	pauses    *pause.Pauses
}

func newWork() work {
	return work{pauses: pause.New(pause.Max(maxConflictPause))}
}

// run commits batch after batch while calls wait. Its methods stand in the
// order in which they happen: begin builds a batch and starts its puts, finish
// waits for them and swaps the head, and conclude reports the outcome.
func (a *Appender) run() {
	for !a.idle() {
		ctx := a.context()
		for b := a.begin(ctx); b != nil; {
			ctx = a.context()
			b = a.finish(ctx, b)
		}
	}
}

// begin builds a batch on the present head.
func (a *Appender) begin(ctx context.Context) *batch {
	if err := a.ensureHead(ctx); err != nil {
		if ctx.Err() == nil { // otherwise all callers have returned, and new ones may have come
			a.failAll(err)
		}
		return nil
	}
	limit := a.work.limit
	a.work.limit = 0
	return a.build(a.dequeue(limit), a.work.head)
}

// ensureHead loads the head unless it is known.
func (a *Appender) ensureHead(ctx context.Context) error {
	if a.work.headKnown {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, a.chain.store.options.SettleTimeout)
	defer cancel()
	for try, pauses := 1, pause.New(); ; try++ {
		h, err := a.chain.reload(ctx, a.work.head)
		final := errors.Is(err, ErrErased) || errors.Is(err, ErrHeadLost) || permanent(err)
		switch {
		case err == nil:
			a.work.head, a.work.headKnown = h, true
			return nil
		case final:
			a.work.head = head.Head{} // the next call accepts the head in the storage
			return err
		case try == loadTries || pauses.Wait(ctx) != nil:
			return err
		}
	}
}

// batch is the calls that one swap commits.
type batch struct {
	calls   []*call
	attempt *attempt
	cancel  context.CancelFunc // ends the puts
}

// build links the calls after a head, and starts the puts of their objects. It
// returns nil if there are no calls, or if they cannot be built and have failed.
func (a *Appender) build(calls []*call, after head.Head) *batch {
	if len(calls) == 0 {
		return nil
	}
	appends := make([][]body.Draft, len(calls))
	for i, c := range calls {
		appends[i] = c.drafts
	}
	built, err := link.Build(after, a.chain.id, appends, time.Now(), a.chain.store.layout)
	if err != nil {
		for _, c := range calls {
			close(c.stored)
			c.done <- result{err: a.failed(err)}
		}
		a.work.headKnown = a.work.headKnown && !errors.Is(err, ErrMoved) // it may come back
		return nil
	}
	// The attempt has no command ID: another writer's changeset with the command
	// of one call says nothing about the other calls.
	b := &batch{calls: calls, attempt: &attempt{chain: a.chain, changesets: built.Changesets, objects: built.Objects, from: after, to: built.Next}}
	if built.Next.IsPacked() {
		a.putPacks(b)
	} else {
		a.put(b)
	}
	return b
}

// put starts the puts. The puts of a call have the call's own context, so that
// only this call fails if they fail or hang.
func (a *Appender) put(b *batch) {
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	b.each(func(c *call, own []changeset.Changeset) {
		go func() {
			defer close(c.stored)
			c.putErr = a.putOwn(ctx, c, own)
		}()
	})
}

// putPacks starts the puts of objects that several calls share. They end if the
// context of any call ends: the batch must be built again without that call.
func (a *Appender) putPacks(b *batch) {
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	var stops []func() bool
	for _, c := range b.calls {
		stops = append(stops, context.AfterFunc(c.ctx, cancel))
	}
	go func() {
		err := a.putWithin(ctx, b.attempt.objects)
		for i, c := range b.calls {
			stops[i]()
			c.putErr = err
			close(c.stored)
		}
	}()
}

// each calls do with every call and its changesets.
func (b *batch) each(do func(*call, []changeset.Changeset)) {
	rest := b.attempt.changesets
	for _, c := range b.calls {
		do(c, rest[:len(c.drafts)])
		rest = rest[len(c.drafts):]
	}
}

// putOwn puts the objects of one call, until the call's context ends or the
// context of all puts of the batch.
func (a *Appender) putOwn(all context.Context, c *call, own []changeset.Changeset) error {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	defer context.AfterFunc(all, cancel)()
	return a.putWithin(ctx, own)
}

// putWithin puts objects within the time for it.
func (a *Appender) putWithin(ctx context.Context, objects []changeset.Changeset) error {
	late := fmt.Errorf("not all objects were put within %s", a.options.PutTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, a.options.PutTimeout, late)
	defer cancel()
	err := a.chain.put(ctx, objects)
	if err != nil && context.Cause(ctx) == late {
		err = fmt.Errorf("%w: %w", late, err)
	}
	return err
}

// finish commits the batch. It returns the next batch if one was prepared in
// the meantime and can go on at once.
func (a *Appender) finish(ctx context.Context, b *batch) *batch {
	defer b.cancel()
	if !a.awaitPuts(b) {
		return nil
	}
	var got head.Head
	var err error
	predicted, start, done := b.attempt.to, time.Now(), make(chan struct{})
	go func() {
		defer close(done)
		got, err = b.attempt.commit(ctx)
	}()
	var ahead *batch
	if a.prepares(b) {
		ahead = a.prepare(predicted, done)
	}
	<-done
	a.work.took = time.Since(start)
	return a.conclude(ctx, b, ahead, got, err)
}

// awaitPuts waits until all puts have ended, and reports whether the swap can
// be sent. It cannot if the puts of a call have failed, or if its caller has
// returned: the other calls' objects link to the objects of that call. The
// other calls are then built again, in a batch without new calls, so that the
// number of attempts is bounded.
func (a *Appender) awaitPuts(b *batch) bool {
	var kept []*call
	stored := true
	for _, c := range b.calls {
		<-c.stored
		stored = stored && c.putErr == nil
		if c.putErr == nil || b.retries(c) {
			kept = append(kept, c)
		} else {
			c.done <- result{err: a.failed(c.putErr)}
		}
	}
	if stored && a.markSent(kept) {
		return true
	}
	a.work.limit = a.requeue(kept)
	return false
}

// retries reports whether a call whose puts have failed is to be built again, with new
// IDs. In a packed chain the calls of a batch share their objects, so the failure is
// not a call's own: each call is built again once, and once more for each other caller
// that has left.
func (b *batch) retries(c *call) bool {
	if !b.attempt.to.IsPacked() {
		return false
	}
	if slices.ContainsFunc(b.calls, func(c *call) bool { return c.ctx.Err() != nil }) {
		return true
	}
	first := !c.again
	c.again = true
	return first
}

// prepares reports whether a batch may be prepared while the swap of b is under way. It
// may not if put and swap are one step, or if b has no objects. Objects that were put
// ahead would then be built on a revision that nothing stored shows to be pending: if
// the process died, they would look like the objects of a head that was rolled back.
func (a *Appender) prepares(b *batch) bool {
	return a.chain.store.combined == nil && len(b.attempt.objects) > 0
}

// prepare builds a batch on the head that the swap under way will make, as soon
// as a call has waited long enough for others to join it. It returns nil if the
// swap ends before that.
func (a *Appender) prepare(predicted head.Head, done <-chan struct{}) *batch {
	for age := a.work.took / gather; ; {
		waited, ok := a.waited()
		if ok && waited >= age {
			return a.build(a.dequeue(0), predicted)
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

// conclude reports the outcome of a swap to the calls of its batch, or queues
// the calls again. It returns ahead, the batch that was built after it, if that
// is not nil and can be sent. Otherwise the calls of ahead are queued again.
func (a *Appender) conclude(ctx context.Context, b, ahead *batch, got head.Head, err error) *batch {
	fence, fenced := errors.AsType[*fencedError](err)
	conflict, refused := errors.AsType[*ConflictError](err)
	switch {
	case err == nil:
		return a.committed(ctx, b, ahead, got)
	case fenced:
		a.requeueAll(b, ahead)
		a.work.head = fence.head
	case refused:
		a.requeueAll(b, ahead)
		a.retreat(ctx, conflict.Actual)
	case is[*UncertainError](err):
		b.report(err)
		a.work.headKnown = false
		if ahead != nil && a.ensureHead(ctx) == nil && ahead.adopt(a.work.head) {
			return ahead
		}
		a.requeueAll(ahead)
	case errors.Is(err, ErrHeadLost), errors.Is(err, ErrErased):
		b.report(err)
		a.requeueAll(ahead)
		a.failAll(err)
		a.work.head, a.work.headKnown = head.Head{}, false
	default:
		b.report(err)
		a.requeueAll(ahead)
	}
	return nil
}

// committed goes on from the head that a batch has made.
func (a *Appender) committed(ctx context.Context, b, ahead *batch, got head.Head) *batch {
	_, waiting := a.waited()
	b.report(nil)
	a.work.head, a.work.conflicts = got, 0
	a.work.pauses.Reset()
	a.work.streak++
	if ahead == nil && !waiting {
		a.work.streak = 0
	}
	if a.work.streak == burst {
		// Another writer needs this time to read, put and swap. Without the gap
		// the head would always have moved on before its swap.
		a.work.streak = 0
		_ = pause.Sleep(ctx, min(gap*a.work.took, maxGap))
	}
	if ahead != nil && ahead.adopt(got) {
		return ahead
	}
	a.requeueAll(ahead)
	if ahead == nil && got.IsPacked() && a.chain.store.combined == nil {
		a.awaitCallers(len(b.calls))
	}
	return nil
}

// awaitCallers waits until as many calls are queued as the last batch had. Its callers
// often call again at once, and no batch was prepared for them while its swap was
// under way.
func (a *Appender) awaitCallers(size int) {
	patience := time.After(a.work.took / gather)
	for size > 1 && a.queued() < size {
		select {
		case <-patience:
			return
		case <-a.arrived:
		}
	}
}

// retreat makes way for a faster writer: the first conflict in a row goes on at
// once from the winner's head, and each later conflict pauses first.
func (a *Appender) retreat(ctx context.Context, winner head.Head) {
	a.work.head = winner
	if a.work.conflicts++; a.work.conflicts > 1 {
		_ = a.work.pauses.Wait(ctx) // the next batch sees the end of ctx
		a.work.headKnown = false
	}
}

// adopt reports whether the batch was built on the record of h. If it was, its
// swap will use the token and the unknown fields of h.
func (b *batch) adopt(h head.Head) bool {
	if !h.SameRecord(b.attempt.from) {
		return false
	}
	b.attempt.from, b.attempt.to = h, b.attempt.to.Inherit(b.attempt.from, h).WithToken(h.Token())
	return true
}

// report gives all calls the outcome of the swap.
func (b *batch) report(err error) {
	b.each(func(c *call, own []changeset.Changeset) {
		r := result{err: err}
		if err == nil || is[*UncertainError](err) {
			for i := range own {
				r.headers = append(r.headers, own[i].Header)
			}
		}
		c.done <- r
	})
}

// requeueAll queues the calls of batches that can no longer be committed, in
// this order, before all other calls. Nil batches are skipped.
func (a *Appender) requeueAll(batches ...*batch) {
	var calls []*call
	for _, b := range batches {
		if b == nil {
			continue
		}
		b.cancel()
		for _, c := range b.calls {
			<-c.stored
			calls = append(calls, c)
		}
	}
	a.requeue(calls)
}

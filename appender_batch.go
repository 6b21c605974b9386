package ropewalk

import (
	"context"
	"fmt"
	"time"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/body"
)

// batch is the calls that one swap commits.
type batch struct {
	calls   []*call
	attempt *attempt
	cancel  context.CancelFunc // ends the puts
}

// build links the calls behind the head, and begins to put their objects. It
// returns nil where there are no calls, or they cannot be built and are told.
func (a *Appender) build(calls []*call, after head.Head) *batch {
	if len(calls) == 0 {
		return nil
	}
	appends := make([][]body.Draft, len(calls))
	for i, c := range calls {
		appends[i] = c.drafts
	}
	built, next, err := head.ExtendBatch(after, a.chain.id, appends, time.Now())
	if err != nil {
		for _, c := range calls {
			close(c.stored)
			c.done <- outcome{err: a.failed(err)}
		}
		return nil
	}
	// Without a command ID: what another writer has made of the command of one
	// call says nothing of the others.
	b := &batch{calls: calls, attempt: &attempt{chain: a.chain, changesets: built, old: after, next: next}}
	a.put(b)
	return b
}

// put begins to put the objects, those of each call in its own context, so that
// one which fails or hangs is that call's alone.
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

// each calls do with every call and its changesets.
func (b *batch) each(do func(*call, []changeset.Changeset)) {
	rest := b.attempt.changesets
	for _, c := range b.calls {
		do(c, rest[:len(c.drafts)])
		rest = rest[len(c.drafts):]
	}
}

// putOwn puts the objects of one call, until its own context ends or that of
// all puts of its batch.
func (a *Appender) putOwn(all context.Context, c *call, own []changeset.Changeset) error {
	late := fmt.Errorf("not all objects were put within %s", a.options.PutTimeout)
	ctx, cancel := context.WithTimeoutCause(c.ctx, a.options.PutTimeout, late)
	defer cancel()
	defer context.AfterFunc(all, cancel)()
	err := a.chain.put(ctx, own)
	if err != nil && context.Cause(ctx) == late {
		err = fmt.Errorf("%w: %w", late, err)
	}
	return err
}

// launch waits until all objects are stored and reports whether the swap can
// be sent. Where a call has failed, or has gone meanwhile, it cannot: the
// objects of the others link to that call's. They alone are to be built again,
// so that it ends.
func (a *Appender) launch(b *batch) bool {
	var stored []*call
	for _, c := range b.calls {
		if <-c.stored; c.putErr != nil {
			c.done <- outcome{err: a.failed(c.putErr)}
		} else {
			stored = append(stored, c)
		}
	}
	if len(stored) == len(b.calls) && a.send(stored) {
		return true
	}
	a.work.limit = a.requeue(stored)
	return false
}

// adopt reports whether the batch was built on the record h, and lets it swap
// from it with what only the storage knows.
func (b *batch) adopt(h head.Head) bool {
	if !h.SameRecord(b.attempt.old) {
		return false
	}
	b.attempt.old, b.attempt.next = h, b.attempt.next.Inherit(h).WithToken(h.Token())
	return true
}

// tell gives all calls the outcome of the swap.
func (b *batch) tell(err error) {
	b.each(func(c *call, own []changeset.Changeset) {
		told := outcome{err: err}
		if err == nil || is[*UncertainError](err) {
			for i := range own {
				told.headers = append(told.headers, own[i].Header)
			}
		}
		c.done <- told
	})
}

// again takes back batches that can not be committed any more, in this order.
// A nil one is none.
func (a *Appender) again(batches ...*batch) {
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

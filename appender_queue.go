package ropewalk

import (
	"slices"
	"time"

	"ropewalk/changeset"
)

// take takes the oldest calls that fit into one batch, limit of them at most if
// that is not 0.
func (a *Appender) take(limit int) (calls []*call) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var size int
	var bytes int64
	for _, c := range a.queue {
		size, bytes = size+len(c.drafts), bytes+c.bytes
		full := size > changeset.MaxPerAppend || bytes > a.options.MaxBatchBytes
		if len(calls) > 0 && (full || len(calls) == limit) {
			break
		}
		c.stage, c.stored, c.putErr = sealed, make(chan struct{}), nil
		calls = append(calls, c)
	}
	a.queue = slices.Delete(a.queue, 0, len(calls))
	return calls
}

// requeue puts calls back to the front of the queue, to be built again: nothing
// that was sent can commit them any more. Those that have gone are told.
func (a *Appender) requeue(calls []*call) (kept int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var again []*call
	for _, c := range calls {
		switch {
		case c.stage == left:
		case c.ctx.Err() != nil:
			c.done <- outcome{err: a.failed(c.ctx.Err())}
		default:
			c.stage = queued
			again = append(again, c)
		}
	}
	a.queue = slices.Concat(again, a.queue)
	return len(again)
}

// send says of all calls that they can be committed from now on, or of none and
// returns false: where a context has ended meanwhile.
func (a *Appender) send(calls []*call) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range calls {
		if c.stage == left || c.ctx.Err() != nil {
			return false
		}
	}
	for _, c := range calls {
		c.stage = sent
	}
	return true
}

// failAll tells everybody who waits.
func (a *Appender) failAll(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.queue {
		c.done <- outcome{err: err}
	}
	a.queue = nil
}

// idle reports whether nobody waits, and ends the work then.
func (a *Appender) idle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running = len(a.queue) > 0
	return !a.running
}

// waited returns how long the oldest call has waited, if there is one.
func (a *Appender) waited() (long time.Duration, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.queue) == 0 {
		return 0, false
	}
	return time.Since(a.queue[0].since), true
}

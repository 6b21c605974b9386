package ropewalk

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/body"
	"ropewalk/internal/link"
)

// AppenderOptions are the settings of an [Appender]. Zero values stand for the
// defaults.
type AppenderOptions struct {
	// MaxBatchBytes is how many bytes, as stored, are committed together; 8 MiB by
	// default. The drafts of one call stay together, even if they are larger.
	MaxBatchBytes int64
	// PutTimeout is how long the puts of one call may take, a minute by
	// default. A call that exceeds it fails, and the other calls of its batch
	// go on without it.
	PutTimeout time.Duration
}

func (o *AppenderOptions) withDefaults() AppenderOptions {
	out := *cmp.Or(o, &AppenderOptions{})
	out.MaxBatchBytes = cmp.Or(max(out.MaxBatchBytes, 0), 8<<20)
	out.PutTimeout = cmp.Or(max(out.PutTimeout, 0), time.Minute)
	return out
}

// Appender appends to one hot aggregate for many goroutines at once. Calls
// that wait at the same time share one swap of the head, and the objects of the
// next calls are put while that swap is under way. An Appender therefore commits
// as many appends in the time of one request as it has callers. A loop of read,
// append and retry commits one append in the time of three requests.
//
// Use it for changesets that are true at any place in the history: readings of
// a device, entries of a log, facts that others have decided. Append takes no
// head, so it must not be used for a decision that depends on the history:
// decisions belong in [Chain.Update]. For the same reason an Appender does not
// recognise a command that was appended before: it stores command IDs, and
// does nothing else with them.
//
// All goroutines of a process should share one Appender for an aggregate. Other
// processes and other writers may append to the aggregate too. A busy Appender
// leaves them few gaps, so decisions about the aggregate are slow, and two
// processes with an Appender take turns.
//
// An Appender is safe for concurrent use and needs no closing: it works only
// while calls wait, and keeps nothing except the head of its latest append.
type Appender struct {
	chain   *Chain
	options AppenderOptions
	arrived chan struct{} // holds a signal when a call was queued

	mu         sync.Mutex
	queue      []*call // oldest first
	running    bool
	callers    int                // calls that have not returned
	workCtx    context.Context    // of the work: ends with the last caller
	cancelWork context.CancelFunc // ends workCtx

	work work // owned by the goroutine in run
}

// NewAppender returns an appender for the chain, which need not exist. It does
// no I/O. Nil options stand for the defaults.
func (c *Chain) NewAppender(options *AppenderOptions) *Appender {
	return &Appender{chain: c, options: options.withDefaults(), arrived: make(chan struct{}, 1), work: newWork()}
}

// stage is how far a call has come. It changes only under the appender's lock.
type stage int

const (
	waiting   stage = iota // nothing of it is stored
	sealed                 // in a batch, whose objects are being put
	sent                   // the swap of its batch may commit it
	abandoned              // its caller has returned before the swap was sent
)

// call is one call of [Appender.Append].
type call struct {
	ctx    context.Context
	drafts []body.Draft
	bytes  int64
	since  time.Time
	stage  stage
	done   chan result   // receives one
	stored chan struct{} // of a sealed call: closed when its puts have ended
	putErr error         // of the puts; valid when stored is closed
	again  bool          // its puts have failed, and it was queued again
}

// result is what Append returns.
type result struct {
	headers []changeset.Header
	err     error
}

// Append appends one changeset for each draft, all or none and next to each
// other, at the end of the chain, and creates the chain if it does not exist.
// It blocks until the outcome is known. It returns the headers of the new
// changesets, in the order of the drafts: their references, and their digests
// as a receipt. [head.At] gives the head as of one of them, for
// [Chain.ReaderAt]. Calls made one after another are committed in that order.
//
// The command IDs of the drafts follow the rule of [Chain.Append]: one call,
// one command. Contents must not change until Append returns.
//
// Its errors report the outcome, as the errors of [Chain.Append] do:
//   - [*UncertainError]: the outcome is unknown; [Chain.Settle] finds it out. Its
//     Ref is the last changeset of the batch in which this call was sent. The
//     headers are returned too, as they are if the batch is committed.
//   - [ErrHeadLost], [ErrErased]: the head in the storage is not one that can
//     follow the head of the latest append; all waiting calls fail.
//   - [ErrInvalidDraft], [ErrTooLarge], [ErrInvalidAggregateID],
//     [ErrUnsupportedFormat]: nothing was committed.
//   - any other: nothing was committed, and nothing ever will be.
//
// There is no [*ConflictError]: if another writer was faster, the drafts are
// built again after its changesets, until the context ends. A context that ends
// before the swap is sent gives its own error. After that the call goes on
// until the outcome is known, for at most twice [Options.SettleTimeout].
func (a *Appender) Append(ctx context.Context, drafts ...changeset.Draft) (headers []changeset.Header, err error) {
	err = errUnfinished
	ctx, end := a.chain.store.start(ctx, OperationAppend, a.chain.id)
	defer func() { end(Result{len(drafts), err}) }()
	return a.append(ctx, drafts)
}

// append is Append without the observer.
func (a *Appender) append(ctx context.Context, drafts []changeset.Draft) ([]changeset.Header, error) {
	if err := a.check(ctx, drafts); err != nil {
		return nil, err
	}
	c := &call{ctx: ctx, drafts: a.chain.store.layout.Drafts(head.Head{}, drafts), since: time.Now(), done: make(chan result, 1)}
	for _, d := range c.drafts {
		c.bytes += int64(len(d.Bytes))
	}
	a.enqueue(c)
	defer a.exit()
	select {
	case r := <-c.done:
		return r.headers, r.err
	case <-ctx.Done():
		return a.abandon(c)
	}
}

func (a *Appender) check(ctx context.Context, drafts []changeset.Draft) error {
	if err := changeset.ValidateAggregateID(a.chain.id); err != nil {
		return err
	}
	if err := a.chain.checkDrafts(ctx, head.Head{}, drafts); err != nil {
		return err
	}
	if err := link.ValidateAppend(drafts); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return a.failed(err)
	}
	return nil
}

// failed returns the error of a call of which nothing was committed.
func (a *Appender) failed(err error) error {
	return fmt.Errorf("append to %q: %w", a.chain.id, err)
}

// enqueue adds a call to the queue, and starts the work if none is running.
func (a *Appender) enqueue(c *call) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queue = append(a.queue, c)
	if a.callers++; a.callers == 1 {
		a.workCtx, a.cancelWork = context.WithCancel(context.WithoutCancel(c.ctx))
	}
	if !a.running {
		a.running = true
		go a.run()
	}
	select {
	case a.arrived <- struct{}{}:
	default: // the signal was given before
	}
}

// exit ends the work with the last caller, even if the work still waits.
func (a *Appender) exit() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.callers--; a.callers == 0 {
		a.cancelWork()
	}
}

// abandon returns from a call whose context has ended: at once if its swap was
// not sent, and otherwise with the outcome of the swap.
func (a *Appender) abandon(c *call) ([]changeset.Header, error) {
	a.mu.Lock()
	was := c.stage
	if was != sent {
		c.stage = abandoned
		a.queue = slices.DeleteFunc(a.queue, func(other *call) bool { return other == c })
	}
	a.mu.Unlock()
	if was == sent {
		r := <-c.done
		return r.headers, r.err
	}
	if c.stored != nil {
		<-c.stored // the puts read the contents, which are the caller's again after Append
	}
	select {
	case r := <-c.done: // a result that came just before
		return r.headers, r.err
	default:
		return nil, a.failed(c.ctx.Err())
	}
}

// context returns the context of the work, which does not end while a call waits.
func (a *Appender) context() context.Context {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.workCtx
}

// dequeue seals the oldest calls that fit into one batch, and at most limit of
// them if limit is not 0.
func (a *Appender) dequeue(limit int) (calls []*call) {
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

// requeue puts calls back at the front of the queue, to be built again: no swap
// that was sent can commit them. A call whose context has ended fails.
func (a *Appender) requeue(calls []*call) (kept int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var again []*call
	for _, c := range calls {
		switch {
		case c.stage == abandoned:
		case c.ctx.Err() != nil:
			c.done <- result{err: a.failed(c.ctx.Err())}
		default:
			c.stage = waiting
			again = append(again, c)
		}
	}
	a.queue = slices.Concat(again, a.queue)
	return len(again)
}

// markSent moves all calls to sent. If the context of any call has ended, it
// moves none and returns false.
func (a *Appender) markSent(calls []*call) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range calls {
		if c.stage == abandoned || c.ctx.Err() != nil {
			return false
		}
	}
	for _, c := range calls {
		c.stage = sent
	}
	return true
}

// failAll ends all queued calls with an error.
func (a *Appender) failAll(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.queue {
		c.done <- result{err: err}
	}
	a.queue = nil
}

// idle reports whether the queue is empty. If it is, the work counts as ended.
func (a *Appender) idle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running = len(a.queue) > 0
	return !a.running
}

// queued returns the number of queued calls.
func (a *Appender) queued() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.queue)
}

// waited returns how long the oldest queued call has waited.
func (a *Appender) waited() (long time.Duration, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.queue) == 0 {
		return 0, false
	}
	return time.Since(a.queue[0].since), true
}

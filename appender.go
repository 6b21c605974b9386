package ropewalk

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/body"
)

// AppenderOptions are the settings of an [Appender]. Zero values stand for the
// defaults.
type AppenderOptions struct {
	// MaxBatchBytes is how many bytes are committed together, 8 MiB by default,
	// as they are stored. The drafts of one call stay together, and
	// pass if they are more.
	MaxBatchBytes int64
	// PutTimeout is how long the objects of one call may take to be put, a
	// minute by default. A call that exceeds it fails, and those that were to be
	// committed with it go on without it.
	PutTimeout time.Duration
}

func (o *AppenderOptions) withDefaults() AppenderOptions {
	var out AppenderOptions
	if o != nil {
		out = *o
	}
	if out.MaxBatchBytes <= 0 {
		out.MaxBatchBytes = 8 << 20
	}
	if out.PutTimeout <= 0 {
		out.PutTimeout = time.Minute
	}
	return out
}

// Appender appends to one hot aggregate for many goroutines at once. The calls
// that wait at the same time share one swap of the head, and while that is
// under way the objects of the next ones are put already. So it commits as many
// appends in the time of one request as there are callers, where a loop of
// read, append and try again commits one in the time of three.
//
// Use it for what is true wherever it comes to stand in the history: readings
// of a device, entries of a log, facts that others have decided. It does not
// ask for a head, so nothing that depends on what the history holds may be
// appended with it: decisions belong in [Chain.Update]. For the same reason
// it does not recognise a command that was appended before: command IDs are
// stored, and no more.
//
// All goroutines of a process should share one Appender for an aggregate. Those
// of other processes, and every other writer, may append to it too; but as a
// busy Appender leaves them few gaps, decisions about such an aggregate are
// slow, and two processes with an Appender take turns.
//
// An Appender is safe for concurrent use and needs no closing: it works only
// while calls wait, and keeps nothing else than the head of its latest append.
type Appender struct {
	chain   *Chain
	options AppenderOptions
	arrived chan struct{} // holds a signal when a call was queued

	mu      sync.Mutex
	queue   []*call // oldest first
	running bool
	inside  int                // calls that have not returned
	present context.Context    // of the work: ends when nobody is inside
	desert  context.CancelFunc // ends it

	work work // of the one goroutine that runs
}

// Appender returns an appender for the chain, which need not exist. It does no
// I/O. Nil options stand for the defaults.
func (c *Chain) Appender(options *AppenderOptions) *Appender {
	return &Appender{chain: c, options: options.withDefaults(), arrived: make(chan struct{}, 1), work: newWork()}
}

// stage is how far a call has come. It only changes under the appender's lock.
type stage int

const (
	queued stage = iota // nothing of it is stored
	sealed              // in a batch, whose objects are being put
	sent                // the swap of its batch may commit it
	left                // its caller has gone before anything was sent
)

// call is one call of [Appender.Append].
type call struct {
	ctx    context.Context
	drafts []body.Draft
	bytes  int64
	since  time.Time
	stage  stage
	done   chan outcome  // receives one
	stored chan struct{} // of a sealed call: closed when its puts have ended
	putErr error         // why they failed; to be read when they have ended
}

// outcome is what a caller is told.
type outcome struct {
	headers []changeset.Header
	err     error
}

// Append appends one changeset for each draft, all or none and next to each
// other, wherever the chain ends by then, and creates it where there is none.
// It blocks until the outcome is known, and returns the headers of the
// changesets that it has made, in the order of the drafts: their references,
// and their digests as a receipt. [head.Of] gives the head as of one of them,
// for [Chain.ReaderAt]. Who appends one after the other finds them in that order.
//
// The command IDs of the drafts follow the rule of [Chain.Append]: one call,
// one command. Contents must not change until it returns.
//
// Its errors report the outcome, as those of [Chain.Append] do:
//   - [*UncertainError]: unknown so far; [Chain.Settle] finds out. Its Ref is the
//     last changeset that would be committed together with this call's. The
//     headers are returned too, as they are if it turns out committed.
//   - [ErrHeadLost], [ErrErased]: the storage is not as the head said; all calls
//     that wait are told.
//   - [ErrInvalidDraft], [ErrTooLarge], [ErrInvalidAggregateID],
//     [ErrUnsupportedFormat]: nothing was committed.
//   - any other: nothing was committed, and nothing ever will be.
//
// There is no [*ConflictError]: where another writer was faster, the drafts are
// built again behind its changesets, until the context ends. A context that ends
// before the swap is sent gives its own error; after that the call goes on
// until the outcome is known, for twice [Options.SettleTimeout] at most.
func (a *Appender) Append(ctx context.Context, drafts ...changeset.Draft) ([]changeset.Header, error) {
	if err := a.check(ctx, drafts); err != nil {
		return nil, err
	}
	c := &call{ctx: ctx, drafts: body.Drafts(drafts, a.chain.store.options.Compress), since: time.Now(), done: make(chan outcome, 1)}
	for _, d := range c.drafts {
		c.bytes += int64(len(d.Bytes))
	}
	a.enqueue(c)
	defer a.exit()
	select {
	case told := <-c.done:
		return told.headers, told.err
	case <-ctx.Done():
		return a.leave(c)
	}
}

func (a *Appender) check(ctx context.Context, drafts []changeset.Draft) error {
	if err := changeset.ValidateAggregateID(a.chain.id); err != nil {
		return err
	}
	if err := a.chain.checkDrafts(head.Head{}, drafts); err != nil {
		return err
	}
	if err := head.ValidateAppend(drafts); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return a.failed(err)
	}
	return nil
}

// failed is the error of a call of which nothing was committed.
func (a *Appender) failed(err error) error {
	return fmt.Errorf("append to %q: %w", a.chain.id, err)
}

// enqueue lets the call wait, and sees that somebody works on it.
func (a *Appender) enqueue(c *call) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queue = append(a.queue, c)
	if a.inside++; a.inside == 1 {
		a.present, a.desert = context.WithCancel(context.WithoutCancel(c.ctx))
	}
	if !a.running {
		a.running = true
		go a.run()
	}
	select {
	case a.arrived <- struct{}{}:
	default: // the signal is there already
	}
}

// exit lets the work end with the last call, whatever it waits for.
func (a *Appender) exit() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.inside--; a.inside == 0 {
		a.desert()
	}
}

// context returns the context of the work. It does not end while a call waits.
func (a *Appender) context() context.Context {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.present
}

// leave ends a call whose context has ended: at once where nothing was sent
// that could commit it, and otherwise with the outcome of what was.
func (a *Appender) leave(c *call) ([]changeset.Header, error) {
	a.mu.Lock()
	was := c.stage
	if was != sent {
		c.stage = left
		a.queue = slices.DeleteFunc(a.queue, func(other *call) bool { return other == c })
	}
	a.mu.Unlock()
	if was == sent {
		told := <-c.done
		return told.headers, told.err
	}
	if c.stored != nil {
		<-c.stored // nobody may read the contents any more
	}
	select {
	case told := <-c.done: // it was told just before
		return told.headers, told.err
	default:
		return nil, a.failed(c.ctx.Err())
	}
}

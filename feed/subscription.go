package feed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"ropewalk"
)

// The errors of subscriptions.
var (
	// ErrReplaced means that a subscription has another owner: another process
	// claimed it after this one was not heard of for [SubscriptionOptions.Standby],
	// or the subscription was reset or deleted.
	ErrReplaced = errors.New("the subscription has another owner")
	// ErrTooManyParked means that an aggregate could not be parked, because
	// [SubscriptionOptions.MaxParked] aggregates are parked already.
	ErrTooManyParked = errors.New("too many aggregates are parked")
)

// Handler handles one change. It returns nil if the change is handled. It must
// return soon after its context has ended.
//
// A change is handed over at least once: again if the process ends before the
// checkpoint is saved, or if another owner takes over. [Change.Fence] and
// [Change.Position], or the aggregate and its version, let a target recognize
// repetitions.
type Handler func(context.Context, Change) error

// BatchHandler handles one or more changes at once, in order. It returns nil if
// all of them are handled. If it returns an error for several changes, they are
// handed over again one at a time, so that the error of one change is known.
type BatchHandler func(context.Context, []Change) error

// Forever as [SubscriptionOptions.Retries] sets no limit.
const Forever = -1

// Erasures says what a subscription does with the erasures of aggregates.
type Erasures int

const (
	// WithErasures delivers changesets and erasures.
	WithErasures Erasures = iota
	// OnlyErasures delivers erasures alone. No changeset is read.
	OnlyErasures
	// WithoutErasures delivers changesets alone.
	WithoutErasures
)

// SubscriptionOptions are the settings of a [Subscription]. Zero values stand for
// the defaults.
type SubscriptionOptions struct {
	// From is where the subscription begins when it runs for the first time; by
	// default at the beginning of the feed.
	From Position
	// FromNow lets a new subscription begin after the newest change that the feed
	// has when it runs for the first time, instead of at From.
	FromNow bool

	// Prefix selects the aggregates whose IDs begin with it; all by default. The
	// changesets of other aggregates are not read.
	Prefix string
	// Erasures selects changesets, erasures, or both, which is the default.
	Erasures Erasures
	// Types, if not empty, selects the changesets with an event of one of these
	// types, in the form in which package aggregate stores events. Every changeset
	// must be read to find out. A changeset of the content type of events
	// (application/x-ndjson) with a line that is not an event is delivered, so that
	// its handler can refuse it. Types does not affect erasures.
	Types []string
	// Share divides the name between several consumers by the hash of the aggregate
	// ID. Each share has a checkpoint and an owner of its own. The zero Share is the
	// whole.
	Share Share

	// Parallel is how many changes may be handled at a time. With 0 or 1, changes
	// are handled one after another in the order of the feed. With more, the changes
	// of one aggregate are still handled one after another in their order, and up to
	// 1,024 changes may be under way after the lowest position that is not handled.
	Parallel int
	// Retries is how often a change is handed over again after an error, with
	// growing pauses, before the subscription stops or parks; 0 by default, without
	// limit if it is [Forever].
	Retries int
	// RetryPause is the longest pause between two retries; 1 minute by default. The
	// first pause is a tenth of a second.
	RetryPause time.Duration
	// Park parks an aggregate if a change of it cannot be handled: that change and
	// all later changes of the aggregate stay unhandled, until
	// [Subscription.Replay]. By default the subscription stops instead.
	Park bool
	// MaxParked is the largest number of parked aggregates; 100 by default, and at
	// most 200, so that the list fits in the checkpoint. When it is full, the
	// subscription stops with [ErrTooManyParked].
	MaxParked int

	// Window is the largest number of changes that are handed over without a
	// successful save of the checkpoint; 256 by default. It bounds the changes that
	// are handed over twice, and the changes that a replaced owner may still handle.
	Window int
	// SaveEvery is how long after the first change that is handed over the checkpoint
	// is saved; 1 second by default. A save is one request.
	SaveEvery time.Duration
	// Standby is how long a consumer that finds an owner waits for news of it before
	// it claims the subscription; 15 seconds by default. It is measured by the
	// consumer's own clock. All consumers of a name must use the same value: an
	// owner without changes saves every third part of it. Requests that fail are
	// tried again for as long.
	Standby time.Duration
	// Grace is how long handlers may go on after the context of Run has ended, before
	// their own context ends; 10 seconds by default.
	Grace time.Duration
	// Logger receives unexpected events, and never content. The default is the
	// logger of the feed.
	Logger *slog.Logger
}

// The limits of the options.
const (
	maxInFlight = 1024
	maxParked   = 200 // an entry takes at most 290 bytes of the checkpoint
	firstRetry  = 100 * time.Millisecond
)

func (o *SubscriptionOptions) withDefaults(of Options) SubscriptionOptions {
	out := *cmp.Or(o, &SubscriptionOptions{})
	out.Parallel = max(out.Parallel, 1)
	out.RetryPause = cmp.Or(max(out.RetryPause, 0), time.Minute)
	out.MaxParked = min(cmp.Or(max(out.MaxParked, 0), 100), maxParked)
	out.Window = cmp.Or(max(out.Window, 0), 256)
	out.SaveEvery = cmp.Or(max(out.SaveEvery, 0), time.Second)
	out.Standby = cmp.Or(max(out.Standby, 0), 15*time.Second)
	out.Grace = cmp.Or(max(out.Grace, 0), 10*time.Second)
	out.Logger = cmp.Or(out.Logger, of.Logger)
	return out
}

// Subscription is a named consumer of a feed. Its position is kept in the store,
// as the checkpoint of the head of a reserved chain, so it goes on where it was
// after a restart. It is safe for concurrent use, and needs no closing.
type Subscription struct {
	feed    *Feed
	name    string
	options SubscriptionOptions
}

// Subscription returns the subscription of a name: 1 to 64 letters, digits, or one
// of -_.@~. It does no I/O. The errors of a name or of options that cannot be used
// are the errors of its methods. Nil options stand for the defaults.
//
// The name alone decides about the position: consumers with one name take turns,
// and must have the same options.
func (f *Feed) Subscription(name string, options *SubscriptionOptions) *Subscription {
	return &Subscription{f, name, options.withDefaults(f.options)}
}

// Name returns the name of the subscription.
func (s *Subscription) Name() string { return s.name }

// Run hands each change to the handler, from the checkpoint on, and saves the
// checkpoint as it goes. It creates the subscription if it is new.
//
// Any number of processes may run a subscription: one owns it, and the others
// stand by. If the owner is not heard of for [SubscriptionOptions.Standby],
// another process takes over. The earlier owner finds out by its next save, and
// its Run returns an error that matches [ErrReplaced]. Until then it may have
// handed over at most [SubscriptionOptions.Window] changes more, the first of
// them at most [SubscriptionOptions.SaveEvery] and one request earlier.
//
// When the context ends, no more changes are handed over. Handlers that are at
// work may end within [SubscriptionOptions.Grace]; after that their context ends,
// and Run waits for them to return. Then it saves the checkpoint and gives up the
// ownership, so that another process takes over at once. If this succeeds, Run
// returns nil.
//
// Its other errors end Run in the same way:
//   - [*HandlerError]: a change was not handled, see [SubscriptionOptions.Park];
//   - [ErrTooManyParked]: a change was not handled, and its aggregate could not be
//     parked;
//   - [ErrOtherHistory]: the feed does not have the position of the checkpoint,
//     which stays as it is: see [Subscription.Reset];
//   - the error of a request that failed for longer than Standby, or for good, such
//     as a [*ropewalk.CorruptError].
func (s *Subscription) Run(ctx context.Context, handler Handler) error {
	return s.run(ctx, 1, func(ctx context.Context, changes []Change) error {
		return handler(ctx, changes[0])
	})
}

// RunBatch is [Subscription.Run] for handlers of several changes: as many as have
// come while the last batch was handled, at most [SubscriptionOptions.Window].
// With [SubscriptionOptions.Parallel], the changes of a batch are of one aggregate.
func (s *Subscription) RunBatch(ctx context.Context, handler BatchHandler) error {
	return s.run(ctx, s.options.Window, handler)
}

// HandlerError says that a change was not handled, and that the subscription has
// stopped. The checkpoint is before the change.
type HandlerError struct {
	// Subscription is the name of the subscription.
	Subscription string
	// Ref is the changeset, or the last changeset of an aggregate that was erased.
	Ref ropewalk.Ref
	// Position is the place after the change.
	Position Position
	// Attempts is how often the change was handed over.
	Attempts int
	// Err is the last error of the handler, such as a [*PanicError].
	Err error
}

// Error names the change and the cause.
func (e *HandlerError) Error() string {
	return fmt.Sprintf("subscription %q stopped at %s, position %s, after %d attempts: %v", e.Subscription, e.Ref, e.Position, e.Attempts, e.Err)
}

// Unwrap returns the cause.
func (e *HandlerError) Unwrap() error { return e.Err }

// PanicError is the error of a handler that panicked.
type PanicError struct {
	// Value is the argument of panic.
	Value any
	// Stack is the stack of the handler, as [runtime/debug.Stack] formats it.
	Stack []byte
}

// Error returns the value, without the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("the handler panicked: %v", e.Value) }

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

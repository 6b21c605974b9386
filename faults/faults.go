// Package faults lets requests at the two interfaces go wrong by script: a request
// that never arrives, one that takes effect but whose reply is lost, one that
// takes effect long after its caller gave up, one that is refused, and so on.
//
// One [Script] is shared by the stores that it wraps:
//
//	var script faults.Script
//	store := ropewalk.New(script.Changesets(changesets), script.Heads(heads), nil)
//	script.Next(faults.Swap, faults.Fault{Kind: faults.Lost})
//	… // append, and check the outcome
//	require.Empty(t, script.Unused())
//
// A fault of [Swap] strikes whether the store puts and swaps in two steps or in
// one. A fault of [Put] never strikes a store that does it in one step:
// [Script.Unused] says so.
package faults

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"ropewalk/changeset"
	"ropewalk/head"
)

// ErrInjected is wrapped by every error that a script injects. Except for
// [Refused], the error of a swap is neither a *head.NotAppliedError nor a
// *head.ConflictError or *head.ConflictsError: it is unknown whether the swap was applied.
var ErrInjected = errors.New("injected fault")

// Op is an operation of one of the interfaces.
type Op int

// The operations that can go wrong. All others pass.
const (
	Put Op = iota + 1
	Get
	Stat
	Delete
	Load
	// Swap is a swap of the head, alone or as a part of a Commit.
	Swap
	// Commit puts and swaps in one step. It is a Swap, too.
	Commit
	// SwapAll swaps the heads of several aggregates in one step. It is no Swap. Its
	// reference is the first head's that is replaced.
	SwapAll
	// GetMany reads many changesets by one request.
	GetMany
	// Tags reads the next tag of a listing. The call that finds no further tag
	// counts, too. So it is with Entries, Hints and Scan.
	Tags
	// Entries reads the next page of a log, or the end of the log.
	Entries
	// Hints reads the next page of hints of a source.
	Hints
	// Scan reads the next object of a scan.
	Scan
)

// operations is the number of operations, and 1.
const operations = Scan + 1

// String returns the operation's name.
func (op Op) String() string {
	names := [...]string{Put: "put", Get: "get", Stat: "stat", Delete: "delete", Load: "load", Swap: "swap", Commit: "commit", SwapAll: "swap-all", GetMany: "get-many", Tags: "tags", Entries: "entries", Hints: "hints", Scan: "scan"}
	return names[op]
}

// Kind says what goes wrong.
type Kind int

const (
	// None lets the request pass; the fault's hooks and delays still count.
	None Kind = iota
	// Dropped requests never arrive at the store.
	Dropped
	// Lost requests take effect, but the reply, of any kind, is lost.
	Lost
	// Late requests fail at once and take effect later: when [Fault.LateBy] has
	// passed, right after the operation of [Fault.LateUntil], or else at
	// [Script.Release]. A late request of [Tags], [Entries], [Hints] or
	// [Scan] never arrives.
	Late
	// Refused requests are not applied, and their error says so: a
	// *head.NotAppliedError for swaps and commits, a plain error for the others.
	Refused
	// HangBefore requests never arrive, and fail when their context ends.
	HangBefore
	// HangAfter requests take effect, and fail when their context ends.
	HangAfter
)

// String returns the kind's name.
func (k Kind) String() string {
	names := [...]string{"none", "dropped", "lost", "late", "refused", "hang before", "hang after"}
	return names[k]
}

// Fault is what happens to one call. The zero Fault lets it pass.
type Fault struct {
	Kind Kind
	// Before and After, if not nil, run right before and right after the moment
	// at which the request reaches the store, or would have reached it. The
	// caller waits in the meantime, so that others can act at exactly that moment.
	// The After of a late request runs when it has taken effect.
	Before, After func()
	// Between, if not nil, lets a request of [SwapAll] take effect as a transaction of
	// DynamoDB does: it locks all its heads, tests all conditions, and then replaces and
	// unlocks one head after the other, in the order of the exchanges. Between runs before
	// each exchange except the first, with its place among the exchanges. Readers then find
	// some heads replaced and others not. Swaps of locked heads through the same script are
	// refused: a retryable *head.NotAppliedError, as is a step that meets a swap which is
	// under way.
	Between func(place int)
	// DelayBefore and DelayAfter pass on the request's way to the store and on
	// the reply's way back. A context that ends in the meantime ends the call.
	DelayBefore, DelayAfter time.Duration
	// LateBy is how long after the call a [Late] request takes effect.
	LateBy time.Duration
	// LateUntil is the operation after which a [Late] request takes effect:
	// right after the LateNth call of it from now on, before that call's own
	// caller gets its answer. LateNth 0 means the next call.
	LateUntil Op
	LateNth   int
	// Retryable is what a [Refused] swap or commit says of itself.
	Retryable bool
	// Err is a cause for the injected error to wrap, beside [ErrInjected].
	Err error
}

// Event is one thing that happened to a call. Events are logged in the order
// in which they happened.
type Event struct {
	Op Op
	// Call is the call's number among calls of the same operation, from 1.
	Call int
	Kind Kind
	// Ref is what the call was about: the changeset; for swaps and commits the
	// new head's changeset, for loads and reads of many the aggregate alone, and
	// for tags, logs and sources nothing.
	Ref changeset.Ref
	// Arrived says that the request reached the store; Err is then the store's
	// answer. Otherwise Err is the injected error that the caller got.
	Arrived bool
	Err     error
}

// String returns the event in one line.
func (e Event) String() string {
	what := "arrived"
	if !e.Arrived {
		what = "failed"
	}
	return fmt.Sprintf("%s %d (%s) %s %s: %v", e.Op, e.Call, e.Kind, e.Ref, what, e.Err)
}

// kind returns what goes wrong with a call. Nothing of a sequence can come later.
func (c call) kind() Kind {
	if c.op >= Tags && c.fault.Kind == Late {
		return Dropped
	}
	return c.fault.Kind
}

// request sends one request through the script to the inner store.
func request[T any](ctx context.Context, s *Script, op Op, ref changeset.Ref, inner func(context.Context) (T, error)) (T, error) {
	return requestAs(ctx, s, op, ref, func(ctx context.Context, _ Fault) (T, error) { return inner(ctx) })
}

// requestAs is request for an inner store that takes the fault into account.
func requestAs[T any](ctx context.Context, s *Script, op Op, ref changeset.Ref, inner func(context.Context, Fault) (T, error)) (T, error) {
	var none T
	if ctx.Err() != nil {
		return inner(ctx, Fault{}) // the store sends nothing then, so it is no call
	}
	c := s.begin(op, ref)
	defer s.releaseAfter(op)
	run(c.fault.Before)
	if err := sleep(ctx, c.fault.DelayBefore); err != nil {
		return none, s.fail(c, err)
	}
	switch c.kind() {
	case Late:
		later := context.WithoutCancel(ctx)
		s.postpone(c, func() {
			_, err := inner(later, c.fault)
			s.arrived(c, err)
			run(c.fault.After)
		})
		return none, s.fail(c, nil)
	case Dropped, Refused:
		run(c.fault.After)
		return none, s.fail(c, nil)
	case HangBefore:
		run(c.fault.After)
		<-ctx.Done()
		return none, s.fail(c, ctx.Err())
	}
	v, err := inner(ctx, c.fault)
	s.arrived(c, err)
	run(c.fault.After)
	if err := sleep(ctx, c.fault.DelayAfter); err != nil {
		return none, s.fail(c, err)
	}
	switch c.fault.Kind {
	case Lost:
		return none, s.fail(c, nil)
	case HangAfter:
		<-ctx.Done()
		return none, s.fail(c, ctx.Err())
	}
	return v, err
}

// sequence sends a request for each item of a sequence, and one that finds its end.
func sequence[T any](ctx context.Context, s *Script, op Op, inner iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		next, stop := iter.Pull2(inner)
		defer stop()
		for {
			more := true
			item, err := request(ctx, s, op, changeset.Ref{}, func(context.Context) (item T, err error) {
				item, err, more = next()
				return item, err
			})
			if ended := err == nil && !more; ended || !yield(item, err) || err != nil {
				return
			}
		}
	}
}

// injected returns the error that the caller of c gets.
func (c call) injected(cause error) error {
	of := ""
	if c.ref != (changeset.Ref{}) {
		of = " of " + c.ref.String()
	}
	err := fmt.Errorf("%w: %s %d%s is %s", ErrInjected, c.op, c.number, of, c.fault.Kind)
	for _, cause := range []error{c.fault.Err, cause} {
		if cause != nil {
			err = fmt.Errorf("%w: %w", err, cause)
		}
	}
	if c.fault.Kind == Refused && cause == nil && (c.op == Swap || c.op == Commit || c.op == SwapAll) {
		return &head.NotAppliedError{Retryable: c.fault.Retryable, Err: err}
	}
	return err
}

func run(hook func()) {
	if hook != nil {
		hook()
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

package ropewalk

import (
	"context"
	"errors"

	"ropewalk/changeset"
	"ropewalk/internal/reserved"
)

// Observer sees the operations of a [Store], and of the packages that are built on it, as
// they begin and end. Its methods are called by the goroutines of the operations, many at
// the same time. An operation waits for them, so they should only take notes: a slow
// observer makes operations slow. A panic of an observer is a panic of the operation.
// Package ropewalk/observe/otelropewalk has one for OpenTelemetry.
type Observer interface {
	// Start must return a context for the operation, which is the given one or is made
	// from it, and a function. The function is called exactly once, when the operation has
	// ended: with an error, by a break of the loop over a sequence, or by a panic too.
	Start(ctx context.Context, o Operation) (context.Context, func(Result))
}

// OperationName names what a store does. The names never change.
type OperationName string

// The operations. The library's own chains, such as feeds, are not observed by themselves:
// the requests that they take are a part of the operation that needs them.
const (
	// OperationAppend is one call of [Chain.Append], [Chain.Create] or [Appender.Append].
	OperationAppend OperationName = "append"
	// OperationCommit is one call of [Store.Commit].
	OperationCommit OperationName = "commit"
	// OperationUpdate is one call of [Chain.Update] or [Store.UpdateAll]. The appends and
	// commits that it tries are operations of their own, within it.
	OperationUpdate OperationName = "update"
	// OperationSettle is one call of [Chain.Settle].
	OperationSettle OperationName = "settle"
	// OperationRead is one loop over a sequence of a [Reader], or one call of [Reader.At].
	OperationRead OperationName = "read"
	// OperationRelay is the append of one batch to a feed.
	OperationRelay OperationName = "relay"
	// OperationHandle is one call of the handler of a subscription.
	OperationHandle OperationName = "handle"
	// OperationCollect is the collection of one aggregate by package gc.
	OperationCollect OperationName = "collect"
)

// Operation is what an [Observer] learns when an operation begins. The observer must not change it.
type Operation struct {
	// Name says what is done.
	Name OperationName
	// AggregateID is the aggregate's; empty if there are several, or none.
	AggregateID string
	// Subscription is the name of the subscription whose handler is called, with its share.
	Subscription string
	// Attempt counts the calls of a handler with the same change, from 1; otherwise 0.
	Attempt int
	// Changes are the changesets that are handed to a handler. For an erasure it has a
	// reference alone.
	Changes []changeset.Changeset
}

// Result is what an [Observer] learns when an operation has ended.
type Result struct {
	// Count is how many changesets were to be committed or were read, advances were to be
	// relayed, changes were handed over, or orphans were found that no swap can commit any
	// longer; 0 for an update and for a settlement. Err says whether it was done.
	Count int
	// Err is what the operation returns, with the outcome of an append.
	Err error
}

// Start begins an operation for the observer, if there is one. It is for packages that are
// built on this one.
func (o Options) Start(ctx context.Context, operation Operation) (context.Context, func(Result)) {
	if o.Observer == nil {
		return ctx, unobserved
	}
	return o.Observer.Start(ctx, operation)
}

func unobserved(Result) {}

// start begins an operation, unless it concerns a chain of the library's own.
func (s *Store) start(ctx context.Context, name OperationName, aggregateID string) (context.Context, func(Result)) {
	if s.options.Observer == nil || reserved.Is(aggregateID) {
		return ctx, unobserved
	}
	return s.options.Observer.Start(ctx, Operation{Name: name, AggregateID: aggregateID})
}

// errUnfinished is the error of an operation that a panic has ended.
var errUnfinished = errors.New("the operation has panicked")

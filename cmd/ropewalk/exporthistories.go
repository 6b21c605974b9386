package main

import (
	"context"
	"iter"
	"sync"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/headlist"
)

// Export reads some chains ahead. Each has a smaller window than a reader has by
// default.
const (
	exportChains      = 16
	exportWindow      = 64
	exportWindowBytes = 8 << 20
)

// chainHeads yields the heads of the given aggregates, or of all aggregates that exist
// and are not hidden. The fault of a given aggregate may be any error.
func chainHeads(ctx context.Context, s *store, ids []string, internal bool) iter.Seq2[headlist.Entry, error] {
	return func(yield func(headlist.Entry, error) bool) {
		for _, id := range ids {
			h, err := s.Chain(id).Head(ctx)
			if !yield(headlist.Entry{AggregateID: id, Head: h, Fault: err}, nil) {
				return
			}
		}
		if len(ids) > 0 {
			return
		}
		for e, err := range headlist.All(ctx, s.heads, "") {
			if skip := err == nil && (e.Head.State == head.Erased || e.Head.State == head.Void || hidden(e.AggregateID, internal)); !skip && !yield(e, err) {
				return
			}
		}
	}
}

// reply is a changeset, or the error that ends the history of its aggregate.
// Without an aggregate, it is the error that ends the export.
type reply struct {
	aggregateID string
	changeset   changeset.Changeset
	err         error
}

// histories yields the whole history of each head, one after another. It reads the
// next chains ahead, and leaves nothing running. If the context ends, the last
// reply has its error.
func histories(ctx context.Context, s *store, all iter.Seq2[headlist.Entry, error]) iter.Seq[reply] {
	return func(yield func(reply) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		queue := make(chan chan reply, exportChains)
		running.Go(func() {
			defer close(queue)
			for e, err := range all {
				out := make(chan reply, 1)
				if !send(ctx, queue, out) {
					return
				}
				running.Go(func() { s.readAhead(ctx, e, err, out) })
			}
		})
		for out := range queue {
			for r := range out {
				if ctx.Err() == nil && !yield(r) {
					return
				}
			}
		}
		if err := ctx.Err(); err != nil {
			yield(reply{err: err})
		}
	}
}

// readAhead sends the history of a head, or an error.
func (s *store) readAhead(ctx context.Context, e headlist.Entry, err error, out chan<- reply) {
	defer close(out)
	if err == nil {
		err = e.Fault
	}
	if err != nil {
		send(ctx, out, reply{aggregateID: e.AggregateID, err: err})
		return
	}
	for c, err := range s.Chain(e.AggregateID).ReaderAt(e.Head).All(ctx) {
		if !send(ctx, out, reply{e.AggregateID, c, err}) || err != nil {
			return
		}
	}
}

// send reports false if the context ends first.
func send[T any](ctx context.Context, to chan<- T, item T) bool {
	select {
	case to <- item:
		return true
	case <-ctx.Done():
		return false
	}
}

package faults

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"slices"

	"ropewalk/changeset"
	"ropewalk/head"
)

// Changesets returns the store under the script. The result is also a
// [changeset.Lister], [changeset.Deleter] and [changeset.Locator]; where the
// inner store is not, it answers with errors.ErrUnsupported, and no location.
// Listings always pass. It is no [changeset.ManyGetter], so that each changeset
// is read by a Get of its own, to which a fault can happen.
func (s *Script) Changesets(inner changeset.Store) changeset.Store { return changesets{s, inner} }

// Heads returns the store under the script. The result is a [head.Combined]
// where the inner store is one; it holds the changesets that the same script
// wraps around a store which the inner one holds. It is a [head.Refresher] and a
// [head.Locator] too: it loads, and has no location, where the inner store is
// not. Listings always pass.
func (s *Script) Heads(inner head.Store) head.Store {
	if c, ok := inner.(head.Combined); ok {
		return combined{heads{s, inner}, c}
	}
	return heads{s, inner}
}

// TwoSteps hides that a store is a [head.Combined], so that a writer puts and
// swaps in two steps.
func TwoSteps(inner head.Store) head.Store { return twoSteps{inner} }

type twoSteps struct{ head.Store }

func (s twoSteps) Refresh(ctx context.Context, seen head.Head) (head.Head, error) {
	return refresh(ctx, s.Store, seen)
}

func (s twoSteps) LocateHead(aggregateID string) string { return locateHead(s.Store, aggregateID) }

type changesets struct {
	script *Script
	inner  changeset.Store
}

func (s changesets) Put(ctx context.Context, c changeset.Changeset) error {
	c.Body = bytes.Clone(c.Body) // what is under way changes no more, however late it arrives
	_, err := request(ctx, s.script, Put, c.Ref, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.inner.Put(ctx, c)
	})
	return err
}

func (s changesets) Get(ctx context.Context, ref changeset.Ref) (changeset.Changeset, error) {
	return request(ctx, s.script, Get, ref, func(ctx context.Context) (changeset.Changeset, error) {
		return s.inner.Get(ctx, ref)
	})
}

func (s changesets) Stat(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
	return request(ctx, s.script, Stat, ref, func(ctx context.Context) (changeset.Info, error) {
		return s.inner.Stat(ctx, ref)
	})
}

func (s changesets) Delete(ctx context.Context, ref changeset.Ref) error {
	deleter, ok := s.inner.(changeset.Deleter)
	if !ok {
		return errors.ErrUnsupported
	}
	_, err := request(ctx, s.script, Delete, ref, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, deleter.Delete(ctx, ref)
	})
	return err
}

func (s changesets) Objects(ctx context.Context, aggregateID string) iter.Seq2[changeset.Object, error] {
	if lister, ok := s.inner.(changeset.Lister); ok {
		return lister.Objects(ctx, aggregateID)
	}
	return unsupported[changeset.Object]
}

func (s changesets) Aggregates(ctx context.Context, after string) iter.Seq2[string, error] {
	if lister, ok := s.inner.(changeset.Lister); ok {
		return lister.Aggregates(ctx, after)
	}
	return unsupported[string]
}

func unsupported[T any](yield func(T, error) bool) {
	var none T
	yield(none, errors.ErrUnsupported)
}

func (s changesets) Locate(ref changeset.Ref) string {
	if locator, ok := s.inner.(changeset.Locator); ok {
		return locator.Locate(ref)
	}
	return ""
}

type heads struct {
	script *Script
	inner  head.Store
}

func (s heads) Load(ctx context.Context, aggregateID string) (head.Head, error) {
	ref := changeset.Ref{AggregateID: aggregateID}
	return request(ctx, s.script, Load, ref, func(ctx context.Context) (head.Head, error) {
		return s.inner.Load(ctx, aggregateID)
	})
}

// Refresh is a Load to the script. It loads where the inner store cannot refresh.
func (s heads) Refresh(ctx context.Context, seen head.Head) (head.Head, error) {
	ref := changeset.Ref{AggregateID: seen.AggregateID}
	return request(ctx, s.script, Load, ref, func(ctx context.Context) (head.Head, error) {
		return refresh(ctx, s.inner, seen)
	})
}

func refresh(ctx context.Context, inner head.Store, seen head.Head) (head.Head, error) {
	if refresher, ok := inner.(head.Refresher); ok {
		return refresher.Refresh(ctx, seen)
	}
	return inner.Load(ctx, seen.AggregateID)
}

func (s heads) Swap(ctx context.Context, old, next head.Head) (head.Head, error) {
	if err := head.CheckSwap(old, next); err != nil {
		return head.Head{}, err // stores send nothing then
	}
	return request(ctx, s.script, Swap, next.Ref, func(ctx context.Context) (head.Head, error) {
		return s.inner.Swap(ctx, old, next)
	})
}

func (s heads) List(ctx context.Context, cursor string) iter.Seq2[head.Head, error] {
	return s.inner.List(ctx, cursor)
}

func (s heads) LocateHead(aggregateID string) string { return locateHead(s.inner, aggregateID) }

func locateHead(inner head.Store, aggregateID string) string {
	if locator, ok := inner.(head.Locator); ok {
		return locator.LocateHead(aggregateID)
	}
	return ""
}

type combined struct {
	heads
	inner head.Combined
}

func (s combined) Commit(ctx context.Context, cs []changeset.Changeset, old, next head.Head) (head.Head, error) {
	if err := head.CheckSwap(old, next); err != nil {
		return head.Head{}, err
	}
	cs = slices.Clone(cs)
	for i := range cs {
		cs[i].Body = bytes.Clone(cs[i].Body)
	}
	return request(ctx, s.script, Commit, next.Ref, func(ctx context.Context) (head.Head, error) {
		return s.inner.Commit(ctx, cs, old, next)
	})
}

func (s combined) Holds(store changeset.Store) bool {
	own, ok := store.(changesets)
	return ok && own.script == s.script && s.inner.Holds(own.inner)
}

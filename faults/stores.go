package faults

import (
	"bytes"
	"context"
	"iter"
	"slices"

	"ropewalk/changeset"
	"ropewalk/head"
)

// Changesets returns a [changeset.Decorator] of the store, under the script.
// Listings always pass. Wrap the heads as well: a commit in one step does not go
// through the store of changesets.
func (s *Script) Changesets(inner changeset.Store) changeset.Store {
	return changesets{changeset.NewPassThrough(inner), s}
}

// Heads returns a [head.Decorator] of the store, under the script. If the store
// is a [head.Combined], the result holds the changesets that the same script
// wraps around a store that the inner store holds. [head.Store.List] always passes.
func (s *Script) Heads(inner head.Store) head.Store {
	return heads{head.NewPassThrough(inner), s}
}

// TwoSteps returns a [head.Decorator] of the store that holds no changesets, so
// that a writer puts and swaps in two steps even if the store is a
// [head.Combined].
func TwoSteps(inner head.Store) head.Store { return twoSteps{head.NewPassThrough(inner)} }

type twoSteps struct{ head.PassThrough }

func (twoSteps) Holds(changeset.Store) bool { return false }

type changesets struct {
	changeset.PassThrough
	script *Script
}

func (s changesets) Put(ctx context.Context, c changeset.Changeset) error {
	c.Body = bytes.Clone(c.Body) // what is under way changes no more, however late it arrives
	_, err := request(ctx, s.script, Put, c.Ref, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.PassThrough.Put(ctx, c)
	})
	return err
}

func (s changesets) Get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	return request(ctx, s.script, Get, ref, func(ctx context.Context) (changeset.Changeset, error) {
		return s.PassThrough.Get(ctx, ref, admission)
	})
}

func (s changesets) Stat(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
	return request(ctx, s.script, Stat, ref, func(ctx context.Context) (changeset.Info, error) {
		return s.PassThrough.Stat(ctx, ref)
	})
}

func (s changesets) GetMany(ctx context.Context, refs []changeset.Ref, admission changeset.Admission) ([]changeset.Changeset, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	ref := changeset.Ref{AggregateID: refs[0].AggregateID}
	return request(ctx, s.script, GetMany, ref, func(ctx context.Context) ([]changeset.Changeset, error) {
		return s.PassThrough.GetMany(ctx, refs, admission)
	})
}

func (s changesets) Scan(ctx context.Context, aggregateIDs []string, admission changeset.Admission) iter.Seq2[changeset.Scanned, error] {
	inner := s.PassThrough.Scan(ctx, aggregateIDs, admission)
	if len(aggregateIDs) == 0 {
		return inner // stores send nothing then
	}
	return sequence(ctx, s.script, Scan, inner)
}

func (s changesets) Delete(ctx context.Context, ref changeset.Ref) error {
	_, err := request(ctx, s.script, Delete, ref, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.PassThrough.Delete(ctx, ref)
	})
	return err
}

type heads struct {
	head.PassThrough
	script *Script
}

func (s heads) Load(ctx context.Context, aggregateID string) (head.Head, error) {
	ref := changeset.Ref{AggregateID: aggregateID}
	return request(ctx, s.script, Load, ref, func(ctx context.Context) (head.Head, error) {
		return s.PassThrough.Load(ctx, aggregateID)
	})
}

// Refresh is a Load to the script.
func (s heads) Refresh(ctx context.Context, seen head.Head) (head.Head, error) {
	ref := changeset.Ref{AggregateID: seen.AggregateID}
	return request(ctx, s.script, Load, ref, func(ctx context.Context) (head.Head, error) {
		return s.PassThrough.Refresh(ctx, seen)
	})
}

func (s heads) Swap(ctx context.Context, old, next head.Head) (head.Head, error) {
	if err := head.CheckSwap(old, next); err != nil {
		return head.Head{}, err // stores send nothing then
	}
	return request(ctx, s.script, Swap, next.Ref, func(ctx context.Context) (head.Head, error) {
		done, err := s.script.write(next.AggregateID)
		if err != nil {
			return head.Head{}, err
		}
		defer done()
		return s.PassThrough.Swap(ctx, old, next)
	})
}

func (s heads) Tags(ctx context.Context, after string) iter.Seq2[head.Tag, error] {
	return sequence(ctx, s.script, Tags, s.PassThrough.Tags(ctx, after))
}

func (s heads) Entries(ctx context.Context, from head.LogPosition, follow bool) iter.Seq2[[]head.LogEntry, error] {
	return sequence(ctx, s.script, Entries, s.PassThrough.Entries(ctx, from, follow))
}

// LogEnd is a call of Entries to the script.
func (s heads) LogEnd(ctx context.Context) (head.LogPosition, error) {
	return request(ctx, s.script, Entries, changeset.Ref{}, s.PassThrough.LogEnd)
}

func (s heads) Hints(ctx context.Context, cursor []byte) iter.Seq2[head.Hints, error] {
	return sequence(ctx, s.script, Hints, s.PassThrough.Hints(ctx, cursor))
}

func (s heads) Commit(ctx context.Context, cs []changeset.Changeset, old, next head.Head) (head.Head, error) {
	if err := head.CheckSwap(old, next); err != nil {
		return head.Head{}, err
	}
	cs = cloned(cs)
	return request(ctx, s.script, Commit, next.Ref, func(ctx context.Context) (head.Head, error) {
		done, err := s.script.write(next.AggregateID)
		if err != nil {
			return head.Head{}, err
		}
		defer done()
		return s.PassThrough.Commit(ctx, cs, old, next)
	})
}

func (s heads) SwapAll(ctx context.Context, exchanges []head.Exchange) ([]head.Head, error) {
	if err := head.CheckExchanges(exchanges, s.Members()); err != nil {
		return nil, err
	}
	exchanges = slices.Clone(exchanges)
	var first changeset.Ref
	for i, e := range slices.Backward(exchanges) {
		exchanges[i].Changesets = cloned(e.Changesets)
		if !e.Next.IsZero() {
			first = e.Next.Ref
		}
	}
	return requestAs(ctx, s.script, SwapAll, first, func(ctx context.Context, f Fault) ([]head.Head, error) {
		return s.swapAll(ctx, exchanges, f.Between)
	})
}

// cloned returns changesets whose bodies change no more.
func cloned(cs []changeset.Changeset) []changeset.Changeset {
	cs = slices.Clone(cs)
	for i := range cs {
		cs[i].Body = bytes.Clone(cs[i].Body)
	}
	return cs
}

func (s heads) Holds(store changeset.Store) bool {
	own, ok := store.(changesets)
	return ok && own.script == s.script && s.PassThrough.Holds(own.Unwrap())
}

package backendtest

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
)

// broken is a handle on a memstore, some of whose methods are replaced.
type broken struct {
	*memstore.Store
	shared *shared

	put        func(ctx context.Context, c changeset.Changeset) error
	get        func(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error)
	getMany    func(ctx context.Context, refs []changeset.Ref, admission changeset.Admission) ([]changeset.Changeset, error)
	getRange   getRange
	rangesOf   func(b *broken, s changeset.Store) bool
	stat       func(ctx context.Context, ref changeset.Ref) (changeset.Info, error)
	objects    func(ctx context.Context, aggregateID string) iter.Seq2[changeset.Object, error]
	aggregates func(ctx context.Context, after string) iter.Seq2[string, error]
	scan       func(ctx context.Context, aggregateIDs []string, admission changeset.Admission) iter.Seq2[changeset.Scanned, error]
	remove     func(ctx context.Context, ref changeset.Ref) error
	locate     func(ref changeset.Ref) string
	load       func(ctx context.Context, aggregateID string) (head.Head, error)
	refresh    func(ctx context.Context, seen head.Head) (head.Head, error)
	swap       func(ctx context.Context, old, next head.Head) (head.Head, error)
	list       func(ctx context.Context, cursor string) iter.Seq2[head.Head, error]
	tags       func(ctx context.Context, after string) iter.Seq2[head.Tag, error]
	commit     func(ctx context.Context, cs []changeset.Changeset, old, next head.Head) (head.Head, error)
	swapAll    func(ctx context.Context, exchanges []head.Exchange) ([]head.Head, error)
	holds      func(changesets changeset.Store) bool
	locateHead func(aggregateID string) string
	entries    func(ctx context.Context, from head.LogPosition, follow bool) iter.Seq2[[]head.LogEntry, error]
	logEnd     func(ctx context.Context) (head.LogPosition, error)
}

// shared is what all handles of one storage have in common.
type shared struct {
	gets, puts atomic.Int64
	kept       sync.Map
}

// newBroken returns a handle with nothing broken yet.
func newBroken(s *memstore.Store, all *shared) *broken {
	return &broken{
		s, all,
		s.Put, s.Get, many(s), rangeOf(s), isItself, s.Stat, s.Objects, s.Aggregates, s.Scan, s.Delete, s.Locate,
		s.Load, refresh(s), s.Swap, s.List, s.Tags, s.Commit, s.SwapAll, holds(s), s.LocateHead, s.Entries, s.LogEnd,
	}
}

// many is a GetMany that reads one by one.
func many(s changeset.Store) func(context.Context, []changeset.Ref, changeset.Admission) ([]changeset.Changeset, error) {
	return func(ctx context.Context, refs []changeset.Ref, admission changeset.Admission) (all []changeset.Changeset, _ error) {
		for _, ref := range refs {
			if c, err := s.Get(ctx, ref, admission); err == nil {
				all = append(all, c)
			}
		}
		if len(refs) > 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return all, nil
	}
}

func isItself(b *broken, s changeset.Store) bool { return s == changeset.Store(b) }

// refresh is a Refresh that loads.
func refresh(s head.Store) func(context.Context, head.Head) (head.Head, error) {
	return func(ctx context.Context, seen head.Head) (head.Head, error) {
		return s.Load(ctx, seen.AggregateID)
	}
}

func holds(s *memstore.Store) func(changeset.Store) bool {
	return func(changesets changeset.Store) bool {
		other, ok := changesets.(*broken)
		return ok && other.Store == s
	}
}

func (b *broken) Put(ctx context.Context, c changeset.Changeset) error { return b.put(ctx, c) }

func (b *broken) Get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	return b.get(ctx, ref, admission)
}

func (b *broken) GetMany(ctx context.Context, refs []changeset.Ref, admission changeset.Admission) ([]changeset.Changeset, error) {
	return b.getMany(ctx, refs, admission)
}

func (b *broken) GetRange(ctx context.Context, aggregateID string, first, last uint64, admission changeset.Admission) ([]changeset.Changeset, error) {
	return b.getRange(ctx, aggregateID, first, last, admission)
}

func (b *broken) GetsRangesOf(s changeset.Store) bool { return b.rangesOf(b, s) }

func (b *broken) Stat(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
	return b.stat(ctx, ref)
}

func (b *broken) Objects(ctx context.Context, aggregateID string) iter.Seq2[changeset.Object, error] {
	return b.objects(ctx, aggregateID)
}

func (b *broken) Aggregates(ctx context.Context, after string) iter.Seq2[string, error] {
	return b.aggregates(ctx, after)
}

func (b *broken) Scan(ctx context.Context, aggregateIDs []string, admission changeset.Admission) iter.Seq2[changeset.Scanned, error] {
	return b.scan(ctx, aggregateIDs, admission)
}

func (b *broken) Delete(ctx context.Context, ref changeset.Ref) error { return b.remove(ctx, ref) }

func (b *broken) Locate(ref changeset.Ref) string { return b.locate(ref) }

func (b *broken) Load(ctx context.Context, aggregateID string) (head.Head, error) {
	return b.load(ctx, aggregateID)
}

func (b *broken) Refresh(ctx context.Context, seen head.Head) (head.Head, error) {
	return b.refresh(ctx, seen)
}

func (b *broken) Swap(ctx context.Context, old, next head.Head) (head.Head, error) {
	return b.swap(ctx, old, next)
}

func (b *broken) List(ctx context.Context, cursor string) iter.Seq2[head.Head, error] {
	return b.list(ctx, cursor)
}

func (b *broken) Tags(ctx context.Context, after string) iter.Seq2[head.Tag, error] {
	return b.tags(ctx, after)
}

func (b *broken) Commit(ctx context.Context, cs []changeset.Changeset, old, next head.Head) (head.Head, error) {
	return b.commit(ctx, cs, old, next)
}

func (b *broken) SwapAll(ctx context.Context, exchanges []head.Exchange) ([]head.Head, error) {
	return b.swapAll(ctx, exchanges)
}

func (b *broken) Holds(changesets changeset.Store) bool { return b.holds(changesets) }

func (b *broken) Entries(ctx context.Context, from head.LogPosition, follow bool) iter.Seq2[[]head.LogEntry, error] {
	return b.entries(ctx, from, follow)
}

func (b *broken) LogEnd(ctx context.Context) (head.LogPosition, error) { return b.logEnd(ctx) }

func (b *broken) LocateHead(aggregateID string) string { return b.locateHead(aggregateID) }

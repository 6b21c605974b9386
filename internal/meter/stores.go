package meter

import (
	"context"
	"iter"

	"ropewalk/changeset"
	"ropewalk/head"
)

type changesets struct {
	changeset.PassThrough
	m *Meter
}

func (s changesets) Put(ctx context.Context, c changeset.Changeset) error {
	if err := s.m.request(ctx, put); err != nil {
		return err
	}
	return s.PassThrough.Put(ctx, c)
}

func (s changesets) Get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	if err := s.m.request(ctx, get); err != nil {
		return changeset.Changeset{}, err
	}
	return s.PassThrough.Get(ctx, ref, admission)
}

func (s changesets) GetMany(ctx context.Context, refs []changeset.Ref, admission changeset.Admission) ([]changeset.Changeset, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	if err := s.m.request(ctx, getMany); err != nil {
		return nil, err
	}
	return s.PassThrough.GetMany(ctx, refs, admission)
}

func (s changesets) Stat(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
	if err := s.m.request(ctx, stat); err != nil {
		return changeset.Info{}, err
	}
	return s.PassThrough.Stat(ctx, ref)
}

func (s changesets) Objects(ctx context.Context, aggregateID string) iter.Seq2[changeset.Object, error] {
	return listing(ctx, s.m, s.PassThrough.Objects(ctx, aggregateID))
}

func (s changesets) Scan(ctx context.Context, aggregateIDs []string, admission changeset.Admission) iter.Seq2[changeset.Scanned, error] {
	inner := s.PassThrough.Scan(ctx, aggregateIDs, admission)
	if len(aggregateIDs) == 0 {
		return inner // stores send nothing then
	}
	return listing(ctx, s.m, inner)
}

func (s changesets) Aggregates(ctx context.Context, after string) iter.Seq2[string, error] {
	return listing(ctx, s.m, s.PassThrough.Aggregates(ctx, after))
}

func (s changesets) Delete(ctx context.Context, ref changeset.Ref) error {
	if err := s.m.request(ctx, del); err != nil {
		return err
	}
	return s.PassThrough.Delete(ctx, ref)
}

type heads struct {
	head.PassThrough
	m *Meter
}

func (s heads) Load(ctx context.Context, aggregateID string) (head.Head, error) {
	if err := s.m.request(ctx, load); err != nil {
		return head.Head{}, err
	}
	return s.PassThrough.Load(ctx, aggregateID)
}

// Refresh counts as a load.
func (s heads) Refresh(ctx context.Context, seen head.Head) (head.Head, error) {
	if err := s.m.request(ctx, load); err != nil {
		return head.Head{}, err
	}
	return s.PassThrough.Refresh(ctx, seen)
}

func (s heads) Swap(ctx context.Context, old, next head.Head) (head.Head, error) {
	if err := head.CheckSwap(old, next); err != nil {
		return head.Head{}, err // stores send nothing then
	}
	if err := s.m.request(ctx, swap); err != nil {
		return head.Head{}, err
	}
	return s.PassThrough.Swap(ctx, old, next)
}

func (s heads) List(ctx context.Context, cursor string) iter.Seq2[head.Head, error] {
	return listing(ctx, s.m, s.PassThrough.List(ctx, cursor))
}

func (s heads) Tags(ctx context.Context, after string) iter.Seq2[head.Tag, error] {
	return listing(ctx, s.m, s.PassThrough.Tags(ctx, after))
}

func (s heads) Entries(ctx context.Context, from head.LogPosition, follow bool) iter.Seq2[[]head.LogEntry, error] {
	return pages(ctx, s.m, log, s.PassThrough.Entries(ctx, from, follow))
}

func (s heads) LogEnd(ctx context.Context) (head.LogPosition, error) {
	if err := s.m.request(ctx, log); err != nil {
		return head.LogPosition{}, err
	}
	return s.PassThrough.LogEnd(ctx)
}

func (s heads) Hints(ctx context.Context, cursor []byte) iter.Seq2[head.Hints, error] {
	return pages(ctx, s.m, hints, s.PassThrough.Hints(ctx, cursor))
}

func (s heads) Commit(ctx context.Context, cs []changeset.Changeset, old, next head.Head) (head.Head, error) {
	if err := head.CheckSwap(old, next); err != nil {
		return head.Head{}, err
	}
	if err := s.m.request(ctx, commit); err != nil {
		return head.Head{}, err
	}
	return s.PassThrough.Commit(ctx, cs, old, next)
}

func (s heads) SwapAll(ctx context.Context, exchanges []head.Exchange) ([]head.Head, error) {
	if err := head.CheckExchanges(exchanges, s.Members()); err != nil {
		return nil, err
	}
	if err := s.m.request(ctx, swapAll); err != nil {
		return nil, err
	}
	return s.PassThrough.SwapAll(ctx, exchanges)
}

func (s heads) Holds(store changeset.Store) bool {
	own, ok := store.(changesets)
	return ok && own.m == s.m && s.PassThrough.Holds(own.Unwrap())
}

// listing makes one request each time that it is ranged over.
func listing[T any](ctx context.Context, m *Meter, inner iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if err := m.request(ctx, list); err != nil {
			fail[T](err)(yield)
			return
		}
		inner(yield)
	}
}

// pages is a sequence in which each page is a request.
func pages[T any](ctx context.Context, m *Meter, op operation, inner iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if err := m.request(ctx, op); err != nil {
			fail[T](err)(yield)
			return
		}
		for page, err := range inner {
			if !yield(page, err) || err != nil {
				return
			}
			if err := m.request(ctx, op); err != nil {
				fail[T](err)(yield)
				return
			}
		}
	}
}

func fail[T any](err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		yield(none, err)
	}
}

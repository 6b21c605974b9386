package meter

import (
	"context"
	"errors"
	"iter"

	"ropewalk/changeset"
	"ropewalk/head"
)

type changesets struct {
	m     *Meter
	inner changeset.Store
}

func (s changesets) Put(ctx context.Context, c changeset.Changeset) error {
	if err := s.m.request(ctx, put); err != nil {
		return err
	}
	return s.inner.Put(ctx, c)
}

func (s changesets) Get(ctx context.Context, ref changeset.Ref) (changeset.Changeset, error) {
	if err := s.m.request(ctx, get); err != nil {
		return changeset.Changeset{}, err
	}
	return s.inner.Get(ctx, ref)
}

func (s changesets) GetMany(ctx context.Context, refs []changeset.Ref) ([]changeset.Changeset, error) {
	many, ok := changeset.Many(s.inner)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	if len(refs) == 0 {
		return nil, nil
	}
	if err := s.m.request(ctx, getMany); err != nil {
		return nil, err
	}
	return many.GetMany(ctx, refs)
}

func (s changesets) Stat(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
	if err := s.m.request(ctx, stat); err != nil {
		return changeset.Info{}, err
	}
	return s.inner.Stat(ctx, ref)
}

func (s changesets) Objects(ctx context.Context, aggregateID string) iter.Seq2[changeset.Object, error] {
	lister, ok := s.inner.(changeset.Lister)
	if !ok {
		return fail[changeset.Object](errors.ErrUnsupported)
	}
	return listing(ctx, s.m, lister.Objects(ctx, aggregateID))
}

func (s changesets) Aggregates(ctx context.Context, after string) iter.Seq2[string, error] {
	lister, ok := s.inner.(changeset.Lister)
	if !ok {
		return fail[string](errors.ErrUnsupported)
	}
	return listing(ctx, s.m, lister.Aggregates(ctx, after))
}

func (s changesets) Delete(ctx context.Context, ref changeset.Ref) error {
	deleter, ok := s.inner.(changeset.Deleter)
	if !ok {
		return errors.ErrUnsupported
	}
	if err := s.m.request(ctx, del); err != nil {
		return err
	}
	return deleter.Delete(ctx, ref)
}

func (s changesets) Locate(ref changeset.Ref) string {
	if locator, ok := s.inner.(changeset.Locator); ok {
		return locator.Locate(ref)
	}
	return ""
}

type heads struct {
	m     *Meter
	inner head.Store
}

func (s heads) Load(ctx context.Context, aggregateID string) (head.Head, error) {
	if err := s.m.request(ctx, load); err != nil {
		return head.Head{}, err
	}
	return s.inner.Load(ctx, aggregateID)
}

// Refresh counts as a load. It loads where the inner store cannot refresh.
func (s heads) Refresh(ctx context.Context, seen head.Head) (head.Head, error) {
	refresher, ok := s.inner.(head.Refresher)
	if !ok {
		return s.Load(ctx, seen.AggregateID)
	}
	if err := s.m.request(ctx, load); err != nil {
		return head.Head{}, err
	}
	return refresher.Refresh(ctx, seen)
}

func (s heads) Swap(ctx context.Context, old, next head.Head) (head.Head, error) {
	if err := head.CheckSwap(old, next); err != nil {
		return head.Head{}, err // stores send nothing then
	}
	if err := s.m.request(ctx, swap); err != nil {
		return head.Head{}, err
	}
	return s.inner.Swap(ctx, old, next)
}

func (s heads) List(ctx context.Context, cursor string) iter.Seq2[head.Head, error] {
	return listing(ctx, s.m, s.inner.List(ctx, cursor))
}

func (s heads) LocateHead(aggregateID string) string {
	if locator, ok := s.inner.(head.Locator); ok {
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
	if err := s.m.request(ctx, commit); err != nil {
		return head.Head{}, err
	}
	return s.inner.Commit(ctx, cs, old, next)
}

func (s combined) Holds(store changeset.Store) bool {
	own, ok := store.(changesets)
	return ok && own.m == s.m && s.inner.Holds(own.inner)
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

func fail[T any](err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		yield(none, err)
	}
}

package aggregate

import (
	"context"
	"errors"
	"sync"

	"ropewalk"

	"ropewalk/changeset"
	"ropewalk/head"
)

// earlierTries is how many snapshots before the newest one are looked for, all
// at once, where that cannot be used.
const earlierTries = 2

// reading is a snapshot on its way.
type reading[S any] struct {
	base Loaded[S]
	err  error
}

// fromNewest loads the aggregate at h from the newest snapshot, which is read
// at the same time as the changesets after it. If the snapshot cannot be used,
// it returns an aggregate without a head, and the version at which a snapshot
// is missing.
func (r *Repository[S, E]) fromNewest(ctx context.Context, h head.Head, due uint64) (l Loaded[S], missing uint64, err error) {
	inner, cancel := context.WithCancel(ctx)
	replies := make(chan reading[S], 1)
	var running sync.WaitGroup
	running.Go(func() {
		base, err := r.readSnapshot(inner, h.AggregateID, due)
		replies <- reading[S]{base, err}
	})
	defer func() {
		cancel()
		running.Wait()
	}()
	l, err = r.tail(inner, h, due, replies)
	over, ok := errors.AsType[*passedOver](err)
	if !ok {
		return l, noVersion, err
	}
	if ctx.Err() != nil {
		return l, noVersion, ctx.Err()
	}
	missing = noVersion
	if r.passOver(ctx, h, due, over.cause) {
		missing = due
	}
	return Loaded[S]{ID: h.AggregateID}, missing, nil
}

// passedOver says why a snapshot cannot be used.
type passedOver struct{ cause error }

func (p *passedOver) Error() string { return "snapshot: " + p.cause.Error() }

// tail folds the changesets after a snapshot onto it, when it is there. The
// first of them proves that the snapshot is of this history.
func (r *Repository[S, E]) tail(ctx context.Context, h head.Head, due uint64, snapshot <-chan reading[S]) (Loaded[S], error) {
	if due == h.Version {
		return r.snapshotAt(h, <-snapshot)
	}
	var base *reading[S]
	for c, err := range r.reader(h).Changesets(ctx, ropewalk.Range{First: due + 1, Last: ropewalk.Newest}) {
		if err != nil {
			return Loaded[S]{ID: h.AggregateID}, err
		}
		if base == nil {
			s := <-snapshot
			if base = &s; s.err == nil && !follows(c.Header, s.base.Head) {
				s.err = errOtherHistory
			}
			if s.err != nil {
				return Loaded[S]{}, &passedOver{s.err}
			}
		}
		if err := r.step(&base.base, c); err != nil {
			return Loaded[S]{ID: h.AggregateID}, err
		}
	}
	r.stats.used.Add(1)
	base.base.Head = h
	return base.base, nil
}

// snapshotAt returns the aggregate from a snapshot at its very head.
func (r *Repository[S, E]) snapshotAt(h head.Head, s reading[S]) (Loaded[S], error) {
	if s.err == nil && !isAt(h, s.base.Head) {
		s.err = errOtherHistory
	}
	if s.err != nil {
		return Loaded[S]{}, &passedOver{s.err}
	}
	r.stats.used.Add(1)
	s.base.Head = h
	return s.base, nil
}

// fromEarlier returns the newest usable one of a few earlier snapshots, or an
// aggregate without a head: then the whole history is to be read.
func (r *Repository[S, E]) fromEarlier(ctx context.Context, h head.Head, due uint64) (Loaded[S], error) {
	every := uint64(r.plan.Snapshots.Every)
	versions := make([]uint64, 0, earlierTries)
	for ; due >= every && len(versions) < earlierTries; due -= every {
		versions = append(versions, due-every)
	}
	found := make([]reading[S], len(versions))
	var running sync.WaitGroup
	for i, version := range versions {
		running.Go(func() {
			base, err := r.readSnapshot(ctx, h.AggregateID, version)
			found[i] = reading[S]{base, err}
		})
	}
	running.Wait()
	for i, s := range found {
		if s.err == nil {
			s.err = r.proveEarlier(ctx, h, s.base.Head)
		}
		if err := ctx.Err(); err != nil {
			return Loaded[S]{ID: h.AggregateID}, err
		}
		if s.err == nil {
			r.stats.used.Add(1)
			return s.base, nil
		}
		r.passOver(ctx, h, versions[i], s.err)
	}
	return Loaded[S]{ID: h.AggregateID}, nil
}

// proveEarlier reads the changeset after a snapshot's head, which proves that
// the chain of h passes through it.
func (r *Repository[S, E]) proveEarlier(ctx context.Context, h, base head.Head) error {
	for c, err := range r.reader(h).Changesets(ctx, ropewalk.Range{First: base.Version + 1, Last: base.Version + 1}) {
		if err == nil && !follows(c.Header, base) {
			err = errOtherHistory
		}
		return err
	}
	return nil
}

// passOver counts a snapshot that is not used, and logs it unless it is
// missing. It reports whether it is missing.
func (r *Repository[S, E]) passOver(ctx context.Context, h head.Head, version uint64, cause error) (missing bool) {
	_, corrupt := errors.AsType[*changeset.CorruptError](cause)
	if errors.Is(cause, changeset.ErrNotFound) && !corrupt {
		r.stats.missing.Add(1)
		return true
	}
	r.stats.rejected.Add(1)
	r.options.Logger.WarnContext(ctx, "snapshot passed over", "aggregate", h.AggregateID, "version", version, "cause", cause)
	return false
}

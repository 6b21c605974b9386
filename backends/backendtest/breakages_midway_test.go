package backendtest

import (
	"context"
	"errors"
	"iter"

	"ropewalk/changeset"
	"ropewalk/head"
)

var midwayBreakages = []breakage{
	{putCutShort, "Put hides that its context has ended on the way", func(b *broken) {
		b.put = func(ctx context.Context, c changeset.Changeset) error {
			if cut(ctx) {
				return errors.New("interrupted")
			}
			return b.Store.Put(ctx, c)
		}
	}},
	{putCutShort, "Put stores as much as it can", func(b *broken) {
		b.put = func(ctx context.Context, c changeset.Changeset) error {
			if cut(ctx) {
				c.Body = c.Body[:len(c.Body)/2]
			}
			return errors.Join(b.Store.Put(context.WithoutCancel(ctx), c), ctx.Err())
		}
	}},
	{putCutShort, "Put returns nil when its context ends on the way", func(b *broken) {
		b.put = func(ctx context.Context, c changeset.Changeset) error {
			if cut(ctx) {
				return nil
			}
			return b.Store.Put(ctx, c)
		}
	}},
	{readCutShort, "Get returns as much as it can", func(b *broken) {
		b.get = func(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
			c, err := b.Store.Get(ctx, ref, admission)
			if cut(ctx) {
				c.Body = c.Body[:len(c.Body)/2]
			}
			return c, err
		}
	}},
	{readCutShort, "Stat hides that its context has ended on the way", func(b *broken) {
		b.stat = func(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
			if cut(ctx) {
				return changeset.Info{}, errors.New("interrupted")
			}
			return b.Store.Stat(ctx, ref)
		}
	}},
	{readCutShort, "Objects hides that its context has ended on the way", func(b *broken) {
		b.objects = func(ctx context.Context, aggregateID string) iter.Seq2[changeset.Object, error] {
			return cutting(ctx, b.Store.Objects(ctx, aggregateID))
		}
	}},
	{readCutShort, "Aggregates hides that its context has ended on the way", func(b *broken) {
		b.aggregates = func(ctx context.Context, after string) iter.Seq2[string, error] {
			return cutting(ctx, b.Store.Aggregates(ctx, after))
		}
	}},
	{swapCutShort, "Swap takes its own first attempt for a conflict", func(b *broken) {
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			got, err := b.Store.Swap(ctx, old, next)
			if cut(ctx) {
				return head.Head{}, errors.Join(ctx.Err(), &head.ConflictError{})
			}
			return got, err
		}
	}},
	{swapCutShort, "Swap says that it was not applied, and was", func(b *broken) {
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			got, err := b.Store.Swap(ctx, old, next)
			if cut(ctx) {
				return head.Head{}, &head.NotAppliedError{Err: ctx.Err()}
			}
			return got, err
		}
	}},
	{swapCutShort, "Swap hides that its context has ended on the way", func(b *broken) {
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			if cut(ctx) {
				return head.Head{}, errors.New("interrupted")
			}
			return b.Store.Swap(ctx, old, next)
		}
	}},
	{loadCutShort, "Load takes a head that it could not read for none", func(b *broken) {
		b.load = func(ctx context.Context, aggregateID string) (head.Head, error) {
			if cut(ctx) {
				return head.Head{}, nil
			}
			return b.Store.Load(ctx, aggregateID)
		}
	}},
	{loadCutShort, "List hides that its context has ended on the way", func(b *broken) {
		b.list = func(ctx context.Context, cursor string) iter.Seq2[head.Head, error] {
			return cutting(ctx, b.Store.List(ctx, cursor))
		}
	}},
}

// cut waits until the context ends, where it has a deadline.
func cut(ctx context.Context) bool {
	_, ends := ctx.Deadline()
	if ends {
		<-ctx.Done()
	}
	return ends
}

// cutting yields an error that keeps no cause, where the context has a deadline.
func cutting[T any](ctx context.Context, all iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if cut(ctx) {
			var none T
			yield(none, errors.New("interrupted"))
			return
		}
		all(yield)
	}
}

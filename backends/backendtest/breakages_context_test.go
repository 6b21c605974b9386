package backendtest

import (
	"context"
	"iter"

	"ropewalk/changeset"
	"ropewalk/head"
)

var contextBreakages = []breakage{
	{putUnderEndedContext, "Put ignores its context", func(b *broken) {
		b.put = func(ctx context.Context, c changeset.Changeset) error {
			return b.Store.Put(context.WithoutCancel(ctx), c)
		}
	}},
	{putUnderEndedContext, "Put sends and then looks at its context", func(b *broken) {
		b.put = func(ctx context.Context, c changeset.Changeset) error {
			if err := b.Store.Put(context.WithoutCancel(ctx), c); err != nil {
				return err
			}
			return ctx.Err()
		}
	}},
	{putUnderEndedContext, "Put hides that its context has ended", func(b *broken) {
		b.put = func(ctx context.Context, c changeset.Changeset) error { return hidden(b.Store.Put(ctx, c)) }
	}},
	{getUnderEndedContext, "Get ignores its context", func(b *broken) {
		b.get = func(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
			return b.Store.Get(context.WithoutCancel(ctx), ref, admission)
		}
	}},
	{getUnderEndedContext, "Stat ignores its context", func(b *broken) {
		b.stat = func(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
			return b.Store.Stat(context.WithoutCancel(ctx), ref)
		}
	}},
	{deleteUnderEndedContext, "Delete sends and then looks at its context", func(b *broken) {
		b.remove = func(ctx context.Context, ref changeset.Ref) error {
			_ = b.Store.Delete(context.WithoutCancel(ctx), ref)
			return ctx.Err()
		}
	}},
	{listUnderEndedContext, "Objects ignores its context", func(b *broken) {
		b.objects = func(ctx context.Context, aggregateID string) iter.Seq2[changeset.Object, error] {
			return b.Store.Objects(context.WithoutCancel(ctx), aggregateID)
		}
	}},
	{listUnderEndedContext, "Aggregates goes on behind its error", func(b *broken) {
		b.aggregates = func(ctx context.Context, after string) iter.Seq2[string, error] {
			return goingOn(ctx, b.Store.Aggregates(context.WithoutCancel(ctx), after))
		}
	}},
	{loadUnderEndedContext, "Load ignores its context", func(b *broken) {
		b.load = func(ctx context.Context, aggregateID string) (head.Head, error) {
			return b.Store.Load(context.WithoutCancel(ctx), aggregateID)
		}
	}},
	{swapUnderEndedContext, "Swap ignores its context", func(b *broken) {
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			return b.Store.Swap(context.WithoutCancel(ctx), old, next)
		}
	}},
	{swapUnderEndedContext, "Swap sends and then looks at its context", func(b *broken) {
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			got, err := b.Store.Swap(context.WithoutCancel(ctx), old, next)
			if err == nil && ctx.Err() != nil {
				return head.Head{}, &head.NotAppliedError{Err: ctx.Err()}
			}
			return got, err
		}
	}},
	{swapUnderEndedContext, "Swap does not say that it sent nothing", func(b *broken) {
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			if ctx.Err() != nil {
				return head.Head{}, ctx.Err()
			}
			return b.Store.Swap(ctx, old, next)
		}
	}},
	{listHeadsUnderEndedContext, "List goes on behind its error", func(b *broken) {
		b.list = func(ctx context.Context, cursor string) iter.Seq2[head.Head, error] {
			return goingOn(ctx, b.Store.List(context.WithoutCancel(ctx), cursor))
		}
	}},
}

// goingOn yields the context's error in front of all the rest.
func goingOn[T any](ctx context.Context, all iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		if err := ctx.Err(); err == nil || yield(none, err) {
			all(yield)
		}
	}
}

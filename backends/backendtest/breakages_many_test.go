package backendtest

import (
	"context"
	"slices"

	"ropewalk/changeset"
)

// gotMany breaks what GetMany returns.
func gotMany(change func(b *broken, ctx context.Context, refs []changeset.Ref, all []changeset.Changeset, err error) ([]changeset.Changeset, error)) func(*broken) {
	return func(b *broken) {
		intact := b.getMany
		b.getMany = func(ctx context.Context, refs []changeset.Ref, admission changeset.Admission) ([]changeset.Changeset, error) {
			all, err := intact(ctx, refs, admission)
			return change(b, ctx, refs, all, err)
		}
	}
}

var manyBreakages = []breakage{
	{manyReturnsAll, "GetMany stops at 256", gotMany(func(_ *broken, _ context.Context, _ []changeset.Ref, all []changeset.Changeset, err error) ([]changeset.Changeset, error) {
		return all[:min(len(all), 256)], err
	})},
	{manyReturnsAll, "GetMany returns one twice", gotMany(func(_ *broken, _ context.Context, _ []changeset.Ref, all []changeset.Changeset, err error) ([]changeset.Changeset, error) {
		return append(all, all[:min(len(all), 1)]...), err
	})},
	{manyReturnsAll, "GetMany returns large contents empty", gotMany(func(_ *broken, _ context.Context, _ []changeset.Ref, all []changeset.Changeset, err error) ([]changeset.Changeset, error) {
		for i := range all {
			if len(all[i].Body) > 64<<10 {
				all[i].Body = nil
			}
		}
		return all, err
	})},
	{manyReturnsAll, "GetMany fills in Content", gotMany(func(_ *broken, _ context.Context, _ []changeset.Ref, all []changeset.Changeset, err error) ([]changeset.Changeset, error) {
		for i := range all {
			all[i].Content = all[i].Body
		}
		return all, err
	})},
	{manyOfAggregates, "GetMany reads the first aggregate alone", gotMany(func(_ *broken, _ context.Context, refs []changeset.Ref, all []changeset.Changeset, err error) ([]changeset.Changeset, error) {
		return slices.DeleteFunc(all, func(c changeset.Changeset) bool { return c.AggregateID != refs[0].AggregateID }), err
	})},
	{manyOfAbsent, "GetMany fails where one is missing", gotMany(func(b *broken, ctx context.Context, refs []changeset.Ref, all []changeset.Changeset, err error) ([]changeset.Changeset, error) {
		for _, ref := range refs {
			if _, err := b.Store.Stat(ctx, ref); err != nil {
				return nil, err
			}
		}
		return all, err
	})},
	{manyOfAbsent, "GetMany returns all of an aggregate", gotMany(func(b *broken, ctx context.Context, refs []changeset.Ref, all []changeset.Changeset, err error) ([]changeset.Changeset, error) {
		if len(refs) < 2 {
			return all, err
		}
		all = nil
		for o := range b.Store.Objects(ctx, refs[0].AggregateID) {
			c, _ := b.Store.Get(ctx, o.Ref, nil)
			all = append(all, c)
		}
		return all, err
	})},
	{manyOfCorrupt, "GetMany fails where one does not decode", gotMany(func(b *broken, ctx context.Context, refs []changeset.Ref, all []changeset.Changeset, err error) ([]changeset.Changeset, error) {
		for _, ref := range refs {
			if _, err := b.Store.Stat(ctx, ref); err != nil {
				return nil, err
			}
		}
		return all, err
	})},
	{manyAsksAdmission, "GetMany does not ask the admission", func(b *broken) {
		intact := b.getMany
		b.getMany = func(ctx context.Context, refs []changeset.Ref, admission changeset.Admission) ([]changeset.Changeset, error) {
			return intact(ctx, refs, nil)
		}
	}},
	{manyAsksAdmission, "GetMany asks the admission twice", func(b *broken) {
		intact := b.getMany
		b.getMany = func(ctx context.Context, refs []changeset.Ref, admission changeset.Admission) ([]changeset.Changeset, error) {
			return intact(ctx, refs, func(h changeset.Header) error {
				_ = admission.Admit(h)
				return admission.Admit(h)
			})
		}
	}},
	{manyAsksAdmission, "GetMany ends after a refusal", func(b *broken) {
		b.getMany = func(ctx context.Context, refs []changeset.Ref, admission changeset.Admission) (all []changeset.Changeset, _ error) {
			for _, ref := range refs {
				c, err := b.Store.Get(ctx, ref, admission)
				if err != nil {
					return all, nil
				}
				all = append(all, c)
			}
			return all, nil
		}
	}},
	{manyDoesNotAlias, "GetMany keeps what it returns", func(b *broken) {
		intact, kept := b.getMany, map[changeset.Ref][]changeset.Changeset{}
		b.getMany = func(ctx context.Context, refs []changeset.Ref, admission changeset.Admission) (all []changeset.Changeset, err error) {
			if len(refs) != 1 {
				return intact(ctx, refs, admission)
			}
			if kept[refs[0]] == nil {
				kept[refs[0]], err = intact(ctx, refs, admission)
			}
			return slices.Clone(kept[refs[0]]), err
		}
	}},
	{manyOfNothing, "GetMany of nothing looks at its context", gotMany(func(_ *broken, ctx context.Context, _ []changeset.Ref, all []changeset.Changeset, _ error) ([]changeset.Changeset, error) {
		return all, ctx.Err()
	})},
	{manyUnderEndedContext, "GetMany takes what is under an ended context for missing", gotMany(func(_ *broken, _ context.Context, _ []changeset.Ref, all []changeset.Changeset, _ error) ([]changeset.Changeset, error) {
		return all, nil
	})},
	{manyUnderEndedContext, "GetMany keeps no cause", gotMany(func(_ *broken, _ context.Context, _ []changeset.Ref, all []changeset.Changeset, err error) ([]changeset.Changeset, error) {
		return all, hidden(err)
	})},
}

package backendtest

import (
	"context"
	"errors"
	"slices"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

var combinedBreakages = []breakage{
	{holdsItsOwn, "Holds says yes to every store", func(b *broken) {
		b.holds = func(changeset.Store) bool { return true }
	}},
	{holdsItsOwn, "Holds says no to its own store", func(b *broken) {
		b.holds = func(changeset.Store) bool { return false }
	}},
	{commitDoesBoth, "Commit swaps the head only", commitAs(func(cs []changeset.Changeset) []changeset.Changeset { return nil })},
	{commitDoesBoth, "Commit puts all changesets but the last", commitAs(shortened)},
	{commitDoesBoth, "Commit puts changesets for its own handle", func(b *broken) {
		own := memstore.New()
		commitInSteps(own.Put)(b)
	}},
	{commitReturnsToken, "Commit returns no usable token", func(b *broken) {
		withTokens(b, revisionOf)
		b.commit = func(ctx context.Context, cs []changeset.Changeset, old, next head.Head) (head.Head, error) {
			got, err := b.Store.Commit(ctx, cs, old, next)
			return got.WithToken("0"), err
		}
	}},
	{commitOfPacks, "Commit leaves packs out", commitAs(func(cs []changeset.Changeset) []changeset.Changeset {
		return slices.DeleteFunc(slices.Clone(cs), func(c changeset.Changeset) bool { return c.IsPacked() })
	})},
	{commitOfPacks, "Commit keeps the tip", func(b *broken) {
		b.commit = func(ctx context.Context, cs []changeset.Changeset, old, next head.Head) (head.Head, error) {
			stored := next
			if next.IsPacked() && next.Tip == "" && old.Tip != "" {
				stored = link.Fence(old)
			}
			if _, err := b.Store.Commit(ctx, cs, old, stored); err != nil {
				return head.Head{}, err
			}
			return next, nil
		}
	}},
	{commitOfMany, "Commit has room for 100 changesets", func(b *broken) {
		b.commit = func(ctx context.Context, cs []changeset.Changeset, old, next head.Head) (head.Head, error) {
			if len(cs) > 100 {
				return head.Head{}, &head.NotAppliedError{Err: errors.New("too many")}
			}
			return b.Store.Commit(ctx, cs, old, next)
		}
	}},
	{commitOfNone, "Commit needs changesets", func(b *broken) {
		b.commit = func(ctx context.Context, cs []changeset.Changeset, old, next head.Head) (head.Head, error) {
			if len(cs) == 0 {
				return next, nil
			}
			return b.Store.Commit(ctx, cs, old, next)
		}
	}},
	{commitLeavesStored, "Commit overwrites", func(b *broken) {
		commitInSteps(func(_ context.Context, c changeset.Changeset) error { return overwrite(b, c) })(b)
	}},
	{commitLeavesStored, "Commit fails where a changeset is there", func(b *broken) {
		b.commit = func(ctx context.Context, cs []changeset.Changeset, old, next head.Head) (head.Head, error) {
			for _, c := range cs {
				if _, err := b.Store.Stat(ctx, c.Ref); err == nil {
					return head.Head{}, &head.NotAppliedError{Err: errors.New("it exists")}
				}
			}
			return b.Store.Commit(ctx, cs, old, next)
		}
	}},
	{commitStoresBody, "Commit stores Content", func(b *broken) {
		b.commit = func(ctx context.Context, cs []changeset.Changeset, old, next head.Head) (head.Head, error) {
			cs = slices.Clone(cs)
			for i := range cs {
				cs[i].Body = cs[i].Content
			}
			return b.Store.Commit(ctx, cs, old, next)
		}
	}},
	{commitDoesNotAlias, "Commit keeps the content that it was given", func(b *broken) {
		b.commit = func(ctx context.Context, cs []changeset.Changeset, old, next head.Head) (head.Head, error) {
			got, err := b.Store.Commit(ctx, cs, old, next)
			b.Tamper(func(all *memstore.Contents) {
				for _, c := range cs {
					all.Objects[c.ObjectName()].Body = c.Body
				}
			})
			return got, err
		}
	}},
	{commitConflict, "Commit puts, and then swaps", putAndThenSwap},
	{commitConflict, "Commit has no condition", func(b *broken) {
		b.commit = func(ctx context.Context, cs []changeset.Changeset, _, next head.Head) (head.Head, error) {
			return write(b, next)
		}
	}},
	{commitChecked, "Commit puts before it calls CheckSwap", putAndThenSwap},
	{commitRefusesInvalid, "Commit puts what is valid before it meets what is not", putAndThenSwap},
	{commitUnderEndedContext, "Commit ignores its context", func(b *broken) {
		b.commit = func(ctx context.Context, cs []changeset.Changeset, old, next head.Head) (head.Head, error) {
			return b.Store.Commit(context.WithoutCancel(ctx), cs, old, next)
		}
	}},
	{commitUnderEndedContext, "Commit does not say that it sent nothing", func(b *broken) {
		b.commit = func(ctx context.Context, cs []changeset.Changeset, old, next head.Head) (head.Head, error) {
			if ctx.Err() != nil {
				return head.Head{}, ctx.Err()
			}
			return b.Store.Commit(ctx, cs, old, next)
		}
	}},
	{commitsRace, "Commit leaves what the losers have put", putAndThenSwap},
	{commitsRace, "Commit reads and then writes", func(b *broken) {
		readThenWrite(b)
		b.commit = func(ctx context.Context, cs []changeset.Changeset, old, next head.Head) (head.Head, error) {
			got, err := b.swap(ctx, old, next)
			for _, c := range cs {
				if err == nil {
					err = b.Store.Put(ctx, c)
				}
			}
			return got, err
		}
	}},
}

// commitAs commits other changesets than were given.
func commitAs(change func([]changeset.Changeset) []changeset.Changeset) func(b *broken) {
	return func(b *broken) {
		b.commit = func(ctx context.Context, cs []changeset.Changeset, old, next head.Head) (head.Head, error) {
			return b.Store.Commit(ctx, change(cs), old, next)
		}
	}
}

// commitInSteps puts the changesets and then swaps the head.
func commitInSteps(put func(context.Context, changeset.Changeset) error) func(b *broken) {
	return func(b *broken) {
		b.commit = func(ctx context.Context, cs []changeset.Changeset, old, next head.Head) (head.Head, error) {
			for _, c := range cs {
				if err := put(ctx, c); err != nil {
					return head.Head{}, &head.NotAppliedError{Err: err}
				}
			}
			return b.Store.Swap(ctx, old, next)
		}
	}
}

func putAndThenSwap(b *broken) { commitInSteps(b.Store.Put)(b) }

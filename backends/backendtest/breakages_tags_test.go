package backendtest

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"

	"ropewalk/head"
)

// tagsAs breaks what Tags yields.
func tagsAs(change func([]head.Tag) []head.Tag) func(*broken) {
	return func(b *broken) {
		intact := b.tags
		b.tags = func(ctx context.Context, after string) iter.Seq2[head.Tag, error] {
			return changed(intact(ctx, after), change)
		}
	}
}

// tagsBy replaces the tags by what a head has.
func tagsBy(tag func(head.Head) string) func(*broken) {
	return func(b *broken) {
		tagsAs(each(func(t *head.Tag) {
			h, _ := b.Store.Load(context.Background(), t.AggregateID)
			t.Tag = "by " + tag(h)
		}))(b)
	}
}

// tagsFrom breaks the sequence itself.
func tagsFrom(change func(b *broken, ctx context.Context, after string) iter.Seq2[head.Tag, error]) func(*broken) {
	return func(b *broken) {
		b.tags = func(ctx context.Context, after string) iter.Seq2[head.Tag, error] { return change(b, ctx, after) }
	}
}

var tagBreakages = []breakage{
	{tagsYieldAll, "Tags omits the last", tagsAs(shortened)},
	{tagsYieldAll, "Tags repeats one", tagsAs(repeated)},
	{tagsYieldAll, "Tags ends with the first page", tagsAs(onePage)},
	{tagsYieldAll, "Tags has an order of its own", tagsAs(reversed)},
	{tagsYieldAll, "Tags yields no tag", tagsAs(each(func(t *head.Tag) { t.Tag = "" }))},
	{tagsBeginAfter, "Tags ignores where to begin", tagsFrom(func(b *broken, ctx context.Context, _ string) iter.Seq2[head.Tag, error] {
		return b.Store.Tags(ctx, "")
	})},
	{tagsBeginAfter, "Tags begins with the aggregate ID", tagsFrom(func(b *broken, ctx context.Context, after string) iter.Seq2[head.Tag, error] {
		return b.Store.Tags(ctx, after[:max(0, len(after)-1)])
	})},
	{tagsBeginAfter, "Tags begins after the aggregate ID in the order of IDs", tagsFrom(func(b *broken, ctx context.Context, after string) iter.Seq2[head.Tag, error] {
		return where(b.Store.Tags(ctx, ""), func(t head.Tag) bool { return t.AggregateID > after })
	})},
	{tagsChange, "Tags changes with appends only", tagsBy(func(h head.Head) string { return h.ID.String() })},
	{tagsChange, "Tags ignores checkpoints", tagsBy(func(h head.Head) string { return h.Checkpoint })},
	{tagsChange, "Tags changes with each listing", tagsAs(each(func(t *head.Tag) { t.Tag = newAggregate() }))},
	{tagsChange, "Tags returns to an earlier tag", tagsBy(func(h head.Head) string { return string(h.State) + strings.Repeat("a", int(h.Revision%2)) })},
	{tagOfCorrupt, "Tags leaves out a record that does not decode", func(b *broken) {
		tagsFrom(func(b *broken, ctx context.Context, after string) iter.Seq2[head.Tag, error] {
			return where(b.Store.Tags(ctx, after), func(t head.Tag) bool {
				_, err := b.Store.Load(ctx, t.AggregateID)
				return err == nil
			})
		})(b)
	}},
	{tagOfCorrupt, "Tags fails at a record that does not decode", tagsFrom(func(b *broken, ctx context.Context, after string) iter.Seq2[head.Tag, error] {
		return func(yield func(head.Tag, error) bool) {
			for t, err := range b.Store.Tags(ctx, after) {
				if _, corrupt := b.Store.Load(ctx, t.AggregateID); corrupt != nil {
					yield(t, corrupt)
					return
				}
				if !yield(t, err) {
					return
				}
			}
		}
	})},
	{tagsOfOddIDs, "Tags takes aggregate IDs without regard to case", tagsAs(func(all []head.Tag) []head.Tag {
		slices.SortStableFunc(all, func(a, b head.Tag) int {
			return strings.Compare(strings.ToLower(a.AggregateID), strings.ToLower(b.AggregateID))
		})
		return slices.CompactFunc(all, func(a, b head.Tag) bool { return strings.EqualFold(a.AggregateID, b.AggregateID) })
	})},
	{tagsMayBeLeft, "Tags goes on when it is left", tagsFrom(func(b *broken, ctx context.Context, after string) iter.Seq2[head.Tag, error] {
		return stubborn(b.Store.Tags(ctx, after))
	})},
	{tagsMayBeLeft, "Tags can be ranged over once", tagsFrom(func(b *broken, ctx context.Context, after string) iter.Seq2[head.Tag, error] {
		return once(b.Store.Tags(ctx, after))
	})},
	{tagsUnderEndedContext, "Tags hides that its context has ended", tagsFrom(func(b *broken, ctx context.Context, after string) iter.Seq2[head.Tag, error] {
		return hiding(b.Store.Tags(ctx, after))
	})},
	{tagsUnderEndedContext, "Tags yields nothing under a context that has ended", tagsFrom(func(b *broken, ctx context.Context, after string) iter.Seq2[head.Tag, error] {
		return where(b.Store.Tags(context.WithoutCancel(ctx), after), func(head.Tag) bool { return ctx.Err() == nil })
	})},
	{tagsCutShort, "Tags has another error when its context ends", tagsFrom(func(b *broken, ctx context.Context, after string) iter.Seq2[head.Tag, error] {
		return func(yield func(head.Tag, error) bool) {
			for t, err := range b.Store.Tags(context.WithoutCancel(ctx), after) {
				if ctx.Err() != nil {
					yield(t, errors.New("the connection is closed"))
					return
				}
				if !yield(t, err) {
					return
				}
			}
		}
	})},
}

package backendtest

import (
	"context"
	"errors"
	"iter"
	"time"

	"ropewalk/head"
)

var conflictBreakages = []breakage{
	{conflictOfCreate, "Swap creates over what is there", swapIf(func(stored, old head.Head) bool {
		return !old.Exists() || stored.SameRecord(old)
	})},
	{conflictOfCreate, "Swap answers a conflict with an error of its own", failAs(func(err error, _, _ head.Head) error { return hidden(err) })},
	{conflictOfCreate, "Swap answers a conflict with NotAppliedError", failAs(func(err error, _, _ head.Head) error {
		return &head.NotAppliedError{Err: hidden(err)}
	})},
	{conflictOfCreate, "Swap names itself the winner", failAs(func(_ error, _, next head.Head) error {
		return &head.ConflictError{Winner: &next}
	})},
	{conflictOfAbsent, "Swap replaces what is not there", swapIf(func(stored, old head.Head) bool {
		return !stored.Exists() || stored.SameRecord(old)
	})},
	{conflictOfAbsent, "Swap names old the winner", failAs(func(_ error, old, _ head.Head) error {
		return &head.ConflictError{Winner: &old}
	})},
	{conflictOfEarlier, "Swap has no condition", swapIf(func(_, _ head.Head) bool { return true })},
	{conflictOfEarlier, "Swap without a token has no condition", func(b *broken) {
		withTokens(b, revisionOf)
		checked := b.swap
		swapIf(func(_, _ head.Head) bool { return true })(b)
		unchecked := b.swap
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			if old.Exists() && old.Token() == "" {
				return unchecked(ctx, old, next)
			}
			return checked(ctx, old, next)
		}
	}},
	{conflictOfEarlier, "Swap reports a conflict and writes all the same", func(b *broken) {
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			got, err := b.Store.Swap(ctx, old, next)
			if errors.As(err, new(*head.ConflictError)) {
				_, _ = write(b, next)
			}
			return got, err
		}
	}},
	{conflictOfOther, "Swap does not compare revisions", swapIf(func(stored, old head.Head) bool {
		return stored.Ref == old.Ref && stored.Digest == old.Digest
	})},
	{conflictOfOther, "Swap does not compare digests", swapIf(func(stored, old head.Head) bool {
		return stored.Ref == old.Ref && stored.Revision == old.Revision
	})},
	{conflictOfOther, "Swap compares revisions and digests only", swapIf(func(stored, old head.Head) bool {
		return stored.Revision == old.Revision && stored.Digest == old.Digest
	})},
	{conflictOfOther, "Swap takes any earlier revision", swapIf(func(stored, old head.Head) bool {
		return stored.Ref == old.Ref && stored.Digest == old.Digest && stored.Revision >= old.Revision
	})},
	{conflictOfRepeated, "Swap succeeds where next is there already", func(b *broken) {
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			if stored, err := b.Store.Load(ctx, next.AggregateID); err == nil && stored.SameRecord(next) {
				return next, nil
			}
			return b.Store.Swap(ctx, old, next)
		}
	}},
	{conflictOfRepeated, "Swap names the replaced record the winner", failAs(func(_ error, old, _ head.Head) error {
		return &head.ConflictError{Winner: &old}
	})},
}

var raceBreakages = []breakage{
	{creatorsRace, "Swap reads and then writes, of new heads", readThenWrite},
	{creatorsRace, "Swap fails the losers of a race with an error of its own", failAs(func(err error, _, _ head.Head) error { return hidden(err) })},
	{swappersRace, "Swap reads and then writes", readThenWrite},
	{swappersRace, "Swap never lets anyone win a race", func(b *broken) {
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			if old.Exists() {
				return head.Head{}, &head.ConflictError{}
			}
			return b.Store.Swap(ctx, old, next)
		}
	}},
	{updatesAreNotLost, "Swap reads and then writes, again and again", readThenWrite},
	{updatesAreNotLost, "Swap skips revisions", swapAs(func(next *head.Head) { next.Revision = 2 })},
	{loadsAreMonotonic, "Load asks a replica that has seen nothing yet", func(b *broken) {
		warm := map[string]bool{}
		b.load = func(ctx context.Context, aggregateID string) (head.Head, error) {
			if !warm[aggregateID] {
				warm[aggregateID] = true
				return head.Head{}, nil
			}
			return b.Store.Load(ctx, aggregateID)
		}
	}},
}

// readThenWrite lets others in between its condition and its write.
func readThenWrite(b *broken) {
	swapIf(func(stored, old head.Head) bool {
		time.Sleep(time.Second)
		return stored.SameRecord(old)
	})(b)
}

var headListBreakages = []breakage{
	{listYieldsAll, "List repeats one", listAs(repeated)},
	{listYieldsAll, "List ends with the first page", listAs(onePage)},
	{listYieldsAll, "List omits the last", listAs(shortened)},
	{listYieldsAll, "List yields what was there first", listAs(each(func(stored *head.Head) { stored.Revision = 1 }))},
	{listBeginsBehind, "List ignores the cursor", func(b *broken) {
		b.list = func(ctx context.Context, _ string) iter.Seq2[head.Head, error] { return b.Store.List(ctx, "") }
	}},
	{listBeginsBehind, "List begins with the cursor", func(b *broken) {
		b.list = func(ctx context.Context, cursor string) iter.Seq2[head.Head, error] {
			return b.Store.List(ctx, cursor[:max(0, len(cursor)-1)])
		}
	}},
	{listBeginsBehind, "List begins behind the cursor in another order than its own", func(b *broken) {
		b.list = func(ctx context.Context, cursor string) iter.Seq2[head.Head, error] {
			return changed(b.Store.List(ctx, cursor), reversed)
		}
	}},
	{listMayBeLeft, "List goes on when it is left", func(b *broken) {
		b.list = func(ctx context.Context, cursor string) iter.Seq2[head.Head, error] {
			return stubborn(b.Store.List(ctx, cursor))
		}
	}},
	{listMayBeLeft, "List can be ranged over once", func(b *broken) {
		b.list = func(ctx context.Context, cursor string) iter.Seq2[head.Head, error] {
			return once(b.Store.List(ctx, cursor))
		}
	}},
	{listedCanBeSwapped, "List yields tokens that Swap does not know", func(b *broken) {
		withTokens(b, revisionOf)
		listAs(each(func(stored *head.Head) { *stored = stored.WithToken("listed") }))(b)
	}},
	{listCancelled, "List hides that its context has ended", func(b *broken) {
		b.list = func(ctx context.Context, cursor string) iter.Seq2[head.Head, error] {
			return hiding(b.Store.List(ctx, cursor))
		}
	}},
}

func listAs(change func([]head.Head) []head.Head) func(b *broken) {
	return func(b *broken) {
		b.list = func(ctx context.Context, cursor string) iter.Seq2[head.Head, error] {
			return changed(b.Store.List(ctx, cursor), change)
		}
	}
}

// passOver ends in silence at a corrupt record.
func passOver(b *broken) {
	b.list = func(ctx context.Context, cursor string) iter.Seq2[head.Head, error] {
		return func(yield func(head.Head, error) bool) {
			for stored, err := range b.Store.List(ctx, cursor) {
				if err != nil || !yield(stored, nil) {
					return
				}
			}
		}
	}
}

package backendtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
)

var swapBreakages = []breakage{
	{loadOfAbsent, "Load fails where there is no head", func(b *broken) {
		b.load = func(ctx context.Context, aggregateID string) (head.Head, error) {
			stored, err := b.Store.Load(ctx, aggregateID)
			if !stored.Exists() {
				return stored, errors.Join(err, changeset.ErrNotFound)
			}
			return stored, err
		}
	}},
	{loadOfAbsent, "Load finds a head of a longer name", func(b *broken) {
		b.load = func(ctx context.Context, aggregateID string) (head.Head, error) {
			for stored := range b.Store.List(ctx, "") {
				if strings.HasPrefix(stored.AggregateID, aggregateID) {
					return stored, nil
				}
			}
			return head.Head{}, nil
		}
	}},
	{swapCreates, "Swap keeps heads for its own handle", func(b *broken) {
		own := memstore.New()
		b.load, b.swap = own.Load, own.Swap
	}},
	{swapCreates, "Swap does nothing", func(b *broken) {
		b.swap = func(_ context.Context, _, next head.Head) (head.Head, error) { return next, nil }
	}},
	{swapReplaces, "Swap creates but never replaces", func(b *broken) {
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			if old.Exists() {
				return next, nil
			}
			return b.Store.Swap(ctx, old, next)
		}
	}},
	{swapReplaces, "Load remembers", remember},
	{swapReturnsToken, "Swap returns the old token", func(b *broken) {
		withTokens(b, revisionOf)
		swap := b.swap
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			got, err := swap(ctx, old, next)
			return got.WithToken("0"), err
		}
	}},
	{swapReturnsToken, "Swap returns old", func(b *broken) {
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			_, err := b.Store.Swap(ctx, old, next)
			return old, err
		}
	}},
	{tokensTravel, "Swap takes tokens of its own handle only", func(b *broken) {
		withTokens(b, func(stored head.Head) string { return fmt.Sprintf("%p-%d", b, stored.Revision) })
	}},
	{swapWithoutToken, "Swap needs a token", func(b *broken) {
		withTokens(b, revisionOf)
		swap := b.swap
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			if old.Exists() && old.Token() == "" {
				return head.Head{}, &head.NotAppliedError{Err: errors.New("no token")}
			}
			return swap(ctx, old, next)
		}
	}},
	{swapFences, "Swap takes the same changeset for no change", func(b *broken) {
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			if old.Ref == next.Ref {
				return next, nil
			}
			return b.Store.Swap(ctx, old, next)
		}
	}},
	{swapRebuilds, "Swap takes the next revision only", func(b *broken) {
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			if next.Revision != old.Revision+1 {
				return head.Head{}, &head.NotAppliedError{Err: errors.New("not the next revision")}
			}
			return b.Store.Swap(ctx, old, next)
		}
	}},
	{swapFences, "Swap compares changesets, not revisions", swapIf(sameRef)},
	{loadIsNeverStale, "Load asks a replica that is one swap behind", behind},
	{locateHeadNames, "LocateHead takes names without regard to case", func(b *broken) {
		b.locateHead = func(aggregateID string) string { return strings.ToLower(aggregateID) }
	}},
	{locateHeadNames, "LocateHead knows no names", func(b *broken) {
		b.locateHead = func(string) string { return "" }
	}},
}

// remember loads a head once for each handle.
func remember(b *broken) {
	seen := map[string]head.Head{}
	b.load = func(ctx context.Context, aggregateID string) (head.Head, error) {
		if stored, ok := seen[aggregateID]; ok {
			return stored, nil
		}
		stored, err := b.Store.Load(ctx, aggregateID)
		seen[aggregateID] = stored
		return stored, err
	}
}

// behind loads the head that the latest swap has replaced.
func behind(b *broken) {
	b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
		b.shared.kept.Store(next.AggregateID, old)
		return b.Store.Swap(ctx, old, next)
	}
	b.load = func(ctx context.Context, aggregateID string) (head.Head, error) {
		if replaced, ok := b.shared.kept.Load(aggregateID); ok {
			return replaced.(head.Head), ctx.Err()
		}
		return b.Store.Load(ctx, aggregateID)
	}
}

var recordBreakages = []breakage{
	{recordOfWorstCase, "Swap refuses a record above 1,000 bytes", func(b *broken) {
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			if record, _ := head.EncodeJSON(next); len(record) > 1000 {
				return head.Head{}, &head.NotAppliedError{Err: errors.New("too large")}
			}
			return b.Store.Swap(ctx, old, next)
		}
	}},
	{recordOfErased, "Load forgets the state", loadAs(func(stored head.Head) head.Head {
		if stored.Exists() {
			stored.State = head.Live
		}
		return stored
	})},
	{recordOfErased, "Swap replaces tombstones", func(b *broken) {
		b.swap = func(_ context.Context, _, next head.Head) (head.Head, error) { return write(b, next) }
	}},
	{recordOfFormats, "Swap writes its own format numbers", swapAs(func(next *head.Head) { next.Formats = head.Formats{} })},
	{recordOfCheckpoint, "Swap drops checkpoints", swapAs(func(next *head.Head) { next.Checkpoint = "" })},
	{recordOfCheckpoint, "Swap cannot take a checkpoint away", func(b *broken) {
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			next.Checkpoint = cmp.Or(next.Checkpoint, old.Checkpoint)
			return b.Store.Swap(ctx, old, next)
		}
	}},
	{recordOfCheckpoint, "List drops checkpoints", listAs(each(func(stored *head.Head) { stored.Checkpoint = "" }))},
	{recordKeepsUnknown, "Swap drops unknown fields", swapAs(func(next *head.Head) { *next = next.WithExtra("") })},
	{recordKeepsUnknown, "List drops unknown fields", listAs(each(func(stored *head.Head) { *stored = stored.WithExtra("") }))},
	{recordCorrupt, "Load takes a corrupt record for none", func(b *broken) {
		b.load = func(ctx context.Context, aggregateID string) (head.Head, error) {
			stored, _ := b.Store.Load(ctx, aggregateID)
			return stored, nil
		}
	}},
	{recordCorrupt, "Load hides that a record is corrupt", func(b *broken) {
		b.load = func(ctx context.Context, aggregateID string) (head.Head, error) {
			stored, err := b.Store.Load(ctx, aggregateID)
			return stored, hidden(err)
		}
	}},
	{recordCorrupt, "List passes over a corrupt record", passOver},
	{swapChecked, "Swap does not call CheckSwap", func(b *broken) {
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			if stored, err := b.Store.Load(ctx, next.AggregateID); err != nil || !stored.SameRecord(old) {
				return head.Head{}, &head.ConflictError{}
			}
			return write(b, next)
		}
	}},
	{swapChecked, "Swap answers what CheckSwap refuses with a conflict", failAs(func(error, head.Head, head.Head) error {
		return &head.ConflictError{}
	})},
	{oddHeads, "Load takes aggregate IDs without regard to case", func(b *broken) {
		b.load = func(ctx context.Context, aggregateID string) (head.Head, error) {
			for stored := range b.Store.List(ctx, "") {
				if strings.EqualFold(stored.AggregateID, aggregateID) {
					return stored, nil
				}
			}
			return head.Head{}, nil
		}
	}},
	{oddHeads, "List leaves out names with a slash", listAs(func(all []head.Head) []head.Head {
		return slices.DeleteFunc(all, func(stored head.Head) bool { return strings.Contains(stored.AggregateID, "/") })
	})},
}

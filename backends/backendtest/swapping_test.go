package backendtest

import (
	"context"
	"strconv"

	"ropewalk/backends/memstore"
	"ropewalk/head"
)

// write stores the record, and replaces any record that exists.
func write(b *broken, next head.Head) (head.Head, error) {
	record, err := head.EncodeJSON(next)
	if err != nil {
		return head.Head{}, err
	}
	b.Tamper(func(all *memstore.Contents) { all.Heads[head.ObjectName(next.AggregateID)] = record })
	return next, nil
}

// swapIf is a swap with a condition of its own, which nothing holds until the record is written.
func swapIf(condition func(stored, old head.Head) bool) func(b *broken) {
	return func(b *broken) {
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			if err := head.CheckSwap(old, next); err != nil {
				return head.Head{}, err
			}
			stored, err := b.Store.Load(ctx, next.AggregateID)
			if err != nil {
				return head.Head{}, &head.NotAppliedError{Err: err}
			}
			if !condition(stored, old) {
				return head.Head{}, &head.ConflictError{Winner: &stored}
			}
			return write(b, next)
		}
	}
}

// swapAs swaps another record than was given.
func swapAs(change func(next *head.Head)) func(b *broken) {
	return func(b *broken) {
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			changed := next
			change(&changed)
			if _, err := b.Store.Swap(ctx, old, changed); err != nil {
				return head.Head{}, err
			}
			return next, nil
		}
	}
}

// failAs returns other errors than the swap's.
func failAs(change func(err error, old, next head.Head) error) func(b *broken) {
	return func(b *broken) {
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			got, err := b.Store.Swap(ctx, old, next)
			if err != nil {
				err = change(err, old, next)
			}
			return got, err
		}
	}
}

// loadAs returns another head than is stored.
func loadAs(change func(stored head.Head) head.Head) func(b *broken) {
	return func(b *broken) {
		b.load = func(ctx context.Context, aggregateID string) (head.Head, error) {
			stored, err := b.Store.Load(ctx, aggregateID)
			return change(stored), err
		}
	}
}

// withTokens makes a handle that needs tokens: a stored head has the token that
// name returns. Without a token the handle looks the record up; with a token it
// trusts the token.
func withTokens(b *broken, name func(stored head.Head) string) {
	b.load = func(ctx context.Context, aggregateID string) (head.Head, error) {
		stored, err := b.Store.Load(ctx, aggregateID)
		if stored.Exists() {
			stored = stored.WithToken(name(stored))
		}
		return stored, err
	}
	b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
		if err := head.CheckSwap(old, next); err != nil {
			return head.Head{}, err
		}
		if stored, _ := b.Store.Load(ctx, next.AggregateID); old.Token() != "" && name(stored) != old.Token() {
			return head.Head{}, &head.ConflictError{}
		}
		got, err := b.Store.Swap(ctx, old, next)
		if err != nil {
			return got, err
		}
		return got.WithToken(name(got)), nil
	}
}

func revisionOf(stored head.Head) string { return strconv.FormatUint(stored.Revision, 10) }

func sameRef(stored, old head.Head) bool { return stored.Ref == old.Ref }

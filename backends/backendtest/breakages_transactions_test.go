package backendtest

import (
	"context"
	"errors"
	"slices"
	"time"

	"ropewalk/head"
)

type swapAllFunc func(ctx context.Context, exchanges []head.Exchange) ([]head.Head, error)

// swapAllAs breaks SwapAll.
func swapAllAs(breaking func(b *broken, inner swapAllFunc, ctx context.Context, exchanges []head.Exchange) ([]head.Head, error)) func(*broken) {
	return func(b *broken) {
		inner := b.swapAll
		b.swapAll = func(ctx context.Context, exchanges []head.Exchange) ([]head.Head, error) {
			return breaking(b, inner, ctx, exchanges)
		}
	}
}

// swapOneByOne makes exchanges one after the other, up to the first that fails.
func swapOneByOne(b *broken, _ swapAllFunc, ctx context.Context, exchanges []head.Exchange) (heads []head.Head, err error) {
	if err := head.CheckExchanges(exchanges, b.Members()); err != nil {
		return nil, err
	}
	for _, e := range exchanges {
		h := e.Old
		if !e.Next.IsZero() {
			if h, err = b.Store.Commit(ctx, e.Changesets, e.Old, e.Next); err != nil {
				return nil, conflictsOf(e, err)
			}
		}
		heads = append(heads, h)
	}
	return heads, nil
}

func conflictsOf(e head.Exchange, err error) error {
	if conflict, ok := errors.AsType[*head.ConflictError](err); ok {
		return &head.ConflictsError{Winners: map[string]*head.Head{e.AggregateID: conflict.Winner}}
	}
	return err
}

// swapAllOf passes on other exchanges than were given.
func swapAllOf(change func(exchanges []head.Exchange) []head.Exchange) func(*broken) {
	return swapAllAs(func(_ *broken, inner swapAllFunc, ctx context.Context, exchanges []head.Exchange) ([]head.Head, error) {
		return inner(ctx, change(slices.Clone(exchanges)))
	})
}

// swapAllWithout sends exchanges again without the exchanges whose conditions failed.
func swapAllWithout(b *broken, inner swapAllFunc, ctx context.Context, exchanges []head.Exchange) ([]head.Head, error) {
	heads, err := inner(ctx, exchanges)
	if conflicts, ok := errors.AsType[*head.ConflictsError](err); ok {
		_, _ = inner(ctx, slices.DeleteFunc(slices.Clone(exchanges), func(e head.Exchange) bool { return conflicts.Winners[e.AggregateID] != nil }))
	}
	return heads, err
}

var transactorBreakages = []breakage{
	{swapsAll, "SwapAll returns heads in another order", swapAllAs(func(_ *broken, inner swapAllFunc, ctx context.Context, exchanges []head.Exchange) ([]head.Head, error) {
		heads, err := inner(ctx, exchanges)
		slices.Reverse(heads)
		return heads, err
	})},
	{swapsAll, "SwapAll swaps all except the last", swapAllAs(func(_ *broken, inner swapAllFunc, ctx context.Context, exchanges []head.Exchange) ([]head.Head, error) {
		last := len(exchanges) - 1
		heads, err := inner(ctx, exchanges[:last])
		return append(heads, exchanges[last].Next), err
	})},
	{swapAllPuts, "SwapAll puts nothing", swapAllOf(func(exchanges []head.Exchange) []head.Exchange {
		for i := range exchanges {
			exchanges[i].Changesets = nil
		}
		return exchanges
	})},
	{swapAllConflicts, "SwapAll swaps one by one", swapAllAs(swapOneByOne)},
	{swapAllConflicts, "SwapAll swaps what it can", swapAllAs(swapAllWithout)},
	{swapAllNamesWinners, "SwapAll names the first winner alone", swapAllAs(func(_ *broken, inner swapAllFunc, ctx context.Context, exchanges []head.Exchange) ([]head.Head, error) {
		heads, err := inner(ctx, exchanges)
		if conflicts, ok := errors.AsType[*head.ConflictsError](err); ok && len(conflicts.Winners) > 1 {
			for id := range conflicts.Winners {
				delete(conflicts.Winners, id)
				break
			}
		}
		return heads, err
	})},
	{swapAllUnchanged, "SwapAll pays no attention to heads that are to be unchanged", swapAllOf(func(exchanges []head.Exchange) []head.Exchange {
		return slices.DeleteFunc(exchanges, func(e head.Exchange) bool { return e.Next.IsZero() })
	})},
	{swapAllUnchanged, "SwapAll tests the revision of heads that are to be unchanged", swapAllAs(func(b *broken, inner swapAllFunc, ctx context.Context, exchanges []head.Exchange) ([]head.Head, error) {
		for _, e := range exchanges {
			if stored, _ := b.Store.Load(ctx, e.AggregateID); e.Next.IsZero() && !stored.SameRecord(e.Old) {
				return nil, &head.ConflictsError{Winners: map[string]*head.Head{e.AggregateID: &stored}}
			}
		}
		return inner(ctx, exchanges)
	})},
	{swapAllChecked, "SwapAll makes the exchanges that it can make", swapAllOf(func(exchanges []head.Exchange) []head.Exchange {
		good := slices.DeleteFunc(exchanges, func(e head.Exchange) bool { return !e.Next.IsZero() && head.CheckSwap(e.Old, e.Next) != nil })
		return good[:min(100, len(good))]
	})},
	{swapAllUnderEndedContext, "SwapAll pays no attention to the context", swapAllAs(func(_ *broken, inner swapAllFunc, ctx context.Context, exchanges []head.Exchange) ([]head.Head, error) {
		return inner(context.WithoutCancel(ctx), exchanges)
	})},
	{swapAllOfMost, "SwapAll makes several steps of many members", swapAllAs(func(_ *broken, inner swapAllFunc, ctx context.Context, exchanges []head.Exchange) (heads []head.Head, _ error) {
		if len(exchanges) > 100 {
			return inner(ctx, exchanges)
		}
		for part := range slices.Chunk(exchanges, 25) {
			some, err := inner(ctx, part)
			if err != nil {
				return nil, err
			}
			heads = append(heads, some...)
		}
		return heads, nil
	})},
	{swapAllsRace, "SwapAll tests all conditions, and then swaps", swapAllAs(func(b *broken, _ swapAllFunc, ctx context.Context, exchanges []head.Exchange) (heads []head.Head, err error) {
		for _, e := range exchanges {
			if stored, _ := b.Store.Load(ctx, e.AggregateID); !stored.SameRecord(e.Old) {
				return nil, &head.ConflictsError{Winners: map[string]*head.Head{e.AggregateID: &stored}}
			}
		}
		time.Sleep(10 * time.Millisecond) // the others test them too
		for _, e := range exchanges {
			h, err := write(b, e.Next)
			if err != nil {
				return nil, err
			}
			heads = append(heads, h)
		}
		return heads, nil
	})},
}

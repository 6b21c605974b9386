package backendtest

import (
	"context"
	"time"

	"ropewalk/head"
)

// polling is a follower that looks for news at times, and then yields what read
// returns.
func polling(pause time.Duration, read func(b *broken, ctx context.Context, after head.LogPosition) ([]head.LogEntry, error)) func(*broken) {
	return entriesAs(func(b *broken, intact entriesFun) entriesFun {
		return func(ctx context.Context, from head.LogPosition, follow bool) pages {
			if !follow {
				return intact(ctx, from, false)
			}
			return func(yield func([]head.LogEntry, error) bool) {
				for page, err := range intact(ctx, from, false) {
					if !yield(page, err) || err != nil {
						return
					}
					from = page[len(page)-1].Position
				}
				for ctx.Err() == nil {
					if !yield(nil, nil) {
						return
					}
					time.Sleep(pause)
					page, err := read(b, ctx, from)
					if len(page) > 0 {
						from = page[len(page)-1].Position
					}
					if len(page) > 0 && !yield(page, err) {
						return
					}
				}
				yield(nil, ctx.Err())
			}
		}
	})
}

// after returns the entries after a position.
func after(b *broken, ctx context.Context, position head.LogPosition) (all []head.LogEntry, err error) {
	for page, err := range b.Store.Entries(ctx, position, false) {
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
	}
	if position.Row > 0 {
		all = all[1:]
	}
	return all, nil
}

var followBreakages = []breakage{
	{followWaits, "a follower does not wait", polling(0, after)},
	{followWaits, "a follower yields no empty page", eachFollow(func(page []head.LogEntry) bool { return len(page) > 0 })},
	{followWaits, "a follower ends when it has yielded everything", entriesAs(func(_ *broken, intact entriesFun) entriesFun {
		return func(ctx context.Context, from head.LogPosition, _ bool) pages { return intact(ctx, from, false) }
	})},
	{followNoticesOwn, "a follower is slow", polling(2*promptness, after)},
	{followNoticesOthers, "a follower never wakes", entriesAs(func(_ *broken, intact entriesFun) entriesFun {
		return func(ctx context.Context, from head.LogPosition, follow bool) pages {
			return func(yield func([]head.LogEntry, error) bool) {
				intact(ctx, from, false)(yield)
				if follow && yield(nil, nil) {
					<-ctx.Done()
					yield(nil, ctx.Err())
				}
			}
		}
	})},
	{followIgnoresFences, "a follower yields the last entry at each news", func(b *broken) {
		polling(5*time.Millisecond, func(b *broken, ctx context.Context, position head.LogPosition) ([]head.LogEntry, error) {
			all, err := after(b, ctx, position)
			if err != nil || len(all) > 0 || position.Row == 0 {
				return all, err
			}
			return after(b, ctx, head.LogPosition{})
		})(b)
	}},
	{followRace, "a follower misses what is committed in a burst", polling(10*time.Millisecond, func(b *broken, ctx context.Context, position head.LogPosition) ([]head.LogEntry, error) {
		all, err := after(b, ctx, position)
		return all[max(0, len(all)-1):], err
	})},
	{followRace, "a follower repeats entries", polling(10*time.Millisecond, func(b *broken, ctx context.Context, position head.LogPosition) ([]head.LogEntry, error) {
		all, err := after(b, ctx, position)
		return append(all, all...), err
	})},
	{followEnds, "a follower ends without an error when its context does", silently},
	{followEnds, "a follower sees late that its context has ended", polling(2*promptness, after)},
	{followEnds, "a follower gives up", entriesAs(func(_ *broken, intact entriesFun) entriesFun {
		return func(ctx context.Context, from head.LogPosition, follow bool) pages {
			return func(yield func([]head.LogEntry, error) bool) {
				if intact(ctx, from, false)(yield); follow {
					yield(nil, context.DeadlineExceeded)
				}
			}
		}
	})},
}

// eachFollow leaves out pages that do not match.
func eachFollow(match func(page []head.LogEntry) bool) func(*broken) {
	return entriesAs(func(_ *broken, intact entriesFun) entriesFun {
		return func(ctx context.Context, from head.LogPosition, follow bool) pages {
			return where(intact(ctx, from, follow), match)
		}
	})
}

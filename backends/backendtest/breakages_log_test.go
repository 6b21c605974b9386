package backendtest

import (
	"cmp"
	"context"
	"iter"
	"slices"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
)

type (
	pages      = iter.Seq2[[]head.LogEntry, error]
	entriesFun = func(ctx context.Context, from head.LogPosition, follow bool) pages
)

// entriesAs breaks Entries.
func entriesAs(change func(b *broken, intact entriesFun) entriesFun) func(*broken) {
	return func(b *broken) { b.entries = change(b, b.entries) }
}

// eachPage breaks the pages that Entries yields; a page that becomes nil is left
// out.
func eachPage(change func(page []head.LogEntry) []head.LogEntry) func(*broken) {
	return entriesAs(func(_ *broken, intact entriesFun) entriesFun {
		return func(ctx context.Context, from head.LogPosition, follow bool) pages {
			return func(yield func([]head.LogEntry, error) bool) {
				for page, err := range intact(ctx, from, follow) {
					if len(page) > 0 {
						page = change(page)
					}
					if !yield(page, err) {
						return
					}
				}
			}
		}
	})
}

// eachEntry breaks the entries that Entries yields.
func eachEntry(change func(e *head.LogEntry)) func(*broken) { return eachPage(each(change)) }

// fromAs breaks the position that Entries begins at.
func fromAs(change func(from head.LogPosition) head.LogPosition) func(*broken) {
	return entriesAs(func(_ *broken, intact entriesFun) entriesFun {
		return func(ctx context.Context, from head.LogPosition, follow bool) pages {
			return intact(ctx, change(from), follow)
		}
	})
}

// endAs breaks LogEnd.
func endAs(change func(end *head.LogPosition)) func(*broken) {
	return func(b *broken) {
		intact := b.logEnd
		b.logEnd = func(ctx context.Context) (head.LogPosition, error) {
			end, err := intact(ctx)
			change(&end)
			return end, err
		}
	}
}

// logMore lets Swap log what it should not, if the swap, or its error, matches.
func logMore(match func(old, next head.Head, err error) bool) func(*broken) {
	return func(b *broken) {
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			got, err := b.Store.Swap(ctx, old, next)
			if match(old, next, err) {
				b.Tamper(func(all *memstore.Contents) {
					all.Log = append(all.Log, memstore.Logged{Mark: newMark(), Advance: advance(old, next)})
				})
			}
			return got, err
		}
	}
}

// logLess lets Swap log nothing if the swap matches.
func logLess(match func(old, next head.Head) bool) func(*broken) {
	return func(b *broken) {
		b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
			got, err := b.Store.Swap(ctx, old, next)
			if err == nil && match(old, next) {
				b.Tamper(func(all *memstore.Contents) { all.Log = all.Log[:len(all.Log)-1] })
			}
			return got, err
		}
	}
}

// unlessOther answers a position that the log does not have in another way, if
// it matches.
func unlessOther(match func(from, end head.LogPosition) bool) func(*broken) {
	return entriesAs(func(b *broken, intact entriesFun) entriesFun {
		return func(ctx context.Context, from head.LogPosition, follow bool) pages {
			if end, err := b.LogEnd(ctx); err == nil && match(from, end) {
				from = head.LogPosition{}
			}
			return intact(ctx, from, follow)
		}
	})
}

var logBreakages = []breakage{
	{logOfNothing, "LogEnd of an empty log has no generation", endAs(func(end *head.LogPosition) {
		if end.Row == 0 {
			end.Generation = ""
		}
	})},
	{logOfNothing, "LogEnd of an empty log has a mark", endAs(func(end *head.LogPosition) {
		if end.Row == 0 {
			end.Mark[0] = 1
		}
	})},
	{logOfChanges, "erasures are not logged", logLess(func(_, next head.Head) bool { return next.State == head.Erased })},
	{logOfChanges, "rebuilt heads are not logged", logLess(func(old, next head.Head) bool { return next.Revision > old.Revision+1 })},
	{logOfChanges, "commits are not logged", func(b *broken) {
		b.commit = func(ctx context.Context, cs []changeset.Changeset, old, next head.Head) (head.Head, error) {
			got, err := b.Store.Commit(ctx, cs, old, next)
			b.Tamper(func(all *memstore.Contents) { all.Log = all.Log[:len(all.Log)-1] })
			return got, err
		}
	}},
	{logOfChanges, "an advance has its last version alone", eachEntry(func(e *head.LogEntry) {
		e.Advance.First = max(e.Advance.First, e.Advance.Last)
	})},
	{logOfChanges, "an erasure repeats the last version", eachEntry(func(e *head.LogEntry) {
		e.Advance.First = min(e.Advance.First, e.Advance.Last)
	})},
	{logOfChanges, "an advance does not name the changeset before", eachEntry(func(e *head.LogEntry) { e.Advance.Before = changeset.ID{} })},
	{logOfChanges, "an erasure does not say so", eachEntry(func(e *head.LogEntry) { e.Advance.Erased = false })},
	{logOfChanges, "an advance is logged twice", logMore(func(old, next head.Head, err error) bool { return err == nil && next.Len() != old.Len() })},
	{logInOrder, "the newest come first", eachPage(reversed[head.LogEntry])},
	{logInOrder, "the order is by aggregate", eachPage(func(page []head.LogEntry) []head.LogEntry {
		slices.SortStableFunc(page[1:], func(a, b head.LogEntry) int { return cmp.Compare(a.Advance.AggregateID, b.Advance.AggregateID) })
		return page
	})},
	{logInOrder, "each handle has a log of its own", func(b *broken) { onlyOwn(b) }},
	{logLeavesOut, "fences are logged", logMore(func(old, next head.Head, err error) bool { return next.ID == old.ID && next.Checkpoint == "" })},
	{logLeavesOut, "checkpoints are logged", logMore(func(_, next head.Head, _ error) bool { return next.Checkpoint != "" })},
	{logLeavesOut, "reserved aggregates are logged", logMore(func(_, next head.Head, _ error) bool { return next.AggregateID[0] == '$' })},
	{logLeavesOutFailures, "conflicts are logged", logMore(func(_, _ head.Head, err error) bool { return err != nil })},
	{logOfWorstCase, "versions have 63 bits", eachEntry(func(e *head.LogEntry) { e.Advance.Last &= 1<<63 - 1 })},
	{logOfWorstCase, "aggregates are percent-encoded", eachEntry(func(e *head.LogEntry) { e.Advance.AggregateID = changeset.Escape(e.Advance.AggregateID) })},
	{logBegins, "Entries begins after the position", entriesAs(func(_ *broken, intact entriesFun) entriesFun {
		return func(ctx context.Context, from head.LogPosition, follow bool) pages {
			return func(yield func([]head.LogEntry, error) bool) {
				skip := from.Row > 0
				for page, err := range intact(ctx, from, follow) {
					if skip && len(page) > 0 {
						page, skip = page[1:], false
					}
					if (len(page) > 0 || err != nil || follow) && !yield(page, err) {
						return
					}
				}
			}
		}
	})},
	{logBeginsAtZero, "row 0 is not in the log", entriesAs(func(_ *broken, intact entriesFun) entriesFun {
		return func(ctx context.Context, from head.LogPosition, follow bool) pages {
			if from.Row == 0 && from.Generation != "" {
				from.Mark[0] = 1
			}
			return intact(ctx, from, follow)
		}
	})},
	{logBeginsAtZero, "rows are numbered from 0", eachEntry(func(e *head.LogEntry) { e.Position.Row-- })},
	{logInPages, "Entries ends with a page of nothing", entriesAs(func(_ *broken, intact entriesFun) entriesFun {
		return func(ctx context.Context, from head.LogPosition, follow bool) pages {
			return func(yield func([]head.LogEntry, error) bool) {
				for page, err := range intact(ctx, from, follow) {
					if !yield(page, err) {
						return
					}
				}
				yield(nil, nil)
			}
		}
	})},
	{logInPages, "Entries ends after 50 entries", eachPage(onePage[head.LogEntry])},
	{logInPages, "the last entry of a page comes twice", eachPage(repeated[head.LogEntry])},
	{logMayBeLeft, "Entries goes on when it is left", entriesAs(func(_ *broken, intact entriesFun) entriesFun {
		return func(ctx context.Context, from head.LogPosition, follow bool) pages {
			return stubborn(concatenated(intact(ctx, from, follow), intact(ctx, from, follow)))
		}
	})},
	{logMayBeLeft, "Entries can be ranged over once", entriesAs(func(_ *broken, intact entriesFun) entriesFun {
		return func(ctx context.Context, from head.LogPosition, follow bool) pages {
			return once(intact(ctx, from, follow))
		}
	})},
	{logHoldsNothing, "nothing is written while a loop works", func(b *broken) { lockOut(b) }},
	{logOfOther, "another generation is taken", unlessOther(func(from, end head.LogPosition) bool {
		return from.Generation != end.Generation && from.Row > 0
	})},
	{logOfOther, "another mark is taken", unlessOther(func(from, end head.LogPosition) bool {
		return from.Row == end.Row && from.Mark != end.Mark
	})},
	{logOfOther, "a row beyond the end is taken", unlessOther(func(from, end head.LogPosition) bool { return from.Row > end.Row })},
	{logOfOther, "a row of 64 bits is taken", unlessOther(func(from, _ head.LogPosition) bool { return from.Row>>63 == 1 })},
	{logOfOther, "row 0 of another generation is taken", unlessOther(func(from, end head.LogPosition) bool {
		return from.Row == 0 && from.Generation != end.Generation && from.Generation != ""
	})},
	{logOfOther, "the position is not looked at", fromAs(func(head.LogPosition) head.LogPosition { return head.LogPosition{} })},
	{logOfOther, "the error does not match ErrOtherLog", entriesAs(func(_ *broken, intact entriesFun) entriesFun {
		return func(ctx context.Context, from head.LogPosition, follow bool) pages {
			return hiding(intact(ctx, from, follow))
		}
	})},
	{logOfOther, "the error comes twice", entriesAs(func(_ *broken, intact entriesFun) entriesFun {
		return func(ctx context.Context, from head.LogPosition, follow bool) pages {
			return stubborn(concatenated(intact(ctx, from, follow), intact(ctx, from, follow)))
		}
	})},
	{logOfRace, "losers of races are logged", logMore(func(_, _ head.Head, err error) bool { return err != nil })},
	{logPositions, "marks are of the handle", func(b *broken) {
		mark := newMark()
		eachEntry(func(e *head.LogEntry) { e.Position.Mark = mark })(b)
	}},
	{logPositions, "marks are zeros", eachEntry(func(e *head.LogEntry) { e.Position.Mark = [8]byte{} })},
	{logPositions, "the generation is no hexadecimal number", eachEntry(func(e *head.LogEntry) { e.Position.Generation = "first" })},
	{logEnds, "LogEnd is one entry late", func(b *broken) {
		b.logEnd = func(ctx context.Context) (end head.LogPosition, err error) {
			all := []head.LogPosition{{}}
			for page, err := range b.Store.Entries(ctx, end, false) {
				for _, e := range page {
					all = append(all, e.Position)
				}
				if err != nil {
					return end, err
				}
			}
			return all[max(0, len(all)-2)], nil
		}
	}},
	{logUnderEndedContext, "LogEnd does not look at its context", func(b *broken) {
		b.logEnd = func(ctx context.Context) (head.LogPosition, error) { return b.Store.LogEnd(context.WithoutCancel(ctx)) }
	}},
	{logUnderEndedContext, "Entries does not look at its context", entriesAs(func(_ *broken, intact entriesFun) entriesFun {
		return func(ctx context.Context, from head.LogPosition, follow bool) pages {
			return intact(context.WithoutCancel(ctx), from, false)
		}
	})},
	{logCancelled, "Entries hides that its context has ended on the way", entriesAs(func(_ *broken, intact entriesFun) entriesFun {
		return func(ctx context.Context, from head.LogPosition, follow bool) pages {
			return hiding(intact(ctx, from, follow))
		}
	})},
	{logCancelled, "a follower ends without an error when its context does", silently},
}

// silently lets a follower end without an error.
func silently(b *broken) {
	entriesAs(func(_ *broken, intact entriesFun) entriesFun {
		return func(ctx context.Context, from head.LogPosition, follow bool) pages {
			return func(yield func([]head.LogEntry, error) bool) {
				for page, err := range intact(ctx, from, follow) {
					if err != nil && ctx.Err() != nil || !yield(page, err) {
						return
					}
				}
			}
		}
	})(b)
}

// concatenated yields two sequences.
func concatenated[T any](a, b iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		a(yield)
		b(yield)
	}
}

// onlyOwn lets a handle read only what it has committed itself.
func onlyOwn(b *broken) {
	own := map[changeset.ID]bool{}
	swap := b.swap
	b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
		got, err := swap(ctx, old, next)
		own[next.ID] = err == nil
		return got, err
	}
	eachPage(func(page []head.LogEntry) []head.LogEntry {
		return slices.DeleteFunc(page, func(e head.LogEntry) bool { return !own[e.Advance.ID] })
	})(b)
}

// lockOut lets swaps fail while a loop over the log works.
func lockOut(b *broken) {
	reading := 0
	entriesAs(func(_ *broken, intact entriesFun) entriesFun {
		return func(ctx context.Context, from head.LogPosition, follow bool) pages {
			return func(yield func([]head.LogEntry, error) bool) {
				reading++
				defer func() { reading-- }()
				intact(ctx, from, follow)(yield)
			}
		}
	})(b)
	swap := b.swap
	b.swap = func(ctx context.Context, old, next head.Head) (head.Head, error) {
		if reading > 0 {
			return head.Head{}, &head.NotAppliedError{Retryable: true, Err: context.DeadlineExceeded}
		}
		return swap(ctx, old, next)
	}
}

// newMark returns the random bytes of a new ID.
func newMark() [8]byte {
	id := changeset.NewID()
	return [8]byte(id[8:])
}

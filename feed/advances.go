package feed

import (
	"context"
	"iter"

	"ropewalk/head"
)

// Advance is an advance of an aggregate, and the place in the feed after it.
type Advance struct {
	head.Advance
	// Position is the place after the advance.
	Position Position
}

// Advances is [Feed.Follow] without changesets, which are not read: it yields which
// aggregates have advanced, in pages, and goes on until the context ends. An empty page
// means that there is nothing more for now. [Options.Only] selects aggregates.
func (f *Feed) Advances(ctx context.Context, position Position) iter.Seq2[[]Advance, error] {
	return func(yield func([]Advance, error) bool) {
		for entries, err := range f.pages(ctx, position, true) {
			page := make([]Advance, 0, len(entries))
			for _, e := range entries {
				if only := f.options.Only; only == nil || only(e.advance.AggregateID) {
					page = append(page, Advance{e.advance, e.position})
				}
			}
			if wanted := err != nil || len(page) > 0 || len(entries) == 0; wanted && !yield(page, err) {
				return
			}
		}
	}
}

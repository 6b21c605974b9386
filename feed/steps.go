package feed

import (
	"context"
	"iter"

	"ropewalk/head"
)

// Selection selects changes of a feed. The zero Selection selects all changes.
type Selection struct {
	// Prefix selects the aggregates whose IDs begin with it. The changesets of other
	// aggregates are not read.
	Prefix string
	// Types, if not empty, selects the changesets with an event of one of these types,
	// as [SubscriptionOptions.Types] does. Erasures are selected regardless.
	Types []string
}

// Step is one step along a feed: a change, the end of changes that are not selected,
// or the news that the feed has nothing more for now.
type Step struct {
	// Change is the change. If Skipped is set, only its position is set. If CaughtUp is
	// set, nothing is set.
	Change
	// Skipped means that the changes up to the position are not selected.
	Skipped bool
	// CaughtUp means that the feed has nothing after the earlier steps for now.
	CaughtUp bool
}

// Steps is [Feed.Follow] for listeners that store their position along with their
// work. It also yields the positions after changes that are not selected, so that
// the position of a listener need not stay before them, and it says when the feed
// has nothing more for now: at least once after the newest change, and again
// whenever it has looked for more. [Options.Only] applies, too.
func (f *Feed) Steps(ctx context.Context, position Position, selection Selection) iter.Seq2[Step, error] {
	filter := SubscriptionOptions{Prefix: selection.Prefix, Types: selection.Types}
	want := func(a head.Advance) bool {
		return filter.wants(a) && (f.options.Only == nil || f.options.Only(a.AggregateID))
	}
	return func(yield func(Step, error) bool) {
		for d, err := range f.deliveries(ctx, position, true, want) {
			if err != nil {
				yield(Step{}, err)
				return
			}
			if !yield(filter.step(d), nil) {
				return
			}
		}
	}
}

// step returns the step of a delivery.
func (o *SubscriptionOptions) step(d delivery) Step {
	switch {
	case d.kind == caughtUp:
		return Step{CaughtUp: true}
	case d.kind == skipped || !o.delivers(d.Change):
		return Step{Change: Change{Position: d.Position}, Skipped: true}
	}
	return Step{Change: d.Change}
}

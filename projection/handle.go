package projection

import (
	"context"
	"database/sql"

	"ropewalk/aggregate"
	"ropewalk/feed"
)

// Handle returns a handler that hands over the events of the changes one by one, in
// order, as [aggregate.Handle] does: upcasters are applied, and a stored event that
// cannot be read is an error of the handler. All events of a changeset are handled in
// one transaction, or none.
//
// It calls erased, with the aggregate ID, when the history of an aggregate was erased:
// then everything that was made of its events should be removed too. It may call erased
// more than once, and for an aggregate of which it has handed over no event. A nil
// erased ignores erasures. If the store has aggregates of several types, select the
// type by [Options.Prefix].
//
// Handle panics where [aggregate.Type.Check] finds an error.
func Handle[S, E any](t aggregate.Type[S, E], event func(context.Context, *sql.Tx, aggregate.Delivered[E]) error, erased func(context.Context, *sql.Tx, string) error) Handler {
	events := aggregate.EventsOf(t)
	return func(ctx context.Context, tx *sql.Tx, c feed.Change) error {
		if c.Erased && erased != nil {
			return erased(ctx, tx, c.AggregateID)
		}
		delivered, err := events(c)
		for _, e := range delivered {
			if err := event(ctx, tx, e); err != nil {
				return err
			}
		}
		return err
	}
}

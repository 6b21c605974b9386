package aggregate

import (
	"context"

	"ropewalk/feed"
)

// Delivered is an event that a subscription delivers.
type Delivered[E any] struct {
	Recorded[E]
	// AggregateID names the aggregate of the event.
	AggregateID string
	// Change is the change of the feed that the event is a part of. All events of a
	// changeset have the same one.
	Change feed.Change
}

// Handle returns a handler for [feed.Subscription.Run] that hands over the events of
// the changes one by one, in order, as a [Repository] reads them: upcasters are
// applied.
//
// It calls event for each event, and stops at the first error: the change is then not
// handled, and all of its events are handed over again. It calls erased, with the
// aggregate ID, when the history of an aggregate was erased: then everything that
// was made of its events should be removed too. It may call erased more than once,
// and for an aggregate of which it has handed over no event. A nil erased ignores
// erasures.
//
// A stored event that cannot be read is a [*DecodeError] or an [*UnknownEventError]
// of the handler. If the store has aggregates of several types, select the type by
// [feed.SubscriptionOptions.Prefix].
//
// Handle panics where [Type.Check] finds an error.
func Handle[S, E any](t Type[S, E], event func(context.Context, Delivered[E]) error, erased func(context.Context, string) error) feed.Handler {
	p, err := t.plan()
	if err != nil {
		panic(err)
	}
	return func(ctx context.Context, c feed.Change) error {
		if c.Erased && erased != nil {
			return erased(ctx, c.AggregateID)
		}
		if c.Erased {
			return nil
		}
		records, err := p.read(c.Changeset)
		if err != nil {
			return err
		}
		for _, record := range records {
			if err := event(ctx, Delivered[E]{record, c.AggregateID, c}); err != nil {
				return err
			}
		}
		return nil
	}
}

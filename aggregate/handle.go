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
	events := EventsOf(t)
	return func(ctx context.Context, c feed.Change) error {
		if c.Erased && erased != nil {
			return erased(ctx, c.AggregateID)
		}
		delivered, err := events(c)
		for _, e := range delivered {
			if err := event(ctx, e); err != nil {
				return err
			}
		}
		return err
	}
}

// EventsOf returns a function that returns the events of a change, as [Handle] hands
// them over: all events in order, or an error, and no event for an erasure. It is
// for handlers of another form. It panics where [Type.Check] finds an error.
func EventsOf[S, E any](t Type[S, E]) func(feed.Change) ([]Delivered[E], error) {
	p, err := t.plan()
	if err != nil {
		panic(err)
	}
	return func(c feed.Change) ([]Delivered[E], error) {
		if c.Erased {
			return nil, nil
		}
		records, err := p.read(c.Changeset)
		if err != nil {
			return nil, err
		}
		events := make([]Delivered[E], len(records))
		for i, record := range records {
			events[i] = Delivered[E]{record, c.AggregateID, c}
		}
		return events, nil
	}
}

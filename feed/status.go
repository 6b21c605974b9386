package feed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ropewalk"
	"ropewalk/gc"
	"ropewalk/internal/reserved"
)

// Status says where a feed stands.
type Status struct {
	// Log means that the backend's own log is the feed: it never lags.
	Log bool
	// Generation names the feed: 16 hexadecimal digits.
	Generation string
	// Source is the name of the source of hints; empty for a log.
	Source string
	// End is the position after the newest change.
	End Position
	// Batches counts the changesets of the feed; 0 for a log.
	Batches uint64
	// Aggregates counts the aggregates that were fed; 0 for a log.
	Aggregates int
	// FedAt is when the newest batch was recorded; zero if nothing was fed yet.
	FedAt time.Time
	// Sweeping means that a sweep has begun and has not ended.
	Sweeping bool
	// Unread are aggregates whose heads do not decode.
	Unread []string
	// Unfed means that there are changes that the feed lacks, and OldestUnfed is
	// when the oldest of those that were looked at happened. Without a relay this
	// is the only sign: to a subscription everything seems delivered.
	Unfed       bool
	OldestUnfed time.Time
}

// Status returns where the feed stands. It reads the snapshot of the feed and the
// batches after it, and then the source, until it finds a change that the feed
// lacks or has seen everything. The error matches [ErrNoFeed] if there is no feed.
func (f *Feed) Status(ctx context.Context) (Status, error) {
	end, err := f.End(ctx)
	if err != nil {
		return Status{}, err
	}
	if f.log != nil {
		return Status{Log: true, Generation: end.generation, End: end}, nil
	}
	r := f.Relay(nil)
	registered, _, err := f.registered(ctx)
	if err != nil {
		return Status{}, err
	}
	st, err := f.newState(ctx, registered.Generation)
	if err != nil {
		return Status{}, err
	}
	s := r.session(st, look, &RelayReport{})
	err = s.run(ctx)
	if err != nil && !errors.Is(err, errNews) {
		return Status{}, err
	}
	return Status{
		Generation: registered.Generation, Source: registered.Source, End: end, Batches: st.head.Len(), Aggregates: st.progress.len(),
		FedAt: st.fedAt, Sweeping: st.head.Exists() && st.newest.cursorOf(st.newest.Source) == nil, Unread: st.newest.Unread,
		Unfed: err != nil, OldestUnfed: s.oldest,
	}, nil
}

// Drop gives the feed up and erases it. Subscriptions to it then end with
// [ErrOtherHistory], and relays with [ErrFeedReplaced]. The next relay makes a new
// feed, from all that the heads then say. Drop may be interrupted and repeated. A log
// cannot be dropped: the error matches [errors.ErrUnsupported].
func (f *Feed) Drop(ctx context.Context) error {
	if f.log != nil {
		return fmt.Errorf("the log of the backend is the feed, and cannot be dropped: %w", errors.ErrUnsupported)
	}
	r, h, err := f.registered(ctx)
	if err != nil {
		return err
	}
	if r.Generation == noGeneration && r.Dropped == "" {
		return ErrNoFeed
	}
	dropped := r.Dropped
	if r.Generation != noGeneration {
		dropped = r.Generation
		if err := f.registerAs(ctx, h, registration{Format: formatOfBatches, Generation: noGeneration, Dropped: dropped}); err != nil {
			return err
		}
	}
	return f.eraseGeneration(ctx, dropped)
}

// eraseGeneration erases the chain of a generation, and its snapshots.
func (f *Feed) eraseGeneration(ctx context.Context, generation string) error {
	objects, ok := f.store.Changesets().(gc.Changesets)
	if !ok {
		return fmt.Errorf("the storage cannot list and delete objects: %w", errors.ErrUnsupported)
	}
	_, err := gc.New(objects, f.heads, nil).Erase(reserved.Open(ctx), reserved.Feed(generation))
	if errors.Is(err, ropewalk.ErrNotFound) {
		return nil // nothing was ever fed
	}
	return err
}

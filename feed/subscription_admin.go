package feed

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"ropewalk"
	"ropewalk/head"
)

// SubscriptionStatus is how far a subscription has come, as its store has it.
type SubscriptionStatus struct {
	// Name and Share name the subscription.
	Name  string
	Share Share
	// Owner is a random text for the run that owns the subscription; empty if no run
	// does. An owner that has died is not removed.
	Owner string
	// Fence counts the owners so far. See [Change].
	Fence uint64
	// Position is the checkpoint: all changes up to here are handled or parked.
	Position Position
	// Parked are the parked aggregates, sorted by ID.
	Parked []Parked
	// Replaying means that the owner, or the next one, is to replay the parked
	// aggregates.
	Replaying bool
}

// Subscriptions yields all subscriptions of the store, sorted by name. It makes a
// few requests for each, and never looks at all heads. At most one error ends it.
func (f *Feed) Subscriptions(ctx context.Context) iter.Seq2[SubscriptionStatus, error] {
	return func(yield func(SubscriptionStatus, error) bool) {
		keys, err := f.subscriptionKeys(ctx)
		if err != nil {
			yield(SubscriptionStatus{}, err)
			return
		}
		for _, key := range keys {
			s, err := f.subscriptionOf(key)
			var status SubscriptionStatus
			if err == nil {
				status, err = s.Status(ctx)
			}
			if errors.Is(err, ropewalk.ErrNotFound) {
				continue // deleted, or its creation is under way
			}
			if !yield(status, err) || err != nil {
				return
			}
		}
	}
}

func (f *Feed) subscriptionKeys(ctx context.Context) ([]string, error) {
	r, err := f.indexChain().Reader(ctx)
	if err != nil && !errors.Is(err, ropewalk.ErrNotFound) {
		return nil, err
	}
	in, err := readIndex(ctx, r)
	return in.Keys, err
}

// subscriptionOf returns the subscription of a key.
func (f *Feed) subscriptionOf(key string) (*Subscription, error) {
	name, share, divided := strings.Cut(key, "/")
	var options SubscriptionOptions
	if number, of, ok := strings.Cut(share, "-of-"); divided && ok {
		options.Share.Index, _ = strconv.Atoi(number)
		options.Share.Of, _ = strconv.Atoi(of)
	}
	s := f.Subscription(name, &options)
	if s.key() != key {
		return nil, fmt.Errorf("%q does not name a subscription", key)
	}
	return s, s.check()
}

// existing returns the record of a subscription that exists, or an error that
// matches [ropewalk.ErrNotFound].
func (s *Subscription) existing(ctx context.Context) (record, error) {
	if err := s.check(); err != nil {
		return record{}, err
	}
	r, err := s.load(ctx, record{})
	if err == nil && !r.exists() {
		err = fmt.Errorf("subscription %q: %w", s.key(), ropewalk.ErrNotFound)
	}
	return r, err
}

// Status returns how far the subscription has come. Its error matches
// [ropewalk.ErrNotFound] if the subscription has never run.
func (s *Subscription) Status(ctx context.Context) (SubscriptionStatus, error) {
	r, err := s.existing(ctx)
	if err != nil {
		return SubscriptionStatus{}, err
	}
	return SubscriptionStatus{
		Name: s.name, Share: s.options.Share, Owner: r.owner, Fence: r.fence,
		Position: r.position, Parked: r.sortedParked(), Replaying: r.replay,
	}, nil
}

// Lag is how far a subscription is from the end of the feed.
type Lag struct {
	// Position is the checkpoint, and End the end of the feed.
	Position, End Position
	// Changes is the number of changes after the checkpoint that may be for the
	// handler: filters that need the content are not applied.
	Changes uint64
	// AtLeast means that there are more changes: the count has ended early.
	AtLeast bool
	// Oldest is when the first of these changes was recorded, by the clock of its
	// writer. It is zero without such a change, and if the change is an erasure.
	Oldest time.Time
}

// maxCounted is the number of advances at which [Subscription.Lag] ends its count.
const maxCounted = 100_000

// Lag returns how far the checkpoint is from the end of the feed. Changes that the
// feed does not have yet do not count: a relay may have a lag of its own. It reads
// the feed from the checkpoint on, at most 100,000 advances of it, and one header,
// but no content. It returns the errors of [Subscription.Status] and [Feed.After].
func (s *Subscription) Lag(ctx context.Context) (Lag, error) {
	r, err := s.existing(ctx)
	if err != nil {
		return Lag{}, err
	}
	lag := Lag{Position: r.position}
	if lag.End, err = s.feed.End(ctx); err != nil {
		return lag, err
	}
	first, err := s.count(ctx, &lag)
	if err != nil {
		return lag, s.withAdvice(err)
	}
	lag.Oldest, err = s.feed.recordedAt(ctx, first)
	return lag, err
}

// count counts the changes after the position, and returns the first entry that
// has one.
func (s *Subscription) count(ctx context.Context, lag *Lag) (first head.Advance, err error) {
	advances := 0
	for page, err := range s.feed.pages(ctx, lag.Position, false) {
		if err != nil {
			return first, err
		}
		for _, e := range page {
			if !s.options.wants(e.advance) {
				continue
			}
			if lag.Changes == 0 {
				first = e.advance
			}
			lag.Changes++
			if !e.advance.Erased {
				lag.Changes += e.advance.Last - e.advance.First
			}
		}
		if advances += len(page); advances >= maxCounted {
			lag.AtLeast = true
			break
		}
	}
	return first, nil
}

// recordedAt returns when the first change of an advance was recorded. It returns
// the zero time for an erasure, and if the aggregate was erased since.
func (f *Feed) recordedAt(ctx context.Context, a head.Advance) (time.Time, error) {
	if a.ID.IsZero() || a.Erased {
		return time.Time{}, nil
	}
	at, err := f.firstRecordedAt(ctx, a)
	if err != nil && f.unlessErased(ctx, piece{entry: entry{advance: a}}, err).err == nil {
		return time.Time{}, nil
	}
	return at, err
}

func (f *Feed) firstRecordedAt(ctx context.Context, a head.Advance) (time.Time, error) {
	newest, err := f.newReading().headAt(ctx, ropewalk.Ref{AggregateID: a.AggregateID, Version: a.Last, ID: a.ID})
	if err != nil || a.First == a.Last && !newest.IsPacked() {
		return newest.UpdatedAt, err
	}
	versions := ropewalk.Range{First: a.First, Last: a.First}
	for h, err := range f.store.Chain(a.AggregateID).ReaderAt(newest).Headers(ctx, versions) {
		return h.RecordedAt, err
	}
	return time.Time{}, ctx.Err()
}

// Reset lets the subscription go on after a position. The parked aggregates whose
// changes come after the position are no longer parked, because their changes are
// delivered again. The other ones stay parked, except if their place is of another
// feed, which a log message reports. The present owner, if there is one, ends
// with [ErrReplaced]. Without an owner, nothing changes until the next run.
//
// Its error matches [ropewalk.ErrNotFound] if the subscription has never run, and
// [ErrOtherHistory] if the feed does not have the position.
func (s *Subscription) Reset(ctx context.Context, position Position) error {
	r, err := s.existing(ctx)
	if err != nil {
		return err
	}
	if err := s.feed.checkPosition(ctx, position); err != nil {
		return err
	}
	_, err = s.edit(ctx, r, func(r record) (checkpoint, error) {
		c := r.checkpoint
		c.owner, c.position, c.parked = "", position, map[string]Parked{}
		c.beat++
		for id, p := range r.parked {
			order, known := p.Position.Compare(position)
			if known && order < 0 {
				c.parked[id] = p
			}
			if !known {
				s.options.Logger.WarnContext(ctx, "parked aggregate forgotten by reset", "subscription", s.key(), "aggregate", id, "version", p.Version)
			}
		}
		return c, nil
	})
	return err
}

// checkPosition returns an error that matches [ErrOtherHistory] if the feed does not
// have a position. Every feed has the beginning.
func (f *Feed) checkPosition(ctx context.Context, position Position) error {
	if position.IsZero() {
		return nil
	}
	for _, err := range f.pages(ctx, position, false) {
		return err
	}
	return ctx.Err()
}

var errNothingToDo = errors.New("there is nothing to do")

// Replay asks the owner, or the next one, to hand over the changes of all parked
// aggregates: the changes that were not handled, and all later ones, in order. New
// changes wait until they are handed over. An aggregate with a change that fails
// again stays parked from that change on; if it was erased, only the erasure is
// delivered. An owner learns about the request within a third of
// [SubscriptionOptions.Standby].
//
// Replay returns when the request is stored; [Subscription.Status] shows its
// progress. Its error matches [ropewalk.ErrNotFound] if the subscription has never
// run.
func (s *Subscription) Replay(ctx context.Context) error {
	r, err := s.existing(ctx)
	if err != nil {
		return err
	}
	_, err = s.edit(ctx, r, func(r record) (checkpoint, error) {
		c := r.checkpoint
		if c.replay || len(c.parked) == 0 {
			return c, errNothingToDo
		}
		c.replay = true
		c.beat++
		return c, nil
	})
	if errors.Is(err, errNothingToDo) {
		return nil
	}
	return err
}

// Delete deletes the subscription: its checkpoint and its list of parked aggregates
// are gone. The present owner, if there is one, ends with [ErrReplaced]. If the
// subscription runs again, it is new. Its error matches [ropewalk.ErrNotFound] if
// the subscription does not exist.
func (s *Subscription) Delete(ctx context.Context) error {
	tried := false
	for trouble := s.patience(); ; {
		r, err := s.existing(ctx)
		if errors.Is(err, ropewalk.ErrNotFound) && tried {
			return nil
		}
		if err == nil {
			tried = true
			_, err = s.define(ctx, r, definition{Deleted: true})
		}
		if err == nil || errors.Is(err, ropewalk.ErrNotFound) {
			return err
		}
		if err := trouble.Wait(ctx, err); err != nil {
			return err
		}
	}
}

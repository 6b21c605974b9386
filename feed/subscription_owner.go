package feed

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"ropewalk"
	"ropewalk/head"
	"ropewalk/internal/link"
	"ropewalk/internal/pause"
)

// beats is how many times within Standby an owner saves at least. A request is
// given up after this part of Standby.
const beats = 3

// looks is how many times within Standby a consumer in standby looks.
const looks = 15

var (
	errTimeUp = errors.New("no request succeeded in the time for it")
	errOwned  = errors.New("another consumer owns the subscription")
)

// edit replaces the checkpoint of a record by the checkpoint that change returns.
// It returns the new record. An error of change ends it.
//
// The outcome is never guessed. After a conflict, and after a request whose
// outcome is unknown, edit loads the record: if it has the very checkpoint that
// was sent, the edit is done. Otherwise change is called again with the record
// that is there now. This is safe even if the first request takes effect later,
// because a swap only takes effect on the record that it was built on. Of two
// swaps from one record, at most one does.
func (s *Subscription) edit(ctx context.Context, r record, change func(record) (checkpoint, error)) (record, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.options.Standby, errTimeUp)
	defer cancel()
	for pauses, cause := pause.New(), error(nil); ; {
		next, err := change(r)
		if err != nil {
			return r, err
		}
		var done bool
		if r, done, err = s.swap(ctx, r, next); done || err != nil && !transient(err) {
			return r, err
		}
		if err != nil {
			cause = err
			s.options.Logger.WarnContext(ctx, "checkpoint not saved, trying again", "subscription", s.key(), "cause", err)
			if pauses.Wait(ctx) != nil {
				return r, fmt.Errorf("save checkpoint of subscription %q: %w: %w", s.key(), context.Cause(ctx), cause)
			}
		}
	}
}

// swap sends one swap. It reports true if the record has the checkpoint. Otherwise
// it returns the record to try again with. With an error, a pause must come first.
func (s *Subscription) swap(ctx context.Context, r record, c checkpoint) (record, bool, error) {
	next := link.Fence(r.head)
	next.Checkpoint = c.text()
	h, err := within(ctx, s.options.Standby/beats, func(ctx context.Context) (head.Head, error) {
		return s.feed.heads.Swap(ctx, r.head, next)
	})
	if err == nil {
		return record{h, r.definition, c}, true, nil
	}
	if _, ok := errors.AsType[*head.NotAppliedError](err); ok {
		return r, false, err
	}
	now, loadErr := s.load(ctx, r)
	if loadErr != nil {
		return r, false, loadErr
	}
	if now.head.Ref == r.head.Ref && now.head.Revision > r.head.Revision && now.head.Checkpoint == next.Checkpoint {
		return now, true, nil
	}
	if _, conflict := errors.AsType[*head.ConflictError](err); conflict && !sameRecord(now.head, r.head) {
		err = nil
	}
	return now, false, err
}

// within sends a request, and gives up on it in time for another one.
func within[T any](ctx context.Context, d time.Duration, request func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return request(ctx)
}

// transient reports whether the same request may succeed a little later.
func transient(err error) bool {
	if refused, ok := errors.AsType[*head.NotAppliedError](err); ok {
		return refused.Retryable || errors.Is(err, context.DeadlineExceeded)
	}
	for _, permanent := range []error{
		ropewalk.ErrHeadLost, ropewalk.ErrErased, ropewalk.ErrUnsupportedFormat, ropewalk.ErrTooLarge,
		ropewalk.ErrInvalidAggregateID, ErrOtherHistory, ErrFeedReplaced, ErrNoFeed,
	} {
		if errors.Is(err, permanent) {
			return false
		}
	}
	_, corrupt := errors.AsType[*ropewalk.CorruptError](err)
	return !corrupt
}

// tenure is the ownership of a subscription by one run. It is not safe for
// concurrent use.
type tenure struct {
	sub    *Subscription
	record record
	since  time.Time // before it began
}

// claim returns when the subscription is owned by this run. It creates the
// subscription if it does not exist, and stands by while it has an owner that is
// alive.
func (s *Subscription) claim(ctx context.Context) (*tenure, error) {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	me := hex.EncodeToString(random[:])
	silence := pause.Silence[string]{For: s.options.Standby}
	for r, trouble := (record{}), s.patience(); ; {
		now, err := s.present(ctx, r)
		since := time.Now()
		if err == nil {
			r, err = s.take(ctx, now, me, &silence)
		}
		switch {
		case err == nil:
			s.options.Logger.InfoContext(ctx, "subscription claimed", "subscription", s.key(), "fence", r.fence)
			return &tenure{s, r, since}, nil
		case errors.Is(err, errOwned):
			trouble.Over()
			if err := pause.Sleep(ctx, s.options.Standby/looks); err != nil {
				return nil, err
			}
		default:
			if err := trouble.Wait(ctx, err); err != nil {
				return nil, fmt.Errorf("claim subscription %q: %w", s.key(), err)
			}
		}
	}
}

// present returns the record, and creates the subscription if it does not exist.
func (s *Subscription) present(ctx context.Context, seen record) (record, error) {
	r, err := s.load(ctx, seen)
	if err != nil || r.exists() {
		return r, err
	}
	return within(ctx, s.options.Standby, func(ctx context.Context) (record, error) { return s.create(ctx, r) })
}

// take makes one attempt to own the subscription. Its error is errOwned if
// another owner is alive: look again later.
func (s *Subscription) take(ctx context.Context, r record, me string, silence *pause.Silence[string]) (record, error) {
	return s.edit(ctx, r, func(r record) (checkpoint, error) {
		owned := r.owner != "" && r.owner != me && !silence.Lasts(r.head.Checkpoint)
		if owned || !r.exists() { // it may have been deleted since it was loaded
			return checkpoint{}, errOwned
		}
		c := r.checkpoint
		c.owner = me
		c.fence++
		c.beat++
		return c, nil
	})
}

// save saves the state of the run, with this owner. If the record has a new request
// for a replay, it calls onReplay first. Its error matches [ErrReplaced] if the run
// is no longer the owner.
func (t *tenure) save(ctx context.Context, owner string, onReplay func(), state func() checkpoint) error {
	mine := t.record
	r, err := t.sub.edit(ctx, t.record, func(r record) (checkpoint, error) {
		if r.head.Ref != mine.head.Ref || r.owner != mine.owner || r.fence != mine.fence {
			return checkpoint{}, t.sub.replaced(r)
		}
		if r.replay && !mine.replay {
			mine.replay = true
			onReplay()
		}
		c := state()
		c.of, c.owner, c.fence, c.beat = r.of, owner, r.fence, r.beat+1
		return c, nil
	})
	t.record = r
	return err
}

func (s *Subscription) replaced(r record) error {
	switch {
	case !r.exists():
		return fmt.Errorf("subscription %q: %w: it was deleted", s.key(), ErrReplaced)
	case r.owner == "":
		return fmt.Errorf("subscription %q: %w: it was reset", s.key(), ErrReplaced)
	}
	return fmt.Errorf("subscription %q: %w: owner %s with fence %d", s.key(), ErrReplaced, r.owner, r.fence)
}

// patience bounds how long requests may fail one after another.
func (s *Subscription) patience() *pause.Patience {
	return &pause.Patience{For: s.options.Standby, Passing: transient, Warn: func(ctx context.Context, err error) {
		s.options.Logger.WarnContext(ctx, "request failed, trying again", "subscription", s.key(), "cause", err)
	}}
}

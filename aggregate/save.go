package aggregate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// Create saves the first events of an aggregate that must not exist yet. It is
// [Repository.Save] after the zero Head.
func (r *Repository[S, E]) Create(ctx context.Context, id string, events []E, options ...Option) (Loaded[S], error) {
	return r.Save(ctx, Loaded[S]{ID: id}, events, options...)
}

// Save appends events, all or none, after the head that the aggregate was
// loaded at, and returns the aggregate as it is then, ready for the next Save.
// It is one attempt of two round trips, or of one if the events fit into the head of a
// packed chain. Without events it sends nothing.
//
// When ctx ends after the head's swap was sent, Save goes on until the outcome
// is known, for ropewalk.Options.SettleTimeout, 10 seconds by default, at most.
//
// Its error says the outcome; with any error Save returns the aggregate as given:
//   - *ropewalk.ConflictError: refused for good, another append came first. A
//     [*PreconditionError] is one, too.
//   - *ropewalk.UncertainError: unknown so far. Chain.Settle of package
//     ropewalk finds out; with [Once], the whole call may as well be repeated.
//   - ropewalk.ErrErased, ropewalk.ErrHeadLost: as of an append.
//   - [ErrInvalidKey], or that an event is not in [Events] or would not come
//     back from storage as it is: nothing was sent. Unexported fields, text that
//     is not UTF-8, and an empty map or slice with omitempty do not come back.
//     Times come back with their offset from UTC, without the name of the zone.
//   - any other: nothing was committed, and nothing ever will be. With [Once] it
//     can also be that the command was processed before, by a call with other
//     events, which could not be read: repeat it.
func (r *Repository[S, E]) Save(ctx context.Context, loaded Loaded[S], events []E, options ...Option) (Loaded[S], error) {
	c, err := r.options.call(ctx, options)
	if err != nil {
		return loaded, err
	}
	saved, err := r.save(ctx, loaded, events, c)
	if err != nil {
		return loaded, err
	}
	return saved, nil
}

// save is Save. Together with a conflict it returns the aggregate as far as it
// has read it.
func (r *Repository[S, E]) save(ctx context.Context, l Loaded[S], events []E, c *call) (Loaded[S], error) {
	l.Repeated = false
	if repeated, err := c.admit(&l.Repeated, l.commands, l.Head); repeated || err != nil || len(events) == 0 {
		return l, err
	}
	draft, records, err := r.draft(events, c)
	if err != nil {
		return l, fmt.Errorf("save %q: %w", l.ID, err)
	}
	h, err := r.store.Chain(l.ID).Append(ctx, l.Head, draft)
	switch {
	case err != nil:
		return r.refused(ctx, l, c, err)
	// An earlier append with the same command ID may have made the head.
	case c.key != "" && !link.Made(l.Head, h, draft, changeset.Commit{}, r.store.Options().Compress):
		return r.recognised(ctx, l, h, draft)
	}
	return r.saved(ctx, l, records, command{id: c.key}, h), nil
}

// saved returns the aggregate after a save of records that has made the head h.
func (r *Repository[S, E]) saved(ctx context.Context, l Loaded[S], records []Recorded[E], c command, h head.Head) Loaded[S] {
	for _, record := range records {
		l.State = r.plan.Evolve(l.State, record.Event)
	}
	l.commands = slices.Clip(l.commands).with(c)
	l.Head = h
	r.keep(ctx, &l)
	return l
}

// admit reports whether the call's command was processed before, and else
// whether its precondition holds.
func (c *call) admit(repeated *bool, met commands, h head.Head) (bool, error) {
	if c.key != "" && met.has(c.key) {
		*repeated = true
		return true, nil
	}
	return false, c.match(h)
}

// match returns an error if the call's precondition does not hold.
func (c *call) match(h head.Head) error {
	if c.ifMatch != "" && !h.Matches(c.ifMatch) {
		return &PreconditionError{IfMatch: c.ifMatch, Actual: h}
	}
	return nil
}

// draft returns what is to be appended, and the events as a load will read them. An event that would not come back equal is
// refused before it is stored.
func (r *Repository[S, E]) draft(events []E, c *call) (changeset.Draft, []Recorded[E], error) {
	records := make([]Recorded[E], len(events))
	at := c.at
	if at.IsZero() {
		at = time.Now()
	}
	for i, event := range events {
		records[i] = Recorded[E]{Event: event, ID: changeset.NewID().String(), Time: at, Metadata: c.metadata}
	}
	content, read, err := r.plan.encode(records)
	if err != nil {
		return changeset.Draft{}, nil, err
	}
	if len(r.plan.Upcasters) > 0 {
		if read, err = r.plan.decode(content); err != nil {
			return changeset.Draft{}, nil, fmt.Errorf("it could not be read back: %w", err)
		}
	}
	return changeset.Draft{CommandID: c.key, Content: content, ContentType: ContentType}, read, nil
}

// refused returns the outcome of an append that failed. After a conflict the
// command may have been processed in the meantime: the new changesets show it.
func (r *Repository[S, E]) refused(ctx context.Context, l Loaded[S], c *call, cause error) (Loaded[S], error) {
	conflict, ok := errors.AsType[*ropewalk.ConflictError](cause)
	if c.key == "" || !ok {
		return l, cause
	}
	now, err := r.catchUp(ctx, l, conflict.Actual)
	if err != nil {
		// No *ConflictError: the command itself may be what came first.
		return l, fmt.Errorf("%v; whether the command %q was processed before could not be read: %w", cause, c.key, err)
	}
	if now.commands.has(c.key) {
		now.Repeated = true
		return now, nil
	}
	return now, cause
}

// recognised returns the aggregate at a head that the append returned, but that
// the draft may not have produced: the changeset stored there decides.
func (r *Repository[S, E]) recognised(ctx context.Context, l Loaded[S], h head.Head, draft changeset.Draft) (Loaded[S], error) {
	stored, err := r.reader(h).At(ctx, h.Version)
	if err != nil {
		return l, fmt.Errorf("save %q: command %q was processed before: %w", l.ID, draft.CommandID, err)
	}
	now, err := r.catchUp(ctx, l, h)
	if err != nil {
		return l, fmt.Errorf("save %q: command %q was processed before: %w", l.ID, draft.CommandID, err)
	}
	now.Repeated = !bytes.Equal(stored.Content, draft.Content)
	return now, nil
}

// catchUp returns an aggregate at a head that came after its own, reading what
// is new, or, where that is long, from a snapshot.
func (r *Repository[S, E]) catchUp(ctx context.Context, l Loaded[S], h head.Head) (Loaded[S], error) {
	every := uint64(r.plan.Snapshots.Every)
	if !l.Head.Exists() || every > 0 && h.Version-l.Head.Version > every {
		return r.at(ctx, h)
	}
	now, err := r.fold(ctx, l, h, r.reader(h).Since(ctx, l.Head), noVersion)
	if errors.Is(err, ropewalk.ErrNotFound) {
		err = fmt.Errorf("%w: %v", ropewalk.ErrHeadLost, err) //nolint:errorlint // the aggregate is there: it must not match ErrNotFound
	}
	return now, err
}

// keep writes the snapshot that is due at the aggregate's head, or one that
// was found missing.
func (r *Repository[S, E]) keep(ctx context.Context, l *Loaded[S]) {
	if due, ok := r.plan.Snapshots.due(l.Head.Version); ok && due == l.Head.Version {
		l.due, l.unmade = r.snapshotOf(ctx, *l, l.Head)
	}
	if l.due != nil && !r.plan.Snapshots.Manual {
		r.snapshots.start(ctx, *l.due)
		l.due = nil
	}
}

package ropewalk

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
	"ropewalk/internal/walk"
)

// Chain is the handle on one aggregate. It is safe for concurrent use, and
// cheap: make one whenever it is needed.
type Chain struct {
	store *Store
	id    string
}

// AggregateID returns the ID of the aggregate.
func (c *Chain) AggregateID() string { return c.id }

// Head returns the chain's present head, with one request. Its error matches
// [ErrNotFound] if the chain does not exist. The head is then the zero Head, or a void
// head ([head.Void]) if the chain was fenced before it existed; an append after either
// creates the chain. If the history was erased, Head returns the tombstone and an error
// that matches [ErrErased].
func (c *Chain) Head(ctx context.Context) (head.Head, error) {
	h, err := c.load(ctx)
	if err == nil && !h.Exists() {
		err = fmt.Errorf("chain %q: %w", c.id, ErrNotFound)
	}
	return h, err
}

// load returns the present head, the zero Head or a void head if the chain does not
// exist.
func (c *Chain) load(ctx context.Context) (head.Head, error) {
	if err := changeset.ValidateAggregateID(c.id); err != nil {
		return head.Head{}, err
	}
	return c.loaded(c.store.heads.Load(ctx, c.id))
}

// loaded returns the storage's answer to a request for the head.
func (c *Chain) loaded(h head.Head, err error) (head.Head, error) {
	if err != nil {
		return head.Head{}, fmt.Errorf("load head of %q: %w", c.id, err)
	}
	if h.State == head.Erased {
		return h, fmt.Errorf("chain %q: %w", c.id, ErrErased)
	}
	return h, nil
}

// Refresh returns the chain's present head, given a head that was read before. It
// makes one request, as [Chain.Head] does. If nothing has changed and the backend
// is a [head.Refresher], the storage does not send the record again. An unchanged
// head is returned as it was given. The head given may be the zero Head.
//
// Its errors are the errors of [Chain.Head], and an error that matches
// [ErrHeadLost] if the head is older than the head given.
func (c *Chain) Refresh(ctx context.Context, seen head.Head) (head.Head, error) {
	if !seen.IsZero() && seen.AggregateID != c.id {
		return head.Head{}, fmt.Errorf("the head belongs to %q, not to %q", seen.AggregateID, c.id)
	}
	h, err := c.reload(ctx, seen)
	if err == nil && !h.Exists() {
		err = fmt.Errorf("chain %q: %w", c.id, ErrNotFound)
	}
	return h, err
}

// reload is load for a head that may not have changed since it was seen.
func (c *Chain) reload(ctx context.Context, seen head.Head) (head.Head, error) {
	h, err := c.loadUnless(ctx, seen)
	if err == nil && h.Revision < seen.Revision {
		err = fmt.Errorf("chain %q: %w: it was at revision %d, and is at %d", c.id, ErrHeadLost, seen.Revision, h.Revision)
	}
	return h, err
}

func (c *Chain) loadUnless(ctx context.Context, seen head.Head) (head.Head, error) {
	refresher, ok := head.As[head.Refresher](c.store.heads)
	if !ok || seen.Token() == "" {
		return c.load(ctx)
	}
	return c.loaded(refresher.Refresh(ctx, seen))
}

// HeadAt returns the head as it was when version was the newest, for
// [Chain.ReaderAt]. It makes one request for the head, one for the changeset, and
// a few for the way there. Its error matches [ErrNotFound] if the chain does not
// have the version.
func (c *Chain) HeadAt(ctx context.Context, version uint64) (head.Head, error) {
	h, err := c.Head(ctx)
	if err != nil || h.Version == version {
		return h, err
	}
	at, err := c.find(ctx, h, version)
	if err != nil {
		return head.Head{}, err
	}
	place, err := c.placeOf(ctx, at)
	return place.At, err
}

// HeadOf returns the head as it was when the changeset of a reference was the
// newest, such as the reference in an HTTP If-Match ([ParseETag]). Its error
// matches [ErrNotFound] if the chain does not have the changeset. If the chain has
// later changesets, an append after the result is refused with a
// [*ConflictError].
func (c *Chain) HeadOf(ctx context.Context, ref changeset.Ref) (head.Head, error) {
	h, err := c.Head(ctx)
	if err != nil || h.Ref == ref {
		return h, err
	}
	if ref.AggregateID != c.id {
		return head.Head{}, fmt.Errorf("%s is not in chain %q: %w", ref, c.id, ErrNotFound)
	}
	at, err := c.find(ctx, h, ref.Version)
	if err != nil {
		return head.Head{}, err
	}
	if at.id != ref.ID {
		return head.Head{}, fmt.Errorf("%s is not in the chain, which has %s there: %w", ref, at.id, ErrNotFound)
	}
	place, err := c.placeOf(ctx, at)
	return place.At, err
}

// found is a changeset that was found in a chain. In a packed chain its place is known.
// In format 1 only its ID is, which costs no request for the changeset itself.
type found struct {
	version uint64
	id      changeset.ID
	place   link.Place
	known   bool
}

// find returns the changeset that a version has in the chain of h.
func (c *Chain) find(ctx context.Context, h head.Head, version uint64) (found, error) {
	if h.IsPacked() {
		place, err := c.locate(ctx, h, version)
		return found{version, place.Header.ID, place, true}, err
	}
	id, err := link.Find(h, version, func(ref changeset.Ref) (changeset.Header, error) { return c.stat(ctx, ref) })
	return found{version: version, id: id}, err
}

// locate returns the place of a version in the packed chain of h. If an object is
// missing, it was replaced since by a later head, or the chain is damaged.
func (c *Chain) locate(ctx context.Context, h head.Head, version uint64) (link.Place, error) {
	place, err := link.Locate(ctx, c.store.changesets, h, version)
	missing, ok := errors.AsType[*link.MissingError](err)
	if !ok {
		return place, c.unlessErased(ctx, c.store.located(err))
	}
	now, err := c.load(ctx)
	if err == nil && now.Revision > h.Revision {
		return c.locate(ctx, now, version)
	}
	return place, cmp.Or(err, c.store.located(walk.ReadError(missing.Ref, ErrNotFound)))
}

// placeOf returns the place of a changeset that was found.
func (c *Chain) placeOf(ctx context.Context, at found) (link.Place, error) {
	if at.known {
		return at.place, nil
	}
	ref := changeset.Ref{AggregateID: c.id, Version: at.version, ID: at.id}
	header, err := c.stat(ctx, ref)
	if err != nil {
		return link.Place{}, err
	}
	return link.Place{Header: header, Object: ref, At: head.At(header)}, nil
}

// headWith returns the head that the append of a changeset in h's chain made.
func (c *Chain) headWith(ctx context.Context, h head.Head, at found) (head.Head, error) {
	if at.version == h.Version {
		return h, nil
	}
	member, err := c.placeOf(ctx, at)
	if err != nil {
		return head.Head{}, err
	}
	last, err := c.placeAt(ctx, h, endOf(member.Header), member)
	if err != nil {
		return head.Head{}, err
	}
	return c.headAt(h, last), nil
}

// headAt returns h if a place is the place of its newest changeset, and the head as of
// that changeset otherwise.
func (c *Chain) headAt(h head.Head, place link.Place) head.Head {
	if place.Header.Version == h.Version {
		return h
	}
	return place.At
}

// endOf returns the version of the last changeset of a changeset's append.
func endOf(member changeset.Header) uint64 {
	return member.Version + uint64(member.Part.Of-member.Part.Number)
}

// headOfCommand returns the head as of the last changeset of a command, whose
// first changeset is the first of an append in h's chain. The append may be a
// batch of several callers, and the command's own caller has not read the other
// callers' changesets. Then the head is in the middle of an append: it can be
// read at, and an append after it is a conflict, as if the others had come later.
func (c *Chain) headOfCommand(ctx context.Context, h head.Head, first link.Place) (head.Head, error) {
	last, low, high := first, first.Header.Version, endOf(first.Header)
	for probe := high; low < high; probe = low + (high-low+1)/2 {
		at, err := c.placeAt(ctx, h, probe, first)
		if err != nil {
			return head.Head{}, err
		}
		if at.Header.CommandID == first.Header.CommandID {
			last, low = at, probe
		} else {
			high = probe - 1
		}
	}
	return c.headAt(h, last), nil
}

// placeAt returns the place of a version in the chain of h. It makes no request if
// that is the known place.
func (c *Chain) placeAt(ctx context.Context, h head.Head, version uint64, known link.Place) (link.Place, error) {
	if version == known.Header.Version {
		return known, nil
	}
	at, err := c.find(ctx, h, version)
	if err != nil {
		return link.Place{}, err
	}
	return c.placeOf(ctx, at)
}

// stat returns the header of a changeset that is in the chain.
func (c *Chain) stat(ctx context.Context, ref changeset.Ref) (changeset.Header, error) {
	info, err := c.store.changesets.Stat(ctx, ref)
	if err != nil {
		return changeset.Header{}, c.unlessErased(ctx, c.store.located(walk.ReadError(ref, err)))
	}
	return info.Header, nil
}

// unlessErased returns err, the error of reading a changeset that is in the
// chain. If the object is damaged or missing because the history was erased
// since the head was read, it returns an error that matches [ErrErased].
func (c *Chain) unlessErased(ctx context.Context, err error) error {
	if !is[*CorruptError](err) {
		return err
	}
	_, loadErr := c.load(ctx)
	if errors.Is(loadErr, ErrErased) {
		return loadErr
	}
	if loadErr != nil { // whether it was erased is unknown
		return fmt.Errorf("%w, and the head could not be read again: %w", err, loadErr)
	}
	return err
}

// located adds the object's own name to a [*CorruptError] that lacks it.
func (s *Store) located(err error) error {
	if corrupt, ok := errors.AsType[*CorruptError](err); ok && corrupt.Object == "" {
		corrupt.Object = s.objectName(corrupt.Ref)
	}
	return err
}

func (s *Store) objectName(ref changeset.Ref) string {
	if l, ok := head.As[head.Locator](s.heads); ok && ref.ID.IsZero() {
		return l.LocateHead(ref.AggregateID)
	}
	if l, ok := changeset.As[changeset.Locator](s.changesets); ok && !ref.ID.IsZero() {
		return l.Locate(ref)
	}
	return ""
}

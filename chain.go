package ropewalk

import (
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
// [ErrNotFound] if the chain does not exist. If the history was erased, Head
// returns the tombstone and an error that matches [ErrErased].
func (c *Chain) Head(ctx context.Context) (head.Head, error) {
	h, err := c.load(ctx)
	if err == nil && !h.Exists() {
		err = fmt.Errorf("chain %q: %w", c.id, ErrNotFound)
	}
	return h, err
}

// load returns the present head, the zero Head if the chain does not exist.
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
	if seen.Exists() && seen.AggregateID != c.id {
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
	id, err := c.find(ctx, h, version)
	if err != nil {
		return head.Head{}, err
	}
	return c.headOf(ctx, changeset.Ref{AggregateID: c.id, Version: version, ID: id})
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
	id, err := c.find(ctx, h, ref.Version)
	if err != nil {
		return head.Head{}, err
	}
	if id != ref.ID {
		return head.Head{}, fmt.Errorf("%s is not in the chain, which has %s there: %w", ref, id, ErrNotFound)
	}
	return c.headOf(ctx, ref)
}

func (c *Chain) headOf(ctx context.Context, ref changeset.Ref) (head.Head, error) {
	header, err := c.stat(ctx, ref)
	if err != nil {
		return head.Head{}, err
	}
	return head.At(header), nil
}

// find returns the ID that a version has in the chain of h.
func (c *Chain) find(ctx context.Context, h head.Head, version uint64) (changeset.ID, error) {
	return link.Find(h, version, func(ref changeset.Ref) (changeset.Header, error) { return c.stat(ctx, ref) })
}

// has reports whether the chain of h has the changeset.
func (c *Chain) has(ctx context.Context, h head.Head, ref changeset.Ref) (bool, error) {
	if !h.Exists() || h.Version < ref.Version {
		return false, nil
	}
	id, err := c.find(ctx, h, ref.Version)
	return id == ref.ID, err
}

// headWith returns the head that the append of a changeset in h's chain made.
func (c *Chain) headWith(ctx context.Context, h head.Head, ref changeset.Ref) (head.Head, error) {
	if ref == h.Ref {
		return h, nil
	}
	member, err := c.stat(ctx, ref)
	if err != nil {
		return head.Head{}, err
	}
	last, err := c.headerAt(ctx, h, endOf(member), member)
	if err != nil {
		return head.Head{}, err
	}
	if last.Version == h.Version {
		return h, nil
	}
	return head.At(last), nil
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
func (c *Chain) headOfCommand(ctx context.Context, h head.Head, first changeset.Header) (head.Head, error) {
	last, low, high := first, first.Version, endOf(first)
	for probe := high; low < high; probe = low + (high-low+1)/2 {
		at, err := c.headerAt(ctx, h, probe, first)
		if err != nil {
			return head.Head{}, err
		}
		if at.CommandID == first.CommandID {
			last, low = at, probe
		} else {
			high = probe - 1
		}
	}
	if last.Version == h.Version {
		return h, nil
	}
	return head.At(last), nil
}

// headerAt returns the header at a version in the chain of h. It makes no request
// if that is the known header.
func (c *Chain) headerAt(ctx context.Context, h head.Head, version uint64, known changeset.Header) (changeset.Header, error) {
	if version == known.Version {
		return known, nil
	}
	id, err := c.find(ctx, h, version)
	if err != nil {
		return changeset.Header{}, err
	}
	return c.stat(ctx, changeset.Ref{AggregateID: c.id, Version: version, ID: id})
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

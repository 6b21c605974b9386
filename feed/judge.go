package feed

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
	"ropewalk/internal/pause"
	"ropewalk/internal/walk"
)

// verdict is what a hint has come to.
type verdict struct {
	advance
	kind kindOfVerdict
	head head.Head // the head that decided
}

type kindOfVerdict int

const (
	nothing  kindOfVerdict = iota // the feed is up to date
	advanced                      // the aggregate has advanced
	restored                      // the head is not in the history that was fed
	unread                        // the head, or what it names, does not decode
)

// judge finds out what the feed lacks of an aggregate, by the record that came
// with the hint, or by the head as it is now. Its error means that the relay must
// stop: a transient error is not returned, but tried again until the context ends.
func (s *state) judge(ctx context.Context, hint pending) (verdict, error) {
	f, known := s.progress.get(keyOf(hint.AggregateID))
	if known && f.erased() {
		return verdict{}, nil
	}
	if hint.Head.Exists() {
		if known && hint.Head.Version < f.version && !hint.swept {
			return verdict{}, nil // old news
		}
		v, err := s.compare(ctx, hint.AggregateID, hint.Head, f, known)
		if err == nil && v.kind != restored {
			return v.withTag(hint.tag), nil
		}
	}
	for pauses := pause.New(); ; {
		v, err := s.judgeStored(ctx, hint.AggregateID, f, known)
		_, damaged := errors.AsType[*changeset.CorruptError](err)
		switch {
		case err == nil:
			return v.withTag(hint.tag), nil
		case damaged:
			return verdict{advance: advance{Advance: head.Advance{AggregateID: hint.AggregateID}}, kind: unread}, nil
		case errors.Is(err, changeset.ErrUnsupportedFormat):
			return v, fmt.Errorf("upgrade the relay before the writers: %w", err)
		}
		s.feed.options.Logger.WarnContext(ctx, "cannot read head, trying again", "aggregate", hint.AggregateID, "cause", err)
		if ended := pauses.Wait(ctx); ended != nil {
			return v, errors.Join(ended, err)
		}
	}
}

func (v verdict) withTag(tag uint32) verdict {
	v.tag = tag
	return v
}

// judgeStored judges an aggregate by its head as it is now.
func (s *state) judgeStored(ctx context.Context, aggregateID string, f fed, known bool) (verdict, error) {
	h, err := s.feed.heads.Load(ctx, aggregateID)
	if err != nil {
		return verdict{}, err
	}
	v, err := s.compare(ctx, aggregateID, h, f, known)
	if _, damaged := errors.AsType[*changeset.CorruptError](err); damaged && h.State == head.Live {
		// The history may have been erased since.
		if again, loadErr := s.feed.heads.Load(ctx, aggregateID); loadErr != nil || again.State == head.Erased {
			return verdict{}, errors.Join(loadErr, errMoved)
		}
	}
	return v, err
}

// errMoved says that the head has changed while an aggregate was judged.
var errMoved = errors.New("the head has changed")

// compare compares a head with how far the aggregate was fed.
func (s *state) compare(ctx context.Context, aggregateID string, h head.Head, f fed, known bool) (verdict, error) {
	a := head.Advance{AggregateID: aggregateID, First: f.version + 1, Last: h.Version, ID: h.ID, Erased: h.State == head.Erased}
	if !known {
		a.First = 0
	}
	v := verdict{advance{Advance: a}, nothing, h}
	switch {
	case !h.Exists() && !known:
		return v, nil
	case !h.Exists(), known && h.Version < f.version:
		v.kind = restored
		return v, nil
	case known:
		before, err := s.feed.find(ctx, h, f.version)
		if err != nil {
			return v, err
		}
		if before.IsZero() {
			break // the tombstone's objects are gone
		}
		if partOf(before) != f.id {
			v.kind = restored
			return v, nil
		}
		if v.Before = before; h.Version == f.version {
			v.Before = changeset.ID{}
		}
	}
	if h.State == head.Erased || !known || h.Version > f.version {
		v.kind = advanced
	}
	return v, nil
}

// errErased ends the search for a version in a chain whose objects are gone.
var errErased = errors.New("the aggregate is erased")

// find returns the ID that a version has in the chain of h. It returns the zero ID
// if h is a tombstone and its index does not have the version.
func (f *Feed) find(ctx context.Context, h head.Head, version uint64) (changeset.ID, error) {
	switch {
	case h.Version == version:
		return h.ID, nil
	case h.IsPacked() && h.State == head.Erased:
		return changeset.ID{}, nil
	case h.IsPacked():
		return f.findPacked(ctx, h, version)
	}
	id, err := link.Find(h, version, func(ref changeset.Ref) (changeset.Header, error) {
		if h.State == head.Erased {
			return changeset.Header{}, errErased
		}
		return f.header(ctx, ref)
	})
	if errors.Is(err, errErased) {
		return changeset.ID{}, nil
	}
	return id, err
}

// findPacked is find for a packed chain. If an object is missing, a later head may no
// longer name it.
func (f *Feed) findPacked(ctx context.Context, h head.Head, version uint64) (changeset.ID, error) {
	if newest := h.PackedHeader(); !newest.ID.IsZero() && newest.Version == version {
		return newest.ID, nil
	}
	place, err := link.Locate(ctx, f.store.Changesets(), h, version)
	missing, ok := errors.AsType[*link.MissingError](err)
	if !ok {
		return place.Header.ID, err
	}
	now, err := f.heads.Load(ctx, h.AggregateID)
	if err == nil && now.State == head.Live && now.Revision > h.Revision {
		return f.find(ctx, now, version)
	}
	return changeset.ID{}, cmp.Or(err, walk.ReadError(missing.Ref, changeset.ErrNotFound))
}

package sqlitestore

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"

	"ropewalk/changeset"
)

// inline is the largest content, in bytes, that [Store.GetMany] reads together
// with its header, before it is admitted.
const inline = 64 << 10

// GetMany returns the changesets by one query, or by two if a range has many orphans, and one more for each content
// above 64 KiB. It leaves out changesets that are missing, damaged or not
// admitted. It returns the context's error and the database's.
func (s *Store) GetMany(ctx context.Context, refs []changeset.Ref, admission changeset.Admission) ([]changeset.Changeset, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	all, err := s.admitted(ctx, refs, admission)
	if err != nil {
		return nil, plainFailure(s.name, s.closed.Load(), s.outdated(err))
	}
	whole := all[:0]
	for _, c := range all {
		if c.Body == nil {
			c.Body, err = s.content(ctx, c.Ref)
		}
		switch {
		case err == nil:
			whole = append(whole, c)
		case !errors.Is(err, changeset.ErrNotFound): // deleted in the meantime
			return nil, err
		}
		err = nil
	}
	return whole, nil
}

// admitted returns the changesets that exist, decode and are admitted, with
// nil for large contents. The changesets that a range does not bring, because it has
// too many others, are read one by one.
func (s *Store) admitted(ctx context.Context, refs []changeset.Ref, admission changeset.Admission) (all []changeset.Changeset, err error) {
	if w, ok := neighbours(refs); ok {
		if w.refs[0].IsPacked() {
			all, err = s.packs(ctx, w, admission)
		} else {
			all, err = s.versions(ctx, w, admission)
		}
		if refs = w.missing(); err != nil || len(refs) == 0 {
			return all, err
		}
	}
	q := manyRows{refs: refs, admission: admission, all: slices.Grow(all, len(refs))}
	err = q.read(s.reader.many.QueryContext(ctx, inline, keysOf(refs)))
	return q.all, err
}

// packs returns packs of a range, as admitted does.
func (s *Store) packs(ctx context.Context, w *wanted, admission changeset.Admission) ([]changeset.Changeset, error) {
	q := manyRows{wanted: w, admission: admission, all: make([]changeset.Changeset, 0, len(w.refs))}
	aggregateID, from := key(w.refs[0])
	_, to := key(w.refs[len(w.refs)-1])
	err := q.read(s.reader.packs.QueryContext(ctx, inline, aggregateID, from, to))
	return q.all, err
}

// getWhole returns one changeset, with nil for a large content. Its error does not say
// what is wrong with the row.
func (s *Store) getWhole(ctx context.Context, ref changeset.Ref) (c changeset.Changeset, err error) {
	q := manyRows{refs: []changeset.Ref{ref}}
	aggregateID, object := key(ref)
	if err := q.read(s.reader.whole.QueryContext(ctx, inline, aggregateID, object, versionOfBase(ref))); err != nil {
		return c, err
	}
	if len(q.all) == 0 {
		return c, changeset.ErrNotFound
	}
	return q.all[0], nil
}

// keysOf returns the columns that name the objects, and the versions of their bases, as a JSON
// array. They need no escapes.
func keysOf(refs []changeset.Ref) string {
	list := make([]byte, 0, 2+len(refs)*(len(refs[0].AggregateID)+2*packedSize+len(`["","","0123456789012345"],`)))
	list = append(list, '[')
	object := make([]byte, 0, packedSize)
	for i, ref := range refs {
		if i > 0 {
			list = append(list, ',')
		}
		list = append(append(append(list, `["`...), changeset.Escape(ref.AggregateID)...), `","`...)
		object = appendObject(object[:0], ref)
		list = append(hex.AppendEncode(list, object), `","`...)
		list = append(hex.AppendEncode(list, versionOfBase(ref)), `"]`...)
	}
	return string(append(list, ']'))
}

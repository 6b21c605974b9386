package memstore

import (
	"bytes"
	"context"

	"ropewalk/changeset"
)

// GetRange returns the changesets of a range of versions that decode, each with a copy of
// its content. Its one possible error is the context's.
func (s *Store) GetRange(ctx context.Context, aggregateID string, first, last uint64, admission changeset.Admission) ([]changeset.Changeset, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	all, objects := s.within(aggregateID, first, last)
	n := 0
	for i := range all {
		if admission.Admit(all[i].Header) == nil {
			all[n], objects[n] = all[i], objects[i]
			n++
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for i := range n {
		all[i].Body = bytes.Clone(objects[i].Body)
	}
	return all[:n], nil
}

// GetsRangesOf reports whether the given store is this one.
func (s *Store) GetsRangesOf(other changeset.Store) bool { return other == changeset.Store(s) }

// within returns the changesets of a range of versions without their contents, and their
// objects. Only the bodies of the objects may be read later, under the lock.
func (s *Store) within(aggregateID string, first, last uint64) (all []changeset.Changeset, objects []*Object) {
	s.readLock()
	defer s.mu.RUnlock()
	entries := s.index[aggregateID]
	from, _ := find(entries, changeset.Ref{AggregateID: aggregateID, Version: first}.ObjectName())
	to := from
	for to < len(entries) && entries[to].ref.First() <= last {
		to++
	}
	all, objects = make([]changeset.Changeset, 0, to-from), make([]*Object, 0, to-from)
	for _, e := range entries[from:to] {
		if e.ref.IsPacked() {
			continue
		}
		if h, err := changeset.Decode(e.stored(e.ref), changeset.Hyphenated); err == nil {
			all = append(all, changeset.Changeset{Header: h})
			objects = append(objects, e.Object)
		}
	}
	return all, objects
}

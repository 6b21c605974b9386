package memstore

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"

	"ropewalk/changeset"
	"ropewalk/head"
)

// Objects yields the aggregate's objects as they are when the iteration
// begins. Its one possible error is the context's.
func (s *Store) Objects(ctx context.Context, aggregateID string) iter.Seq2[changeset.Object, error] {
	return snapshot(ctx, func() []changeset.Object { return s.objectsOf([]string{aggregateID}) })
}

// Aggregates yields the aggregates that have an object when the iteration
// begins. Its one possible error is the context's.
func (s *Store) Aggregates(ctx context.Context, after string) iter.Seq2[string, error] {
	return snapshot(ctx, func() []string {
		s.readLock()
		defer s.mu.RUnlock()
		var ids []string
		for id := range s.index {
			if changeset.Escape(id) > changeset.Escape(after) {
				ids = append(ids, id)
			}
		}
		slices.SortFunc(ids, compareEscaped)
		return ids
	})
}

// objectsOf returns the objects of aggregates, in the order of the aggregates and of the
// objects' names.
func (s *Store) objectsOf(aggregateIDs []string) (found []changeset.Object) {
	s.readLock()
	defer s.mu.RUnlock()
	for _, id := range aggregateIDs {
		for _, e := range s.index[id] {
			found = append(found, e.listed())
		}
	}
	return found
}

// List yields the heads as they are when the iteration begins, in the order of
// their percent-encoded aggregate IDs. Its errors are the context's and
// [head.DecodeJSON]'s.
func (s *Store) List(ctx context.Context, cursor string) iter.Seq2[head.Head, error] {
	return func(yield func(head.Head, error) bool) {
		for r, err := range snapshot(ctx, func() []record { return s.records(cursor) }) {
			var h head.Head
			if err == nil {
				h, err = s.decode(r.aggregateID, r.json)
			}
			if !yield(h, err) || err != nil {
				return
			}
		}
	}
}

// record is a stored head, not yet decoded.
type record struct {
	aggregateID string
	json        []byte
}

// records returns the heads after the cursor, in the order of their names.
func (s *Store) records(cursor string) []record {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var found []record
	for name, text := range s.contents.Heads {
		escaped, _ := strings.CutPrefix(name, head.Folder)
		aggregateID, err := changeset.Unescape(escaped)
		if err == nil && name > head.ObjectName(cursor) && head.ObjectName(aggregateID) == name {
			found = append(found, record{aggregateID, bytes.Clone(text)})
		}
	}
	slices.SortFunc(found, func(a, b record) int { return compareEscaped(a.aggregateID, b.aggregateID) })
	return found
}

// compareEscaped compares aggregate IDs in the order of all listings.
func compareEscaped(a, b string) int { return cmp.Compare(changeset.Escape(a), changeset.Escape(b)) }

// snapshot yields what list returns when the iteration begins, until the
// context ends.
func snapshot[T any](ctx context.Context, list func() []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var items []T
		if ctx.Err() == nil {
			items = list()
		}
		for _, item := range items {
			if ctx.Err() != nil {
				break
			}
			if !yield(item, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			var none T
			yield(none, err)
		}
	}
}

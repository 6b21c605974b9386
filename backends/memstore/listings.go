package memstore

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"strings"

	"ropewalk/changeset"
	"ropewalk/head"
)

// Objects yields the aggregate's objects as they are when the iteration
// begins. Its one possible error is the context's.
func (s *Store) Objects(ctx context.Context, aggregateID string) iter.Seq2[changeset.Object, error] {
	return snapshot(ctx, func() []changeset.Object {
		found := s.objects()
		return slices.DeleteFunc(found, func(o changeset.Object) bool { return o.AggregateID != aggregateID })
	})
}

// Aggregates yields the aggregates that have an object when the iteration
// begins. Its one possible error is the context's.
func (s *Store) Aggregates(ctx context.Context, after string) iter.Seq2[string, error] {
	return snapshot(ctx, func() []string {
		escaped := map[string]string{}
		for _, o := range s.objects() {
			escaped[changeset.Escape(o.AggregateID)] = o.AggregateID
		}
		var ids []string
		for _, key := range slices.Sorted(maps.Keys(escaped)) {
			if key > changeset.Escape(after) {
				ids = append(ids, escaped[key])
			}
		}
		return ids
	})
}

// objects returns all changeset objects, in the order of their names.
func (s *Store) objects() []changeset.Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []changeset.Object
	for _, name := range slices.Sorted(maps.Keys(s.contents.Objects)) {
		if ref, err := changeset.ParseObjectName(name); err == nil {
			o := s.contents.Objects[name]
			found = append(found, changeset.Object{Ref: ref, Size: int64(len(o.Body)), LastModified: o.LastModified})
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
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []record
	for name, text := range s.contents.Heads {
		escaped, _ := strings.CutPrefix(name, head.Folder)
		aggregateID, err := changeset.Unescape(escaped)
		if err == nil && name > head.ObjectName(cursor) && head.ObjectName(aggregateID) == name {
			found = append(found, record{aggregateID, bytes.Clone(text)})
		}
	}
	slices.SortFunc(found, func(a, b record) int {
		return cmp.Compare(changeset.Escape(a.aggregateID), changeset.Escape(b.aggregateID))
	})
	return found
}

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

// Package headlist lists all heads of a storage, past those that do not decode:
// one damaged head must not hide the aggregates after it.
package headlist

import (
	"context"
	"fmt"
	"iter"

	"ropewalk/head"
)

// Entry is one head of a listing.
type Entry struct {
	// AggregateID is the aggregate's.
	AggregateID string
	// Head is the zero Head where Fault is not nil.
	Head head.Head
	// Fault is why the record does not decode; nil where it does. The listing
	// goes on after it.
	Fault error
}

// All yields every head, including tombstones and reserved IDs, in the
// order of the storage, beginning after the aggregate ID after where that is
// not empty. An error, which is the last item, means that the storage could not
// be read or that the context has ended. All keeps the IDs of the heads that do
// not decode in memory.
func All(ctx context.Context, heads head.Store, after string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		damaged := map[string]bool{}
		for cursor, more := after, true; more; {
			more = false
			for h, err := range heads.List(ctx, cursor) {
				e := Entry{AggregateID: h.AggregateID, Head: h}
				if id, ok := head.Damaged(err); ok && !damaged[id] { // a listing that repeats itself ends with the error
					cursor, more, damaged[id] = id, true, true
					e, err = Entry{AggregateID: id, Fault: err}, nil
				}
				if err != nil {
					err = fmt.Errorf("list heads: %w", err)
				}
				if !yield(e, err) || err != nil {
					return
				}
			}
		}
	}
}

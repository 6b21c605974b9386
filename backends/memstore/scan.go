package memstore

import (
	"context"
	"iter"

	"ropewalk/changeset"
)

// maxScanned is the size of the largest body that Scan yields, in bytes.
const maxScanned = 4 << 10

// Scan yields the objects of several aggregates as they are when the iteration begins, each
// with its changeset if that is small and not deleted meanwhile. Its one possible error is the context's.
func (s *Store) Scan(ctx context.Context, aggregateIDs []string, admission changeset.Admission) iter.Seq2[changeset.Scanned, error] {
	return func(yield func(changeset.Scanned, error) bool) {
		if len(aggregateIDs) == 0 {
			return
		}
		for o, err := range snapshot(ctx, func() []changeset.Object { return s.objectsOf(aggregateIDs) }) {
			found := changeset.Scanned{Object: o}
			if err == nil && o.Size <= maxScanned {
				if c, err := s.Get(ctx, o.Ref, admission); err == nil {
					found.Changeset = &c
				}
			}
			if !yield(found, err) {
				return
			}
		}
	}
}

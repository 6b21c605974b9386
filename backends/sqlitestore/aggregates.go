package sqlitestore

import (
	"context"

	"ropewalk/changeset"
)

// selectAggregates finds up to pageSize aggregates after a key, by a step in the index for
// each, and their first objects. The limit is a constant, as in selectScan.
const selectAggregates = `WITH RECURSIVE found(id) AS (
		SELECT (SELECT aggregate_id FROM changesets WHERE aggregate_id > ?1 ORDER BY aggregate_id LIMIT 1)
		UNION ALL
		SELECT (SELECT aggregate_id FROM changesets WHERE aggregate_id > id ORDER BY aggregate_id LIMIT 1) FROM found WHERE id IS NOT NULL
		LIMIT 257)
	SELECT id, (SELECT object FROM changesets WHERE aggregate_id = id ORDER BY object LIMIT 1) FROM found WHERE id IS NOT NULL LIMIT 256`

// firstObject is the first object of an aggregate, by its columns.
type firstObject struct {
	key    string
	object []byte
}

// aggregatesPage lists aggregates that have objects. It looks further where the first
// object is no changeset.
func (s *Store) aggregatesPage(ctx context.Context, after string) (p page[string], err error) {
	found, err := s.firstObjects(ctx, after)
	for n, f := range found {
		p.reach(n+1, behind(f.key))
		ref, ok := refOf(f.key, f.object)
		if !ok {
			if ref, ok, err = s.nextObject(ctx, f); err != nil {
				return p, err
			}
		}
		if ok {
			p.items = append(p.items, ref.AggregateID)
		}
	}
	return p, err
}

// firstObjects returns the rows of selectAggregates.
func (s *Store) firstObjects(ctx context.Context, after string) (found []firstObject, err error) {
	rows, err := s.reader.aggregates.QueryContext(ctx, after)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var f firstObject
		if err := rows.Scan(&f.key, &f.object); err != nil {
			return nil, err
		}
		if f.key <= after {
			return found, s.outOfOrder(f.key)
		}
		found, after = append(found, f), f.key
	}
	return found, rows.Err()
}

// nextObject returns the first changeset of an aggregate after an object; false if it has
// none.
func (s *Store) nextObject(ctx context.Context, after firstObject) (ref changeset.Ref, ok bool, err error) {
	for at := after; !ok; {
		err := s.reader.nextObject.QueryRowContext(ctx, at.key, at.object).Scan(&at.object)
		if err != nil {
			return ref, false, ignoreMissing(err)
		}
		ref, ok = refOf(at.key, at.object)
	}
	return ref, ok, nil
}

func ignoreMissing(err error) error {
	if isMissing(err) {
		return nil
	}
	return err
}

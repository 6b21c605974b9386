package sqlitestore

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"iter"
	"time"

	"ropewalk/changeset"
)

// maxScanned is the size of the largest content that a scan reads, in bytes. It reads
// pageSize rows at once.
const maxScanned = 4 << 10

// selectScan lists and reads the objects of the aggregates in a JSON array, from an object
// of the first of them on. The order of the join is the order of the array and of the
// index, without a sort. The limit is a constant, because SQLite prepares a statement
// again for another limit.
const selectScan = `SELECT key, ` + readWhole + `, object, ` + readModified + `
	FROM json_each(?2) CROSS JOIN changesets c WHERE aggregate_id = value AND object > iif(key = 0, ?3, x'')
	LIMIT 256`

// Scan yields the objects of several aggregates, each with its changeset if its content has
// at most 4 KiB, by one query for 256 of them.
func (s *Store) Scan(ctx context.Context, aggregateIDs []string, admission changeset.Admission) iter.Seq2[changeset.Scanned, error] {
	return func(yield func(changeset.Scanned, error) bool) {
		for at := (scan{ids: aggregateIDs, rows: &manyRows{admission: admission}}); len(at.ids) > 0; {
			all, next, err := s.scanPage(ctx, at)
			for _, found := range all {
				if ctx.Err() != nil {
					yield(changeset.Scanned{}, ctx.Err())
					return
				}
				if !yield(found, nil) {
					return
				}
			}
			if err != nil {
				yield(changeset.Scanned{}, plainFailure(s.name, s.closed.Load(), s.outdated(err)))
				return
			}
			at = next
		}
	}
}

// scan is what is left of a scan. A base comes before the rows that share its upper wheels,
// so that rows remembers it.
type scan struct {
	ids    []string
	object []byte // after which the first of the aggregates goes on
	rows   *manyRows
}

// scanPage reads a page of a scan, and returns what is left after it.
func (s *Store) scanPage(ctx context.Context, at scan) (all []changeset.Scanned, next scan, err error) {
	keys, err := escapedIDs(at.ids)
	if err != nil {
		return nil, next, err
	}
	rows, err := s.reader.scan.QueryContext(ctx, maxScanned, keys, notNil(at.object))
	if err != nil {
		return nil, next, err
	}
	defer rows.Close()
	var r scanRow
	columns := []any{&r.place, &r.header, &r.text, &r.bytes, &r.content, &r.object, &r.modified}
	for n := 1; rows.Next(); n++ {
		if err := rows.Scan(columns...); err != nil {
			return all, next, err
		}
		if n == pageSize {
			next = scan{at.ids[r.place:], bytes.Clone(r.object), at.rows}
		}
		if found, ok := r.found(at); ok {
			all = append(all, found)
		}
	}
	return all, next, rows.Err()
}

// scanRow is one row. Its bytes are valid until the next row.
type scanRow struct {
	manyRow
	object   sql.RawBytes
	modified any
}

// found returns the object in a row; false if it is no changeset's.
func (r *scanRow) found(at scan) (f changeset.Scanned, ok bool) {
	if f.Ref, ok = objectRef(at.ids[r.place], r.object); !ok {
		return f, false
	}
	if f.Ref.IsBase() {
		at.rows.uppers.remember(f.Ref, r.header)
	}
	f.Size = r.content.size
	if !r.content.ok {
		f.Size = -1 // as readSize says
	}
	modified, err := parseModified(r.modified)
	if f.LastModified = modified; err != nil {
		f.LastModified = time.Now() // as in objectsPage
	}
	h, decodes := at.rows.decode(&r.manyRow, f.Ref)
	if err == nil && decodes && h.BodySize <= maxScanned && at.rows.admission.Admit(h) == nil {
		f.Changeset = &changeset.Changeset{Header: h, Body: notNil(r.content.bytes)}
	}
	return f, true
}

// escapedIDs returns the aggregate IDs as the tables have them, in a JSON array.
func escapedIDs(ids []string) (string, error) {
	escaped := make([]string, len(ids))
	for i, id := range ids {
		escaped[i] = changeset.Escape(id)
	}
	text, err := json.Marshal(escaped)
	return string(text), err
}

package sqlitestore

import (
	"context"
	"fmt"
	"iter"
	"time"

	"ropewalk/changeset"
	"ropewalk/head"
)

// pageSize is how many rows a listing reads at once.
const pageSize = 256

// page is a part of a listing, and the cursor after its last row; an empty
// cursor ends the listing.
type page[T any] struct {
	items []T
	last  string
}

// reach sets the cursor at the page's n-th row if it fills the page: a page
// with fewer rows is the last one.
func (p *page[T]) reach(n int, cursor string) {
	if n == pageSize {
		p.last = cursor
	}
}

// paged yields page after page. No statement is open while the consumer's loop
// body runs: however slow it is, it holds up no other call, and it may write.
func paged[T any](ctx context.Context, after string, fetch func(after string) (page[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		for cursor, more := after, true; more; {
			p, err := fetch(cursor)
			for _, item := range p.items {
				if ctx.Err() != nil {
					yield(none, ctx.Err())
					return
				}
				if !yield(item, nil) {
					return
				}
			}
			if err != nil {
				yield(none, err)
				return
			}
			cursor, more = p.last, p.last != ""
		}
	}
}

// Objects yields the aggregate's objects in the order of their names.
func (s *Store) Objects(ctx context.Context, aggregateID string) iter.Seq2[changeset.Object, error] {
	return paged(ctx, "", func(after string) (page[changeset.Object], error) {
		return s.objectsPage(ctx, aggregateID, after)
	})
}

func (s *Store) objectsPage(ctx context.Context, aggregateID, after string) (p page[changeset.Object], err error) {
	key := changeset.Escape(aggregateID)
	rows, err := s.reader.objects.QueryContext(ctx, key, []byte(after), pageSize)
	if err != nil {
		return p, s.failed(err)
	}
	defer rows.Close()
	for n := 1; rows.Next(); n++ {
		var o changeset.Object
		var object []byte
		var modified any
		if err := rows.Scan(&object, &o.Size, &modified); err != nil {
			return p, s.failed(err)
		}
		p.reach(n, string(object))
		var ok bool
		if o.Ref, ok = refOf(key, object); !ok {
			continue // not a changeset's name
		}
		if o.LastModified, err = parseModified(modified); err != nil {
			// Stat says what is damaged; one damaged row must not hide the
			// others, nor look old enough to be collected.
			o.LastModified = time.Now()
		}
		p.items = append(p.items, o)
	}
	return p, s.failed(rows.Err())
}

// Aggregates yields the aggregates that have objects, in the order of their
// percent-encoded form.
func (s *Store) Aggregates(ctx context.Context, after string) iter.Seq2[string, error] {
	if after != "" {
		after = behind(changeset.Escape(after))
	}
	return paged(ctx, after, func(after string) (page[string], error) {
		p, err := s.aggregatesPage(ctx, after)
		return p, s.failed(err)
	})
}

// outOfOrder returns the error of a row whose key does not come after the
// cursor: the key has the wrong type. A listing that went on would never end.
func (s *Store) outOfOrder(key string) error {
	return damaged(s.name, fmt.Errorf("the key %q is out of order", key))
}

// behind returns a cursor that is after all objects of an aggregate and before
// the objects of the next: ! sorts before every character that Escape leaves.
func behind(escaped string) string { return escaped + "!" }

// List yields every head in the order of the percent-encoded aggregate IDs.
func (s *Store) List(ctx context.Context, cursor string) iter.Seq2[head.Head, error] {
	return paged(ctx, changeset.Escape(cursor), func(after string) (page[head.Head], error) {
		return s.headsPage(ctx, after)
	})
}

func (s *Store) headsPage(ctx context.Context, after string) (p page[head.Head], err error) {
	rows, err := s.reader.heads.QueryContext(ctx, after, pageSize)
	if err != nil {
		return p, s.failed(err)
	}
	defer rows.Close()
	for n := 1; rows.Next(); n++ {
		var key string
		var r head.Row
		if err := rows.Scan(&r.Record, &r.Ancestors, &r.Digest, &key); err != nil {
			return p, s.failed(err)
		}
		if key <= after {
			return p, s.outOfOrder(key)
		}
		p.reach(n, key)
		h, err := decodeHead(s.name, key, r)
		if err != nil {
			return p, err
		}
		p.items = append(p.items, h)
	}
	return p, s.failed(rows.Err())
}

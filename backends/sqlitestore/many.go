package sqlitestore

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"strings"

	"ropewalk/changeset"
)

// inline is the largest content, in bytes, that [Store.GetMany] reads together
// with its header, before it is admitted.
const inline = 64 << 10

// GetMany returns the changesets by one query, and one more for each content
// above 64 KiB. It leaves out changesets that are missing, damaged or not
// admitted. It returns the context's error and the database's.
func (s *Store) GetMany(ctx context.Context, refs []changeset.Ref, admission changeset.Admission) ([]changeset.Changeset, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	all, err := s.admitted(ctx, refs, admission)
	if err != nil {
		return nil, plainFailure(s.name, s.closed.Load(), err)
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
// nil for large contents.
func (s *Store) admitted(ctx context.Context, refs []changeset.Ref, admission changeset.Admission) ([]changeset.Changeset, error) {
	rows, err := s.reader.many.QueryContext(ctx, inline, keysOf(refs))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := make([]changeset.Changeset, 0, len(refs))
	var r manyRow
	columns := []any{&r.number, &r.text, &r.bytes, &r.content}
	for rows.Next() {
		if err := rows.Scan(columns...); err != nil {
			return nil, err
		}
		if c, ok := r.decode(refs); ok && admission.Admit(c.Header) == nil {
			if c.BodySize <= inline {
				c.Body = notNil(bytes.Clone(r.content.bytes))
			}
			all = append(all, c)
		}
	}
	return all, rows.Err()
}

// keysOf returns the columns that name the objects as a JSON array.
func keysOf(refs []changeset.Ref) string {
	list := make([]byte, 0, 2+len(refs)*(len(refs[0].AggregateID)+2*packedSize+len(`["",""],`)))
	list = append(list, '[')
	for i, ref := range refs {
		if i > 0 {
			list = append(list, ',')
		}
		aggregateID, object := key(ref) // neither needs an escape
		list = append(append(append(list, `["`...), aggregateID...), `","`...)
		list = append(hex.AppendEncode(list, object), `"]`...)
	}
	return string(append(list, ']'))
}

// manyRow is a row of selectMany. Its bytes and its content are valid until the next row.
type manyRow struct {
	number  int64
	text    sql.NullString
	bytes   sql.RawBytes
	content contentOrSize
}

// decode decodes the row, except the content; false if it holds no changeset.
func (r *manyRow) decode(refs []changeset.Ref) (c changeset.Changeset, ok bool) {
	metadata, contentType, _ := strings.Cut(r.text.String, "\n")
	if !r.content.ok || len(r.bytes) < digests {
		return c, false
	}
	stored := changeset.Stored{Ref: refs[r.number], ContentType: contentType, Size: r.content.size}
	var err error
	c.Header, err = changeset.DecodeRow(stored, changeset.Row{
		Metadata: metadata, Ancestors: r.bytes[digests:], BodySHA256: r.bytes[:digests/2], Digest: r.bytes[digests/2 : digests],
	})
	return c, err == nil
}

// digests is the size of the two digests of a row.
const digests = 2 * len(changeset.Digest{})

// contentOrSize is a content, or its size if it is large; not ok if it is NULL or of
// another type.
type contentOrSize struct {
	bytes []byte
	size  int64
	ok    bool
}

// Scan takes the value of the column.
func (c *contentOrSize) Scan(value any) error {
	switch v := value.(type) {
	case []byte:
		*c = contentOrSize{v, int64(len(v)), true}
	case int64:
		*c = contentOrSize{nil, v, true}
	default:
		*c = contentOrSize{}
	}
	return nil
}

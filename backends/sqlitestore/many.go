package sqlitestore

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"

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
	keys := make([][2]string, len(refs))
	for i, ref := range refs {
		aggregateID, object := key(ref)
		keys[i] = [2]string{aggregateID, hex.EncodeToString(object)}
	}
	list, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	rows, err := s.reader.many.QueryContext(ctx, inline, string(list))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []changeset.Changeset
	for rows.Next() {
		var r row
		var size int64
		if err := rows.Scan(append(append([]any{&r.aggregateID, &r.object}, r.header()...), &size, &r.content)...); err != nil {
			return nil, err
		}
		if c, ok := s.decodeMany(r, size); ok && admission.Admit(c.Header) == nil {
			all = append(all, c)
		}
	}
	return all, rows.Err()
}

// decodeMany decodes one row; false if it names or holds no changeset.
func (s *Store) decodeMany(r row, size int64) (c changeset.Changeset, ok bool) {
	ref, ok := refOf(r.aggregateID, r.object)
	if !ok {
		return c, false
	}
	var err error
	if c.Header, err = s.decode(ref, r, size); err != nil {
		return c, false
	}
	c.Body = r.content
	if size == 0 {
		c.Body = []byte{}
	}
	return c, true
}

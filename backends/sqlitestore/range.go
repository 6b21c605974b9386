package sqlitestore

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"

	"ropewalk/changeset"
)

// GetRange returns the changesets of a range of versions by one query for up to 1,024 of
// them. It leaves out contents above 64 KiB, and headers in the text form. It returns the
// context's error and the database's.
func (s *Store) GetRange(ctx context.Context, aggregateID string, first, last uint64, admission changeset.Admission) ([]changeset.Changeset, error) {
	q := versionRows{
		aggregateID: aggregateID, first: first, admission: admission,
		all: make([]changeset.Changeset, 0, min(last-first, pageSize)+1),
	}
	to := append(binary.BigEndian.AppendUint64(nil, last), bytes.Repeat([]byte{0xff}, len(changeset.ID{}))...)
	if err := q.read(ctx, s, to); err != nil {
		return nil, plainFailure(s.name, s.closed.Load(), s.outdated(err))
	}
	return q.all, nil
}

// GetsRangesOf reports whether the given store is this one.
func (s *Store) GetsRangesOf(other changeset.Store) bool { return other == changeset.Store(s) }

// versions returns changesets of a range, as admitted does.
func (s *Store) versions(ctx context.Context, w *wanted, admission changeset.Admission) ([]changeset.Changeset, error) {
	first, last := w.refs[0], w.refs[len(w.refs)-1]
	_, to := key(last)
	q := versionRows{
		aggregateID: first.AggregateID, first: first.Version, wanted: w, admission: admission,
		all: make([]changeset.Changeset, 0, len(w.refs)),
	}
	err := q.read(ctx, s, to)
	return q.all, err
}

// versionRows collects the changesets in the rows of selectVersions.
type versionRows struct {
	aggregateID string
	first       uint64
	wanted      *wanted // nil: all
	admission   changeset.Admission
	all         []changeset.Changeset
	uppers      uppers
}

// read reads the rows from the bases of the first version up to an object.
func (q *versionRows) read(ctx context.Context, s *Store, to []byte) error {
	from := binary.BigEndian.AppendUint64(nil, q.first&^(wheel-1))
	rows, err := s.reader.versions.QueryContext(ctx, inline, changeset.Escape(q.aggregateID), from, to)
	if err != nil {
		return err
	}
	defer rows.Close()
	var object, header sql.RawBytes // valid until the next row
	var content contentOrSize
	columns := []any{&object, &header, &content}
	for rows.Next() {
		if err := rows.Scan(columns...); err != nil {
			return err
		}
		q.add(object, header, content)
	}
	return rows.Err()
}

// add adds the changeset of a row, if there is one and it is admitted. The rows before the
// first version may be its bases.
func (q *versionRows) add(object, header []byte, content contentOrSize) {
	ref, ok := objectRef(q.aggregateID, object)
	if !ok || ref.IsPacked() || header == nil {
		return
	}
	if ref.IsBase() {
		q.uppers.remember(ref, header)
	}
	if ref.Version < q.first || !content.ok || q.wanted != nil && !q.wanted.take(ref) {
		return
	}
	h, err := q.uppers.decode(changeset.Stored{Ref: ref, Size: content.size}, header)
	large := content.size > inline
	if err != nil || large && q.wanted == nil || q.admission.Admit(h) != nil {
		return
	}
	c := changeset.Changeset{Header: h}
	if !large {
		c.Body = notNil(content.bytes)
	}
	q.all = append(q.all, c)
}

// uppers has the upper wheels of the last bases of a chain, and of the forks beside it.
type uppers map[changeset.Ref]changeset.Upper

// remember keeps the upper wheels of a base for the rows after it.
func (u *uppers) remember(base changeset.Ref, header []byte) {
	for other := range *u {
		if other.Version/wheel != base.Version/wheel || other.AggregateID != base.AggregateID {
			clear(*u)
		}
		break
	}
	if upper, err := changeset.BinaryUpper(base, header); err == nil {
		if *u == nil {
			*u = make(uppers, 2)
		}
		(*u)[base] = upper
	}
}

// decode decodes the binary form of a header, whose bases were remembered if it has any.
func (u uppers) decode(o changeset.Stored, header []byte) (changeset.Header, error) {
	var upper changeset.Upper
	if bases, ok := changeset.BinaryBases(o.Ref, header); ok {
		if upper = u[bases[0]]; upper == "" {
			upper = u[bases[1]]
		}
	}
	return changeset.DecodeBinary(o, header, upper)
}

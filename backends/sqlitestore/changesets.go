package sqlitestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"ropewalk/changeset"
)

// row is a changeset as the table keeps it.
type row struct {
	aggregateID string
	object      []byte
	// header is the binary form, without the upper wheels that its bases have. It is nil if the
	// changeset has no binary form: then Row and contentType are the text form.
	header []byte
	changeset.Row
	contentType string
	content     []byte

	from *changeset.Header // what header was made of
}

// text is where the columns of readText are scanned to.
func (r *row) text() []any {
	return []any{&r.Metadata, &r.Ancestors, &r.BodySHA256, &r.Digest, &r.contentType}
}

// The sizes of the column object: for a changeset of format 1 the version and the ID,
// and for an object of format 2 its first version, its last version and its ID.
const (
	objectSize = 8 + len(changeset.ID{})
	packedSize = 8 + objectSize
)

// key returns the two columns that name an object. The keys of one aggregate sort by
// first version. Programs that do not know packed chains leave the longer keys out of
// their listings, and refuse the heads of such chains.
func key(ref changeset.Ref) (aggregateID string, object []byte) {
	return changeset.Escape(ref.AggregateID), appendObject(make([]byte, 0, packedSize), ref)
}

func appendObject(b []byte, ref changeset.Ref) []byte {
	if ref.IsPacked() {
		b = binary.BigEndian.AppendUint64(b, ref.First())
	}
	b = binary.BigEndian.AppendUint64(b, ref.Version)
	return append(b, ref.ID[:]...)
}

// refOf reverses key; false where the columns name no object.
func refOf(aggregateID string, object []byte) (changeset.Ref, bool) {
	id, err := changeset.Unescape(aggregateID)
	if err != nil || changeset.ValidateAggregateID(id) != nil {
		return changeset.Ref{}, false
	}
	return objectRef(id, object)
}

// objectRef returns the reference that the column object has; false if it has none.
func objectRef(aggregateID string, object []byte) (changeset.Ref, bool) {
	ref := changeset.Ref{AggregateID: aggregateID}
	if len(object) == packedSize {
		first, last := binary.BigEndian.Uint64(object), binary.BigEndian.Uint64(object[8:])
		if last-first >= changeset.MaxCount { // also if last is below first
			return changeset.Ref{}, false
		}
		ref.Count, object = uint16(last-first+1), object[8:]
	}
	if len(object) != objectSize {
		return changeset.Ref{}, false
	}
	ref.Version, ref.ID = binary.BigEndian.Uint64(object), changeset.ID(object[8:])
	return ref, !ref.ID.IsZero()
}

func newRow(c changeset.Changeset) (r row, err error) {
	r.aggregateID, r.object = key(c.Ref)
	r.content = notNil(c.Body)
	var ok bool
	if r.header, ok = changeset.EncodeBinary(c.Header, false); ok {
		r.from = &c.Header
		return r, nil
	}
	if r.Row, err = changeset.EncodeRow(c.Header); err != nil {
		return row{}, err
	}
	r.contentType, r.Ancestors = c.ContentType, notNil(r.Ancestors)
	return r, nil
}

// notNil returns an empty slice for nil. SQLite would store nil as NULL.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// insertRow writes the row, unless its object is already there.
func (s *session) insertRow(r row) error {
	now := time.Now().UnixNano()
	if r.header == nil {
		_, err := s.insertText.Exec(r.aggregateID, r.object, r.Metadata, r.Ancestors, r.BodySHA256, r.Digest, r.contentType, now, r.content)
		return err
	}
	header, err := s.bases.share(r.header, *r.from)
	if err == nil {
		_, err = s.insert.Exec(r.aggregateID, r.object, header, now, r.content)
	}
	return err
}

// Put stores the changeset durably, unless its object is already there.
// Errors match [ErrBusy] where the database stays busy, and otherwise say what
// failed; a changeset with an invalid header is refused.
func (s *Store) Put(ctx context.Context, c changeset.Changeset) error {
	r, err := newRow(c)
	if err != nil {
		return failure(s.name, s.closed.Load(), err)
	}
	err = s.writer.do(ctx, len(r.content), func() error { return s.session.insertRow(r) })
	return plainFailure(s.name, s.closed.Load(), err)
}

// Delete removes the object durably; a missing object is not an error.
func (s *Store) Delete(ctx context.Context, ref changeset.Ref) error {
	aggregateID, object := key(ref)
	err := s.writer.do(ctx, 0, func() error {
		if err := s.session.bases.release(ref); err != nil {
			return err
		}
		_, err := s.session.remove.Exec(aggregateID, object)
		return err
	})
	return plainFailure(s.name, s.closed.Load(), err)
}

// Get returns the changeset, or an error that matches [changeset.ErrNotFound],
// is a [*changeset.CorruptError], or matches [changeset.ErrUnsupportedFormat].
// It reads content above 64 KiB only after its admission.
func (s *Store) Get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	if c, err := s.getWhole(ctx, ref); err == nil && c.Body != nil {
		return c, admission.Admit(c.Header)
	}
	info, err := s.Stat(ctx, ref)
	if err != nil {
		return changeset.Changeset{}, err
	}
	if err := admission.Admit(info.Header); err != nil {
		return changeset.Changeset{}, err
	}
	content, err := s.content(ctx, ref)
	if err != nil {
		return changeset.Changeset{}, err
	}
	return changeset.Changeset{Header: info.Header, Body: content}, nil
}

func (s *Store) content(ctx context.Context, ref changeset.Ref) ([]byte, error) {
	var content []byte
	aggregateID, object := key(ref)
	if err := s.reader.content.QueryRowContext(ctx, aggregateID, object).Scan(&content); err != nil {
		return nil, s.getFailure(ref, err)
	}
	return notNil(content), nil // the driver returns nil for an empty blob
}

// Stat returns everything that Get returns except the content, which it does not
// read, and the time of the put by the clock of the machine that wrote it.
func (s *Store) Stat(ctx context.Context, ref changeset.Ref) (info changeset.Info, err error) {
	var header, base []byte
	stored := changeset.Stored{Ref: ref, Object: s.Locate(ref)}
	var modified any
	aggregateID, object := key(ref)
	err = s.reader.header.QueryRowContext(ctx, aggregateID, object, versionOfBase(ref)).Scan(&header, &base, &stored.Size, &modified)
	if err != nil {
		return info, s.getFailure(ref, err)
	}
	if info.LastModified, err = parseModified(modified); err != nil {
		return info, s.corrupt(ref, err)
	}
	if stored.Size < 0 {
		return info, s.corrupt(ref, errNull)
	}
	if header == nil {
		info.Header, err = s.statText(ctx, stored)
	} else {
		info.Header, err = s.statBinary(ctx, stored, header, base)
	}
	return info, err
}

// statBinary decodes the binary form of a row. If its first base does not help, the second
// one does.
func (s *Store) statBinary(ctx context.Context, stored changeset.Stored, header, base []byte) (changeset.Header, error) {
	h, damage := decodeBinary(stored, header, base)
	bases, shares := changeset.BinaryBases(stored.Ref, header)
	if damage == nil || !shares {
		return h, damage
	}
	aggregateID, object := key(bases[1])
	err := s.reader.base.QueryRowContext(ctx, aggregateID, object).Scan(&base)
	if isMissing(err) {
		return changeset.Header{}, damage
	}
	if err != nil {
		return changeset.Header{}, s.getFailure(stored.Ref, err)
	}
	upper, _ := changeset.BinaryUpper(bases[1], base)
	return changeset.DecodeBinary(stored, header, upper)
}

// errNull says that a row has no content.
var errNull = errors.New("its content is NULL")

// statText reads the header of a row that has it in the text form.
func (s *Store) statText(ctx context.Context, stored changeset.Stored) (changeset.Header, error) {
	var r row
	aggregateID, object := key(stored.Ref)
	if err := s.reader.text.QueryRowContext(ctx, aggregateID, object).Scan(r.text()...); err != nil {
		return changeset.Header{}, s.getFailure(stored.Ref, err)
	}
	stored.ContentType = r.contentType
	return changeset.DecodeRow(stored, r.Row)
}

// timeOf returns the time of a number in the column last_modified.
func timeOf(nanoseconds int64) time.Time { return time.Unix(0, nanoseconds).UTC() }

// parseModified reads the column last_modified.
func parseModified(value any) (t time.Time, err error) {
	switch v := value.(type) {
	case int64:
		return timeOf(v), nil
	case string:
		if t, err = changeset.ParseTime(v); err == nil {
			return t, nil
		}
	}
	return t, fmt.Errorf("last_modified is %v", value)
}

func (s *Store) getFailure(ref changeset.Ref, err error) error {
	if isMissing(err) {
		return fmt.Errorf("%s: %w", s.Locate(ref), changeset.ErrNotFound)
	}
	return objectFailure(s.name, s.closed.Load(), ref, s.Locate(ref), s.outdated(err))
}

func (s *Store) corrupt(ref changeset.Ref, reason error) error {
	return &changeset.CorruptError{Ref: ref, Object: s.Locate(ref), Reason: reason.Error()}
}

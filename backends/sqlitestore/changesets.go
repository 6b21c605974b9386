package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"ropewalk/changeset"
)

// row is a changeset as the table keeps it.
type row struct {
	aggregateID, object   string
	metadata, contentType string
	content               []byte
}

// key returns the two columns that name a changeset.
func key(ref changeset.Ref) (aggregateID, object string) {
	aggregateID, object, _ = strings.Cut(strings.TrimPrefix(ref.ObjectName(), changeset.Folder), "/")
	return aggregateID, object
}

func newRow(c changeset.Changeset) (row, error) {
	metadata, err := changeset.EncodeJSON(c.Header)
	if err != nil {
		return row{}, err
	}
	r := row{metadata: metadata, contentType: c.ContentType, content: c.Content}
	r.aggregateID, r.object = key(c.Ref)
	if r.content == nil {
		r.content = []byte{} // nil would be NULL
	}
	return r, nil
}

func (s *session) insertRow(r row) error {
	now := changeset.FormatTime(time.Now())
	_, err := s.insert.Exec(r.aggregateID, r.object, r.metadata, r.contentType, now, r.content)
	return err
}

// Put stores the changeset durably, unless its object is already there.
// Errors match [ErrBusy] where the database stays busy, and otherwise say what
// failed; a changeset with an invalid header is refused.
func (s *Store) Put(ctx context.Context, c changeset.Changeset) error {
	r, err := newRow(c)
	if err != nil {
		return s.failure(err)
	}
	return s.plainFailure(s.writer.do(ctx, len(r.content), func(w *session) error { return w.insertRow(r) }))
}

// Delete removes the object durably; that it is not there is no error.
func (s *Store) Delete(ctx context.Context, ref changeset.Ref) error {
	return s.plainFailure(s.writer.do(ctx, 0, func(w *session) error {
		aggregateID, object := key(ref)
		_, err := w.remove.Exec(aggregateID, object)
		return err
	}))
}

// Get returns the changeset, or an error that matches [changeset.ErrNotFound],
// is a [*changeset.CorruptError], or matches [changeset.ErrUnsupportedFormat].
// It reads the content only after [changeset.Admit].
func (s *Store) Get(ctx context.Context, ref changeset.Ref) (changeset.Changeset, error) {
	info, err := s.Stat(ctx, ref)
	if err != nil {
		return changeset.Changeset{}, err
	}
	if err := changeset.Admit(ctx, info.Header); err != nil {
		return changeset.Changeset{}, err
	}
	content, err := s.content(ctx, ref)
	if err != nil {
		return changeset.Changeset{}, err
	}
	return changeset.Changeset{Header: info.Header, Content: content}, nil
}

func (s *Store) content(ctx context.Context, ref changeset.Ref) ([]byte, error) {
	content := []byte{}
	aggregateID, object := key(ref)
	if err := s.reader.content.QueryRowContext(ctx, aggregateID, object).Scan(&content); err != nil {
		return nil, s.getFailure(ref, err)
	}
	return content, nil
}

// Stat returns what Get returns but the content, which it does not read, and
// the time of the put by the clock of the machine that wrote it.
func (s *Store) Stat(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
	var metadata, modified string
	stored := changeset.Stored{Ref: ref, Object: s.Locate(ref)}
	aggregateID, object := key(ref)
	err := s.reader.header.QueryRowContext(ctx, aggregateID, object).Scan(&metadata, &stored.ContentType, &stored.Size, &modified)
	if err != nil {
		return changeset.Info{}, s.getFailure(ref, err)
	}
	var info changeset.Info
	if info.LastModified, err = changeset.ParseTime(modified); err != nil {
		return info, s.corrupt(ref, fmt.Errorf("last_modified: %w", err))
	}
	info.Header, err = changeset.DecodeJSON(stored, metadata)
	return info, err
}

func (s *Store) getFailure(ref changeset.Ref, err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%s: %w", s.Locate(ref), changeset.ErrNotFound)
	}
	return s.objectFailure(ref, s.Locate(ref), err)
}

func (s *Store) corrupt(ref changeset.Ref, reason error) error {
	return &changeset.CorruptError{Ref: ref, Object: s.Locate(ref), Reason: reason.Error()}
}

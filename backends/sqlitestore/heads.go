package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/commitlog"
)

// Load returns the aggregate's head, or the zero Head if no head exists. Errors
// are a [*changeset.CorruptError], match [changeset.ErrUnsupportedFormat] or
// [ErrBusy], or say what failed.
func (s *Store) Load(ctx context.Context, aggregateID string) (head.Head, error) {
	key := changeset.Escape(aggregateID)
	return s.scanHead(key, s.reader.head.QueryRowContext(ctx, key))
}

// scanHead reads the record that a row holds, if there is a row.
func (s *Store) scanHead(key string, row *sql.Row) (head.Head, error) {
	var r head.Row
	err := row.Scan(&r.Record, &r.Ancestors, &r.Digest)
	if isMissing(err) {
		return head.Head{}, nil
	}
	if err != nil {
		return head.Head{}, objectFailure(s.name, s.closed.Load(), changeset.Ref{AggregateID: key}, s.locate(head.Folder+key), s.outdated(err))
	}
	return decodeHead(s.name, key, r)
}

// decodeHead returns the head with its record's text as the token. file is the
// database, for people.
func decodeHead(file, key string, r head.Row) (head.Head, error) {
	object := locate(file, head.Folder+key)
	aggregateID, err := changeset.Unescape(key)
	if err != nil {
		return head.Head{}, head.DecodeError(key, object, err)
	}
	h, err := head.DecodeRow(aggregateID, object, r)
	if err != nil {
		return head.Head{}, err
	}
	return h.WithToken(r.Record), nil
}

// Swap replaces the record old by next in a transaction of its own or of
// others that run at the same time. It returns the errors of [head.Store]; a
// database that stays busy is a retryable [*head.NotAppliedError] that matches [ErrBusy].
func (s *Store) Swap(ctx context.Context, old, next head.Head) (head.Head, error) {
	return s.Commit(ctx, nil, old, next)
}

// Commit puts the changesets and swaps the head in one transaction, with the
// errors of Swap.
func (s *Store) Commit(ctx context.Context, changesets []changeset.Changeset, old, next head.Head) (head.Head, error) {
	if err := head.CheckSwap(old, next); err != nil {
		return head.Head{}, err
	}
	rows, size, err := newRows(changesets)
	if err != nil {
		return head.Head{}, swapFailure(s.name, s.closed.Load(), &head.NotAppliedError{Err: err})
	}
	r, err := newReplacement(old, next)
	if err != nil {
		return head.Head{}, swapFailure(s.name, s.closed.Load(), &head.NotAppliedError{Err: err})
	}
	var swapped head.Head
	err = s.writer.do(ctx, size, func() (err error) {
		// The swap comes first, so that a conflict has written nothing.
		if swapped, err = s.swap(r); err != nil {
			return err
		}
		return s.session.insertAll(rows)
	})
	if err != nil {
		return head.Head{}, swapFailure(s.name, s.closed.Load(), err)
	}
	s.bell.Ring()
	return swapped, nil
}

func newRows(changesets []changeset.Changeset) (rows []row, size int, err error) {
	for _, c := range changesets {
		r, err := newRow(c)
		if err != nil {
			return nil, 0, err
		}
		rows = append(rows, r)
		size += len(r.content)
	}
	return rows, size, nil
}

func (s *session) insertAll(rows []row) error {
	for _, r := range rows {
		if err := s.insertRow(r); err != nil {
			return err
		}
	}
	return nil
}

// replacement is a swap with the row that it writes. The row is made before the
// transaction, because others wait for the transaction.
type replacement struct {
	old, next head.Head
	key       string
	expected  string // the record of old
	row       head.Row
}

// newReplacement takes the record that is expected from the token: a head that
// was stored, or read, has it there.
func newReplacement(old, next head.Head) (*replacement, error) {
	next = next.Inherit(old, old)
	row, err := head.EncodeRow(next)
	if err != nil {
		return nil, fmt.Errorf("swap: %w", err)
	}
	r := &replacement{old: old, next: next.WithToken(row.Record), key: changeset.Escape(next.AggregateID), row: row}
	if r.expected = old.Token(); !old.IsZero() && r.expected == "" {
		row, _ := head.EncodeRow(old) // a head that was never stored has no record
		r.expected = row.Record
	}
	return r, nil
}

// replace writes the row of a head, and its row of the log, if the expected row is
// stored, byte for byte, or if no row is expected and none exists. It reports
// whether it did.
func (s *session) replace(r *replacement) (bool, error) {
	stmt, args := s.update, []any{r.row.Record, r.row.Ancestors, r.row.Digest, r.key, r.expected, r.old.Digest[:]}
	if r.old.IsZero() {
		stmt, args = s.create, args[:4]
	}
	result, err := stmt.Exec(args...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	if n != 1 || err != nil {
		return false, err
	}
	if a, ok := commitlog.Advance(r.old, r.next); ok {
		err = s.log.append(a)
	}
	return true, err
}

// swap replaces the record within the writer's transaction. A record that
// matches the expected one byte for byte, as nearly all do, need not be read.
func (s *Store) swap(r *replacement) (head.Head, error) {
	done, err := s.session.replace(r)
	if done || err != nil {
		return r.next, err
	}
	current, err := s.scanHead(r.key, s.session.load.QueryRow(r.key))
	if err != nil {
		return head.Head{}, err
	}
	if !current.SameRecord(r.old) {
		return head.Head{}, &head.ConflictError{Winner: &current}
	}
	return s.swapOther(current, r)
}

// swapOther replaces a record that matches old but is encoded differently, as a
// newer version may have done.
func (s *Store) swapOther(current head.Head, r *replacement) (head.Head, error) {
	other, err := newReplacement(current, r.next.Inherit(r.old, current))
	if err != nil {
		return head.Head{}, err
	}
	if err := head.CheckSwap(current, other.next); err != nil {
		return head.Head{}, err
	}
	done, err := s.session.replace(other)
	if err == nil && !done {
		err = errors.New("swap: the record cannot be found again")
	}
	return other.next, err
}

package sqlitestore

import (
	"context"
	"database/sql"
	"iter"

	"ropewalk/head"
)

// Entries yields the log from a position on, as [head.Log] says, in pages of 256.
// It checks the hash of each row. With follow, a commit by this Store wakes it at
// once, and a commit by another Store or process after 25 milliseconds at most.
//
// An error matches [head.ErrOtherLog], is a [*changeset.CorruptError] that names the
// row, is the context's, or matches [fs.ErrClosed] after [Store.Close],
// [ErrReplaced], [ErrBusy] or [ErrUnavailable].
func (s *Store) Entries(ctx context.Context, from head.LogPosition, follow bool) iter.Seq2[[]head.LogEntry, error] {
	return func(yield func([]head.LogEntry, error) bool) {
		err := s.entries(ctx, from, follow, func(page []head.LogEntry) bool { return yield(page, nil) })
		if err != nil {
			yield(nil, s.failed(err))
		}
	}
}

// entries returns nil when the log has ended, and when the loop has.
func (s *Store) entries(ctx context.Context, from head.LogPosition, follow bool, yield func([]head.LogEntry) bool) error {
	rung, leave := s.bell.Listen()
	defer leave()
	log, err := openLog(ctx, s.reader.log, s.name, from)
	if err != nil {
		return err
	}
	for {
		// The state comes before the page: a commit between the two ends the wait at
		// once. If the page came first, the commit would be missed.
		var seen state
		if follow {
			if seen, err = s.watch.state(ctx); err != nil {
				return err
			}
		}
		page, err := log.page(ctx)
		if err != nil || len(page) == 0 && !follow || !yield(page) {
			return err
		}
		if len(page) == 0 {
			if err := s.watch.wait(ctx, seen, rung); err != nil {
				return err
			}
		}
	}
}

// VerifyLog reads the whole log and checks the hash of each row. Its error is a
// [*changeset.CorruptError] that names the first row that does not match, or is
// one of the other errors of [Store.Entries].
func (s *Store) VerifyLog(ctx context.Context) error {
	return s.failed(verifyLog(ctx, s.reader.log, s.name))
}

func verifyLog(ctx context.Context, query *sql.Stmt, file string) error {
	log, err := openLog(ctx, query, file, head.LogPosition{})
	for err == nil {
		var page []head.LogEntry
		if page, err = log.page(ctx); len(page) == 0 {
			return err
		}
	}
	return err
}

// LogEnd returns the position of the newest entry, with the errors of
// [Store.Entries].
func (s *Store) LogEnd(ctx context.Context) (head.LogPosition, error) {
	p, err := s.logEnd(ctx)
	return p, s.failed(err)
}

func (s *Store) logEnd(ctx context.Context) (head.LogPosition, error) {
	log, err := openLog(ctx, s.reader.log, s.name, head.LogPosition{})
	if err != nil {
		return head.LogPosition{}, err
	}
	newest, err := newestRow(s.reader.logEnd.QueryRowContext(ctx))
	if err != nil {
		return head.LogPosition{}, err
	}
	return newest.at(log.generation), nil
}

package head

import (
	"context"
	"errors"
	"iter"
	"time"

	"ropewalk/changeset"
)

// Advance is one or more consecutive commits of an aggregate, as others see
// them, or the erasure of the aggregate. The advances of an aggregate follow one
// another without gaps: First is one more than the Last of the advance before.
type Advance struct {
	// AggregateID names the aggregate.
	AggregateID string
	// First and Last are the versions of the commits, both included. An erasure
	// also covers what was committed before it and never reported. If there is
	// nothing of that kind, its First is Last + 1.
	First, Last uint64
	// ID is the ID of the changeset at Last.
	ID changeset.ID
	// Before is the ID of the changeset before First. It is zero if First is 0, and
	// may be zero for an erasure.
	Before changeset.ID
	// Erased means that the history was erased. Nothing follows for the aggregate.
	Erased bool
}

// Log is what a [Store] implements if it writes a log of all commits, each in
// the commit's own transaction. The order of the log is the order of the commits.
type Log interface {
	// Entries must yield the log from a position on in pages, oldest first, beginning
	// with the entry at the position: each change of a version or a state once, and no
	// fence, checkpoint, or change of a reserved aggregate. The zero position, and row
	// 0 of the log, stand for the beginning.
	//
	// Without follow, the sequence must end after the last entry. With follow, it
	// must yield an empty page when it has yielded everything, wait for new entries,
	// and go on until the context ends. It must notice the commits of other
	// processes in well under a second. While the loop works on a page, no
	// statement, lock or transaction may be held.
	//
	// If the log does not have the position, the error must match [ErrOtherLog].
	// At most one error ends the sequence.
	Entries(ctx context.Context, from LogPosition, follow bool) iter.Seq2[[]LogEntry, error]

	// LogEnd must return the position of the newest entry. If the log is empty, the
	// position must have the generation of the log and the row 0.
	LogEnd(ctx context.Context) (LogPosition, error)
}

// LogPosition is a place in a [Log], after one entry.
type LogPosition struct {
	// Generation names the log: 16 hexadecimal digits. A log that is made again, or
	// for a copy of the data, has another one.
	Generation string
	// Row numbers the entry, from 1; 0 is the place before the first entry.
	Row uint64
	// Mark holds eight random bytes of the entry: another history of the same log,
	// such as the one after a restored backup, has others. It is zero at row 0.
	Mark [8]byte
}

// LogEntry is one entry of a [Log].
type LogEntry struct {
	// Position is the place after the entry.
	Position LogPosition
	// Advance is what was committed.
	Advance Advance
}

// ErrOtherLog is the error of a position that a [Log] does not have: the position
// is of another log, of another history of the log, or beyond its end.
var ErrOtherLog = errors.New("the position is not in the log")

// Source is what a [Store] implements if it can say which aggregates may have
// advanced. A source may lose, repeat, delay and reorder what it reports, as
// long as it admits a loss.
type Source interface {
	// SourceName must return a short name for the kind of the source, such as
	// "dynamodb-streams". It sends nothing.
	SourceName() string

	// Hints must yield pages of hints from a cursor on. The cursor is nil at first,
	// and later the Cursor of a page of an earlier call, by any process. After each
	// change of an aggregate's version or state, a hint for the aggregate must come, or
	// a page that is Lost.
	//
	// The sequence must go on until the context ends, or until an error ends it. It must
	// yield a page that is CaughtUp when it has nothing more for now, and whenever a
	// wait for news has ended without news.
	Hints(ctx context.Context, cursor []byte) iter.Seq2[Hints, error]
}

// Hints is a page of a [Source].
type Hints struct {
	// Hints are the aggregates that may have advanced.
	Hints []Hint
	// Cursor is where to go on after this page: a JSON value of at most 64 KiB.
	Cursor []byte
	// Lost means that hints before this page may be missing, as they always are
	// before the first page of a new cursor: all heads must be looked at, after this
	// page has come.
	Lost bool
	// CaughtUp means that the source has nothing more for now.
	CaughtUp bool
}

// Hint says that an aggregate may have advanced.
type Hint struct {
	// AggregateID names the aggregate.
	AggregateID string
	// Head is the record that came with the hint, or the zero Head if none came. It
	// may be older than the stored record.
	Head Head
	// Since is when the change happened, by the clock of the service; zero if unknown.
	Since time.Time
}

// Tagger is what a [Store] implements if it can list a tag of each record without
// reading the records.
type Tagger interface {
	// Tags must yield the tag of every head, each once, in the order of [Store.List],
	// also of a head whose record does not decode. If after is not empty, it must
	// begin after that aggregate ID, which is one that List or Tags has yielded. At
	// most one error ends it.
	//
	// A tag must not be empty. Two tags of an aggregate may be equal only if the
	// record is the same, and must be equal if it was not written in between.
	Tags(ctx context.Context, after string) iter.Seq2[Tag, error]
}

// Tag is a short text that changes with each swap of a head, such as an ETag.
type Tag struct {
	AggregateID string
	Tag         string
}

package sqlitestore

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/commitlog"
)

// logRow is a row of the table log. Row 0 has a mark, which names the log, and
// no advance.
type logRow struct {
	position    uint64
	aggregateID string // percent-encoded
	first, last uint64
	id, before  changeset.ID
	erased      bool
	mark        [8]byte
	hash        [sha256.Size]byte
}

// firstRow returns row 0 of a new log.
func firstRow() logRow {
	r := logRow{mark: commitlog.NewMark()}
	r.hash = r.sum([sha256.Size]byte{})
	return r
}

// next returns the row of an advance, after r.
func (r logRow) next(a head.Advance) logRow {
	next := logRow{
		position:    r.position + 1,
		aggregateID: changeset.Escape(a.AggregateID),
		first:       a.First,
		last:        a.Last,
		id:          a.ID,
		before:      a.Before,
		erased:      a.Erased,
		mark:        commitlog.NewMark(),
	}
	next.hash = next.sum(r.hash)
	return next
}

// sum returns the hash of the row, after a row whose hash is previous. The one
// column whose size varies comes last.
func (r logRow) sum(previous [sha256.Size]byte) [sha256.Size]byte {
	b := append(make([]byte, 0, 256), previous[:]...)
	b = binary.BigEndian.AppendUint64(b, r.position)
	b = binary.BigEndian.AppendUint64(b, r.first)
	b = binary.BigEndian.AppendUint64(b, r.last)
	b = append(b, r.id[:]...)
	b = append(b, r.before[:]...)
	b = append(b, byte(r.flag()))
	b = append(b, r.mark[:]...)
	b = append(b, r.aggregateID...)
	return sha256.Sum256(b)
}

// flag returns the column erased.
func (r logRow) flag() int64 {
	if r.erased {
		return 1
	}
	return 0
}

// checkFirst returns an error unless r is row 0 as it was written.
func (r logRow) checkFirst() error {
	if r.position != 0 {
		return errNoRow
	}
	if r.hash != r.sum([sha256.Size]byte{}) {
		return errHash
	}
	return nil
}

// checkAfter returns an error unless r is the row after previous as it was written.
func (r logRow) checkAfter(previous logRow) error {
	if r.position != previous.position+1 {
		return errNoRow
	}
	if r.hash != r.sum(previous.hash) {
		return errHash
	}
	return nil
}

// logDamage is the error of a row that no store has written.
type logDamage string

func (e logDamage) Error() string { return string(e) }

const (
	errHash  logDamage = "its hash is not the hash of the row before and its columns"
	errNoRow logDamage = "it is missing"
)

// values returns the columns, in the order of logColumns.
func (r logRow) values() []any {
	return []any{
		int64(r.position), r.aggregateID, int64(r.first), int64(r.last), blobOf(r.id), blobOf(r.before),
		r.flag(), r.mark[:], r.hash[:],
	}
}

// blobOf returns the bytes of an ID, which are empty for the zero ID.
func blobOf(id changeset.ID) []byte {
	if id.IsZero() {
		return []byte{}
	}
	return id[:]
}

// scanLogRow reads the columns, in the order of logColumns.
func scanLogRow(row interface{ Scan(...any) error }) (r logRow, err error) {
	var position, first, last, erased int64
	var id, before, mark, hash []byte
	if err := row.Scan(&position, &r.aggregateID, &first, &last, &id, &before, &erased, &mark, &hash); err != nil {
		return r, err
	}
	r.position, r.first, r.last, r.erased = uint64(position), uint64(first), uint64(last), erased == 1
	for _, c := range []struct {
		name     string
		to, from []byte
		optional bool
	}{{"changeset_id", r.id[:], id, true}, {"before", r.before[:], before, true}, {"mark", r.mark[:], mark, false}, {"hash", r.hash[:], hash, false}} {
		if copy(c.to, c.from); len(c.from) != len(c.to) && !(c.optional && len(c.from) == 0) {
			return r, logDamage(fmt.Sprintf("its %s has %d bytes", c.name, len(c.from)))
		}
	}
	if erased != r.flag() {
		return r, logDamage(fmt.Sprintf("its erased is %d", erased))
	}
	return r, nil
}

// entry returns the row as an entry of the log.
func (r logRow) entry(generation string) (head.LogEntry, error) {
	id, err := changeset.Unescape(r.aggregateID)
	if err != nil {
		return head.LogEntry{}, logDamage(err.Error())
	}
	return head.LogEntry{Position: r.at(generation), Advance: head.Advance{
		AggregateID: id,
		First:       r.first,
		Last:        r.last,
		ID:          r.id,
		Before:      r.before,
		Erased:      r.erased,
	}}, nil
}

// at returns the position after the row. Row 0 has no mark of its own.
func (r logRow) at(generation string) head.LogPosition {
	if r.position == 0 {
		return head.LogPosition{Generation: generation}
	}
	return head.LogPosition{Generation: generation, Row: r.position, Mark: r.mark}
}

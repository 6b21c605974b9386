package feed

import (
	"context"
	"errors"
	"iter"

	"ropewalk/changeset"
	"ropewalk/head"
)

// journal is where a feed keeps its advances: a log or a chain.
type journal interface {
	// pages yields the entries after a position. With follow, an empty page says that
	// there is nothing more for now, and the sequence goes on. An entry that the
	// position cuts begins after the position.
	pages(ctx context.Context, after Position, follow bool) iter.Seq2[[]entry, error]
	end(ctx context.Context) (Position, error)
}

// entry is an advance and the position after it.
type entry struct {
	position Position
	advance  head.Advance
}

// at returns the position after one version of the advance.
func (e entry) at(version uint64) Position {
	p := e.position
	p.version = version
	return p
}

// rest returns the part of the entry after a position, which may lie within the
// entry. It reports false if nothing is left.
func (e entry) rest(after Position) (entry, bool) {
	a := &e.advance
	switch {
	case after.IsZero() || after.at != e.position.at || after.line < e.position.line:
		return e, true
	case after.line > e.position.line || a.Erased || after.version >= a.Last:
		return entry{}, false
	}
	a.First, a.Before = after.version+1, changeset.ID{}
	return e, true
}

// journal returns the journal of the present feed.
func (f *Feed) journal(ctx context.Context) (journal, error) {
	if f.log != nil {
		return logJournal{f.log}, nil
	}
	generation, err := f.generation(ctx)
	if err != nil {
		return nil, err
	}
	return chainJournal{f, generation}, nil
}

// logJournal is the log of a backend.
type logJournal struct{ log head.Log }

func (j logJournal) pages(ctx context.Context, after Position, follow bool) iter.Seq2[[]entry, error] {
	return func(yield func([]entry, error) bool) {
		if !after.IsZero() && !after.id.IsZero() {
			yield(nil, j.other(ctx, after))
			return
		}
		for page, err := range j.log.Entries(ctx, after.logPosition(), follow) {
			if errors.Is(err, head.ErrOtherLog) {
				err = j.other(ctx, after)
			}
			if !yield(restOf(page, after), err) || err != nil {
				return
			}
		}
	}
}

func restOf(page []head.LogEntry, after Position) []entry {
	entries := make([]entry, 0, len(page))
	for _, e := range page {
		if rest, ok := (entry{fromLog(e.Position, e.Advance.Last), e.Advance}).rest(after); ok {
			entries = append(entries, rest)
		}
	}
	return entries
}

func (j logJournal) other(ctx context.Context, after Position) error {
	end, err := j.end(ctx)
	if err != nil {
		return err
	}
	return otherHistory(after, end)
}

func (j logJournal) end(ctx context.Context) (Position, error) {
	end, err := j.log.LogEnd(ctx)
	if err != nil || end.Row == 0 {
		return fromLog(end, 0), err
	}
	for page, err := range j.log.Entries(ctx, end, false) {
		if err != nil || len(page) == 0 {
			return Position{}, err
		}
		return fromLog(end, page[0].Advance.Last), nil
	}
	return Position{}, ctx.Err()
}

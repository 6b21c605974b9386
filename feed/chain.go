package feed

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/reserved"
)

// chainJournal is a feed whose batches are the changesets of a reserved chain.
type chainJournal struct {
	feed       *Feed
	generation string
}

func (j chainJournal) chain() *ropewalk.Chain {
	return j.feed.store.Chain(reserved.Feed(j.generation))
}

// head returns the head of the chain, given a head that was read before. It is
// the zero Head if nothing was ever fed.
func (j chainJournal) head(ctx context.Context, seen head.Head) (head.Head, error) {
	h, err := j.chain().Refresh(ctx, seen)
	switch {
	case errors.Is(err, ropewalk.ErrNotFound):
		return head.Head{}, nil
	case errors.Is(err, ropewalk.ErrErased):
		return head.Head{}, fmt.Errorf("generation %s: %w", j.generation, ErrFeedReplaced)
	}
	return h, err
}

func (j chainJournal) end(ctx context.Context) (Position, error) {
	h, err := j.head(ctx, head.Head{})
	if err != nil || !h.Exists() {
		return Position{}, err
	}
	b, err := j.batchOf(ctx, h)
	if err != nil {
		return Position{}, err
	}
	return j.endOf(h.Ref, b), nil
}

// batchOf returns the batch at a head.
func (j chainJournal) batchOf(ctx context.Context, h head.Head) (batch, error) {
	c, err := j.chain().ReaderAt(h).At(ctx, h.Version)
	if err != nil {
		return batch{}, err
	}
	return decodeBatch(c)
}

// endOf returns the position after a batch.
func (j chainJournal) endOf(ref changeset.Ref, b batch) Position {
	p := Position{generation: j.generation, at: ref.Version, id: ref.ID, line: uint64(len(b.advances))}
	if n := len(b.advances); n > 0 {
		p.version = b.advances[n-1].Last
	}
	return p
}

func (j chainJournal) entries(ref changeset.Ref, b batch) []entry {
	entries := make([]entry, len(b.advances))
	for i, a := range b.advances {
		p := Position{generation: j.generation, at: ref.Version, id: ref.ID, line: uint64(i) + 1, version: a.Last}
		entries[i] = entry{p, a.Advance}
	}
	return entries
}

func (j chainJournal) pages(ctx context.Context, after Position, follow bool) iter.Seq2[[]entry, error] {
	return func(yield func([]entry, error) bool) {
		var seen head.Head
		for pauses := j.feed.pauses(); ; {
			h, err := j.head(ctx, seen)
			if err == nil && !after.IsZero() && (after.generation != j.generation || h.Len() <= after.at) {
				err = j.other(ctx, after)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if h.Exists() && h.Ref != seen.Ref {
				var ok bool
				if after, ok = j.read(ctx, h, after, yield); !ok {
					return
				}
				seen = h
				pauses.Reset()
				continue
			}
			if !follow || !yield(nil, nil) {
				return
			}
			if err := pauses.Wait(ctx); err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

// read yields the entries after a position up to h, and returns the position at
// h. It reports false after an error, and if the loop has ended.
func (j chainJournal) read(ctx context.Context, h head.Head, after Position, yield func([]entry, error) bool) (Position, bool) {
	for at, err := range j.stages(ctx, h, after.at) {
		var ok bool
		if err != nil {
			yield(nil, err)
			return after, false
		}
		if after, ok = j.readStage(ctx, at, after, yield); !ok {
			return after, false
		}
	}
	return after, true
}

// stages yields the heads to read at, on the way from a version of the feed to h. On a
// long way these are the waypoints and then h: the index of h would lead to a far
// version in steps of 24,576.
func (j chainJournal) stages(ctx context.Context, h head.Head, from uint64) iter.Seq2[head.Head, error] {
	return func(yield func(head.Head, error) bool) {
		if h.Version-from > 2*waypointEvery {
			waypoints, err := j.waypoints(ctx, h)
			if err != nil {
				yield(head.Head{}, err)
				return
			}
			for i := from/waypointEvery + 1; i < uint64(len(waypoints)); i++ {
				at, err := j.feed.pointAt(ctx, ropewalk.Ref{AggregateID: h.AggregateID, Version: i * waypointEvery, ID: waypoints[i]})
				if !yield(at, err) || err != nil {
					return
				}
			}
		}
		yield(h, nil)
	}
}

// waypoints returns the waypoints of the newest snapshot, or none if there is no
// snapshot that can be read.
func (j chainJournal) waypoints(ctx context.Context, h head.Head) ([]changeset.ID, error) {
	b, err := j.batchOf(ctx, h)
	if err != nil || b.Snapshot == nil {
		return nil, err
	}
	m, err := (&state{chainJournal: j}).readManifest(ctx, *b.Snapshot)
	if errors.Is(err, errUnusable) {
		return nil, nil
	}
	return m.Waypoints, err
}

// readStage yields the entries after a position up to h. The changesets of a stage
// are proved against each other, and the first against the stage before.
func (j chainJournal) readStage(ctx context.Context, h head.Head, after Position, yield func([]entry, error) bool) (Position, bool) {
	for c, err := range j.chain().ReaderAt(h).Changesets(ctx, ropewalk.Range{First: after.at, Last: ropewalk.Newest}) {
		if err == nil && c.Version == after.at && !after.IsZero() && c.ID != after.id {
			err = j.other(ctx, after)
		}
		var b batch
		if err == nil {
			b, err = decodeBatch(c)
		}
		if err != nil {
			yield(nil, err)
			return after, false
		}
		var page []entry
		for _, e := range j.entries(c.Ref, b) {
			if rest, ok := e.rest(after); ok {
				page = append(page, rest)
			}
		}
		if after = j.endOf(c.Ref, b); len(page) > 0 && !yield(page, nil) {
			return after, false
		}
	}
	return after, true
}

func (j chainJournal) other(ctx context.Context, position Position) error {
	end, err := j.end(ctx)
	if err != nil {
		return err
	}
	return otherHistory(position, end)
}

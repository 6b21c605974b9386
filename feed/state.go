package feed

import (
	"context"
	"fmt"
	"time"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/reserved"
)

// state is what a relay knows of the feed: everything in it follows from the
// batches up to one head of the feed.
type state struct {
	chainJournal
	head     head.Head
	progress *progress
	newest   preamble // of the newest batch
	fedAt    time.Time
	// waypoints are the IDs of every 4,096th changeset of the feed.
	waypoints []changeset.ID
	// size is how many bytes of batches came after the newest snapshot, before they
	// are compressed: this is what a relay has to fold.
	size int64
	// snapshot is the newest snapshot, which the next batch names.
	snapshot *changeset.ID
}

// waypointEvery is the distance of the waypoints.
const waypointEvery = 4096

// newState returns the state of a generation of the feed, from its newest usable
// snapshot and the batches after that.
func (f *Feed) newState(ctx context.Context, generation string) (*state, error) {
	s := &state{chainJournal: chainJournal{f, generation}, progress: &progress{}}
	h, err := s.chainJournal.head(ctx, head.Head{})
	if err != nil || !h.Exists() {
		return s, err
	}
	if err := s.restore(ctx, h); err != nil {
		return nil, err
	}
	return s, s.foldUpTo(ctx, h)
}

// catchUp folds the batches of other relays. It reports whether there were any.
func (s *state) catchUp(ctx context.Context) (bool, error) {
	h, err := s.chainJournal.head(ctx, s.head)
	if err != nil || h.Ref == s.head.Ref {
		return false, err
	}
	return true, s.foldUpTo(ctx, h)
}

func (s *state) foldUpTo(ctx context.Context, h head.Head) error {
	for c, err := range s.chain().ReaderAt(h).Since(ctx, s.head) {
		if err != nil {
			return err
		}
		b, err := decodeBatch(c)
		if err != nil {
			return err
		}
		if err := s.fold(head.At(c.Header), b, int64(len(c.Content))); err != nil {
			return err
		}
	}
	s.head = h
	return nil
}

// fold takes the batch at a head in.
func (s *state) fold(h head.Head, b batch, size int64) error {
	if err := s.progress.fold(b.advances); err != nil {
		return &ropewalk.CorruptError{Ref: h.Ref, Reason: "the feed is broken: " + err.Error()}
	}
	if h.Version%waypointEvery == 0 {
		s.waypoints = append(s.waypoints, h.ID)
	}
	s.head, s.newest, s.fedAt, s.size = h, b.preamble, h.UpdatedAt, s.size+size
	if b.Snapshot != nil && !sameID(b.Snapshot, s.snapshot) { // another relay wrote it
		s.snapshot, s.size = b.Snapshot, size
	}
	return nil
}

// append appends a batch after the head that the state is at, and folds it. Its
// errors are the errors of [ropewalk.Chain.Append]: after any of them the state
// is as it was.
func (s *state) append(ctx context.Context, b batch) error {
	content, err := b.encode()
	if err != nil {
		return err
	}
	h, err := s.chain().Append(reserved.Open(ctx), s.head, ropewalk.Draft{Content: content, ContentType: "application/x-ndjson"})
	if err != nil {
		return fmt.Errorf("append to the feed: %w", err)
	}
	return s.fold(h, b, int64(len(content)))
}

func sameID(a, b *changeset.ID) bool { return a != nil && b != nil && *a == *b }

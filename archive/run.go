package archive

import (
	"context"
	"errors"
	"fmt"

	"ropewalk/feed"
)

// Report says what a run has done.
type Report struct {
	// Changesets and Rows count what was added. A changeset without events has one row.
	Changesets, Rows int64
	// Files and Bytes count the files that were added, and their sizes.
	Files, Bytes int64
	// Erased is the number of aggregates whose erasure the run has recorded.
	Erased int64
	// Pending is the number of erased aggregates that may still have rows in the
	// archive, by this run or an earlier run: see [Archive.Erase].
	Pending int64
	// Orphans is the number of files that were deleted, since no manifest names them.
	Orphans int64
	// Position is the place in the feed up to which the archive has the changes.
	Position feed.Position
}

// Run adds what the feed has after the place where the archive ends. It may be
// interrupted at any time and repeated. If several run at once, each adds a part.
//
// The error matches [feed.ErrNoFeed] if the store has no feed, and
// [feed.ErrOtherHistory] if the archive is of another feed: of another store, of a feed
// that was dropped, or of a history that a restored store does not have. The archive
// then stays as it is, and a new archive needs another destination. Run also returns
// the errors of [feed.Feed.After] and [Archive.Files], and the destination's. The report
// next to an error says what was added before.
func (a *Archive) Run(ctx context.Context, f *feed.Feed) (Report, error) {
	var r Report
	s, err := a.load(ctx)
	for err == nil {
		err = a.runAfter(ctx, f, s, &r)
		if err == nil {
			r.Orphans, err = a.sweep(ctx, s)
			break
		}
		if errors.Is(err, errTaken) { // what another archiver has written counts
			s, err = a.reload(ctx, s)
		}
	}
	if s != nil {
		r.Position, r.Pending = s.position, int64(len(s.pending()))
	}
	return r, err
}

// runAfter adds what the feed has after a position, in batches.
func (a *Archive) runAfter(ctx context.Context, f *feed.Feed, s *state, r *Report) error {
	b := newBatch()
	for change, err := range f.After(ctx, s.position) {
		if err != nil {
			return fmt.Errorf("read the feed: %w", err)
		}
		b.add(change, s)
		a.options.Progress(1)
		if b.rows < a.options.BatchRows && b.size < a.options.BatchBytes {
			continue
		}
		if err := a.writeCounted(ctx, s, b, r); err != nil {
			return err
		}
		b = newBatch()
	}
	if b.position.IsZero() {
		return nil
	}
	return a.writeCounted(ctx, s, b, r)
}

// writeCounted writes a batch, and counts what it has added.
func (a *Archive) writeCounted(ctx context.Context, s *state, b *batch, r *Report) error {
	m, err := a.write(ctx, s, b)
	if err != nil {
		return err
	}
	r.Changesets += int64(b.changesets)
	r.Erased += int64(len(m.erased))
	r.Files += int64(len(m.add))
	for _, f := range m.add {
		r.Rows += f.Rows
		r.Bytes += f.Bytes
	}
	return nil
}

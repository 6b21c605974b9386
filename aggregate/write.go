package aggregate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"ropewalk/changeset"
)

const (
	// maxWrites is how many snapshots a repository writes at a time. Another
	// one is left out: it is found missing, and written, later.
	maxWrites = 16
	// writeTimeout is how long the write of a snapshot may take.
	writeTimeout = 30 * time.Second
)

// Stats are numbers of snapshots since a [Repository] was made.
type Stats struct {
	// Used snapshots began a load.
	Used uint64
	// Missing ones were looked for and not there: too early, not written yet,
	// or of another schema.
	Missing uint64
	// Rejected ones were there, but could not be read, did not fit their hash
	// or the history, or could not be decoded. The log says which and why.
	Rejected uint64
	// Written ones are stored, or were there before.
	Written uint64
	// Failed ones could not be made or written, would have lost a part of the
	// state, or were left out because too many others were being written. The
	// log says which and why; it names each part that would be lost once.
	Failed uint64
}

type counters struct{ used, missing, rejected, written, failed atomic.Uint64 }

// Stats returns what became of snapshots so far.
func (r *Repository[S, E]) Stats() Stats {
	return Stats{
		Used: r.stats.used.Load(), Missing: r.stats.missing.Load(), Rejected: r.stats.rejected.Load(),
		Written: r.stats.written.Load(), Failed: r.stats.failed.Load(),
	}
}

// Wait returns when no snapshot is being written, or with the context's error.
// A snapshot that comes due in the meantime is left out.
func (r *Repository[S, E]) Wait(ctx context.Context) error {
	if err := r.snapshots.slots.Acquire(ctx, maxWrites); err != nil {
		return err
	}
	r.snapshots.slots.Release(maxWrites)
	return nil
}

// Snapshot writes the newest snapshot that is due for an aggregate, if it is
// missing. It returns the errors of [Repository.Load] and of the write. It is
// also an error if the type has no snapshots, or if the state would not come
// back equal. There is nothing to do if no snapshot is due yet or it exists
// already.
func (r *Repository[S, E]) Snapshot(ctx context.Context, id string) error {
	if r.plan.Snapshots.Every == 0 {
		return fmt.Errorf("snapshot of %q: aggregate type %q has none", id, r.plan.Name)
	}
	h, err := r.store.Chain(id).Head(ctx)
	if err != nil {
		return err
	}
	l, err := r.fromSnapshots(ctx, h)
	if err != nil {
		return err
	}
	if l.due == nil {
		return l.unmade // nil if the snapshot is not missing
	}
	return r.snapshots.put(ctx, *l.due)
}

// snapshotWriter writes snapshots in the background.
type snapshotWriter struct {
	changesets changeset.Store
	logger     *slog.Logger
	stats      *counters
	slots      *semaphore.Weighted
}

func newSnapshotWriter(changesets changeset.Store, logger *slog.Logger, stats *counters) *snapshotWriter {
	return &snapshotWriter{changesets, logger, stats, semaphore.NewWeighted(maxWrites)}
}

// start writes a snapshot in the background, even if the context ends.
func (w *snapshotWriter) start(ctx context.Context, c changeset.Changeset) {
	if !w.slots.TryAcquire(1) {
		w.failed(ctx, c, errors.New("too many are being written"))
		return
	}
	go func() {
		defer w.slots.Release(1)
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
		defer cancel()
		if err := w.put(bounded, c); err != nil {
			w.failed(ctx, c, err)
		}
	}()
}

// put writes a snapshot, create-only: the first writer's stands.
func (w *snapshotWriter) put(ctx context.Context, c changeset.Changeset) error {
	if err := w.changesets.Put(ctx, c); err != nil {
		return fmt.Errorf("write snapshot %s: %w", c.Ref, err)
	}
	w.stats.written.Add(1)
	return nil
}

func (w *snapshotWriter) failed(ctx context.Context, c changeset.Changeset, cause error) {
	w.stats.failed.Add(1)
	w.logger.WarnContext(ctx, "snapshot not written", "snapshot", c.Ref, "cause", cause)
}

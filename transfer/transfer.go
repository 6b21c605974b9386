// Package transfer copies aggregates from one storage to another one, between any two
// backends:
//
//	copier := transfer.New(transfer.Storage{s3, dynamo}, transfer.Storage{db, db}, nil)
//	for report, err := range copier.CopyAll(ctx) { … }
//
// A copy has the same contents, IDs, digests and tombstones: whatever proves the source
// proves the copy. Of each aggregate the objects are put first, each once it has been
// proved, and the head is swapped last. So a reader of the destination sees the whole
// history up to a head that the source has had, or the history before it. A source that
// is appended to in the meantime is copied up to the head that was loaded at the start.
//
// A copy may be interrupted at every step, and repeated at any time: it goes on at the
// head of the destination, or at the objects that are stored there. Repeating it later
// copies what is new. A destination that has gone on from the head of the source is left
// as it is. No history is overwritten: where the destination has another one, the
// aggregate is refused.
//
// [Options.At] copies the past of a source, as a fork of it. [Copier.Follow] goes on after the
// first pass, and copies what changes. [Copier.Move] makes the source refuse appends once the
// destination has everything.
//
// # What it costs
//
// At the source: a listing of the heads, a request for each head, and the reads of every
// changeset that the destination does not have. At the destination: two requests for each
// head that is copied, one for a head that is equal already, a put for each object, and,
// where there is no head yet, the pages of a listing.
//
// # Collections
//
// The destination must not be collected while it is copied to: objects that are put before
// the head names them look abandoned, and unlike an append a copy puts the same objects
// again. A collector waits for its grace period before it deletes, and leaves aggregates
// without a head alone. What it has deleted is put again by the next copy.
package transfer

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/headlist"
	"ropewalk/internal/parallel"
	"ropewalk/internal/reserved"
)

// Storage is the storage of changesets and the storage of their heads.
type Storage struct {
	Changesets changeset.Store
	Heads      head.Store
}

// Options are the settings of a [Copier]. Zero values stand for the defaults.
type Options struct {
	// Prefix limits [Copier.CopyAll] and [Copier.Follow] to aggregates whose IDs begin with it.
	Prefix string
	// Since limits [Copier.CopyAll] to aggregates whose newest changeset was recorded at
	// or after it. Tombstones are copied in any case.
	Since time.Time
	// At, if not nil, ends the history of each aggregate at a moment of the past, as if
	// nothing had followed. An append of several changesets is copied as a whole or not at
	// all. An erased aggregate is a tombstone at every moment.
	At *At
	// Parallel is the largest number of aggregates that are copied at once; 16 by default.
	Parallel int
	// MaxBytesInFlight bounds the bodies that are being put, in bytes; 64 MiB by default.
	// One larger body still passes, alone. Each aggregate under way holds up to 8 MiB
	// besides, which are being read, or one larger body.
	MaxBytesInFlight int64
	// MaxContentSize is the largest content that is copied, in bytes; 64 MiB by default.
	MaxContentSize int64
	// Progress, if not nil, is called with each number of changesets that were copied
	// since the last call. It must be safe for concurrent use, and must not call the
	// copier.
	Progress func(changesets int64)
	// MoveFrom and MoveTo name source and destination to people, as their URLs do, without
	// credentials: see [Copier.Move]. If MoveTo is set, [Copier.Follow] moves aggregates
	// instead of copying them.
	MoveFrom, MoveTo string
	// Poll is the pause between two listings of [Copier.Follow], if the source has no feed;
	// 10 seconds by default.
	Poll time.Duration
	// Retry, if not nil, is called with each failure of a storage after which
	// [Copier.Follow] tries an aggregate again. It must be safe for concurrent use.
	Retry func(aggregateID string, err error)
}

func (o *Options) withDefaults() Options {
	out := *cmp.Or(o, &Options{})
	out.Parallel = cmp.Or(max(out.Parallel, 0), 16)
	out.MaxBytesInFlight = cmp.Or(max(out.MaxBytesInFlight, 0), 64<<20)
	out.Poll = cmp.Or(max(out.Poll, 0), 10*time.Second)
	out.MaxContentSize = cmp.Or(max(out.MaxContentSize, 0), 64<<20)
	return out
}

// Copier copies aggregates. It is safe for concurrent use, next to readers and writers
// of either store, and needs no closing.
type Copier struct {
	from, to Storage
	options  Options
	bytes    *semaphore.Weighted
}

// New returns a copier. It does no I/O. Nil options stand for the defaults.
func New(from, to Storage, options *Options) *Copier {
	o := options.withDefaults()
	return &Copier{from: from, to: to, options: o, bytes: semaphore.NewWeighted(o.MaxBytesInFlight)}
}

// Outcome is what became of one aggregate.
type Outcome int

// The outcomes of a copy.
const (
	// Failed means that an error ended the copy.
	Failed Outcome = iota
	// Copied means that the head of the destination was swapped.
	Copied
	// Equal means that the destination had the history already.
	Equal
	// Newer means that the destination has the history and goes on after it.
	Newer
	// Absent means that the source had no such aggregate at the moment of [Options.At], or
	// that its head is void.
	Absent
	// Moved means that the destination has the history, and that the head of the source says
	// since this call that the aggregate has moved.
	Moved
)

// String returns the outcome in lower case.
func (o Outcome) String() string {
	return [...]string{"failed", "copied", "equal", "newer", "absent", "moved"}[o]
}

// Report is what a copy did about one aggregate.
type Report struct {
	// AggregateID is the aggregate's.
	AggregateID string
	// Outcome says what became of it.
	Outcome Outcome
	// Source is the head that was copied, as it was at the moment of [Options.At], and
	// Destination is the head there as it was last seen. Each is the zero Head if it was not loaded.
	Source, Destination head.Head
	// Changesets is how many changesets were read and proved.
	Changesets int64
	// Objects is how many objects were put, and Bytes is the size of their bodies.
	Objects, Bytes int64
	// Err is what ended the copy, in the reports of [Copier.CopyAll] alone; nil if nothing
	// did.
	Err error
}

// Copy copies one aggregate. The library's own chains, which have reserved IDs, are
// refused with an error that matches [changeset.ErrInvalidAggregateID].
//
// Its error matches [changeset.ErrNotFound] if the source has no head; ropewalk.ErrConflict
// if the destination has another history, or a history that is erased at the source;
// ropewalk.ErrErased if it is erased at the destination alone; and
// [changeset.ErrUnsupportedFormat] if only a newer version may write its head. A
// [*changeset.CorruptError] names an object of the source that does not hold against its
// hash, its parent or its digest, or an object of the destination that differs from it.
// Nothing is put before the histories were compared. Repeating is safe after any error.
func (c *Copier) Copy(ctx context.Context, aggregateID string) (Report, error) {
	return c.perform(ctx, aggregateID, "copy", (*work).run)
}

// perform does some work on one aggregate.
func (c *Copier) perform(ctx context.Context, aggregateID, name string, do func(*work, context.Context) error) (Report, error) {
	w := work{Copier: c, report: Report{AggregateID: aggregateID}}
	err := changeset.ValidateAggregateID(aggregateID)
	if err == nil {
		err = reserved.Check(ctx, aggregateID)
	}
	if err == nil {
		err = do(&w, ctx)
	}
	if err != nil {
		w.report.Outcome, err = Failed, fmt.Errorf("%s %q: %w", name, aggregateID, err)
	}
	return w.report, err
}

// CopyAll copies every aggregate that has a head, several at once, in the order of the
// source. The library's own chains are left out: a feed belongs to its storage, and
// snapshots are made again.
//
// An error of one aggregate is in its report, and does not end the rest, nor does a head
// that does not decode; a listing that fails, or the context's end, does, with the one
// error. Breaking the loop stops all work.
func (c *Copier) CopyAll(ctx context.Context) iter.Seq2[Report, error] {
	return parallel.Map(ctx, c.options.Parallel, c.aggregates, func(ctx context.Context, e headlist.Entry) (Report, error) {
		return reported(ctx, e, "copy", c.Copy), nil
	})
}

// reported works on the aggregate of a head in a listing, and puts all errors in the report.
func reported(ctx context.Context, e headlist.Entry, name string, do func(context.Context, string) (Report, error)) Report {
	if e.Fault != nil {
		return Report{AggregateID: e.AggregateID, Err: fmt.Errorf("%s %q: %w", name, e.AggregateID, e.Fault)}
	}
	r, err := do(ctx, e.AggregateID)
	r.Err = err
	return r
}

// aggregates yields the heads that are wanted, and those that do not decode.
func (c *Copier) aggregates(ctx context.Context) iter.Seq2[headlist.Entry, error] {
	return func(yield func(headlist.Entry, error) bool) {
		for e, err := range headlist.All(ctx, c.from.Heads, "") {
			if wanted := err != nil || c.wants(e); wanted && !yield(e, err) {
				return
			}
		}
	}
}

func (c *Copier) wants(e headlist.Entry) bool {
	recent := e.Head.Exists() && !e.Head.UpdatedAt.Before(c.options.Since)
	return c.named(e.AggregateID) && (e.Fault != nil || e.Head.State == head.Erased || recent)
}

// named reports whether the ID of an aggregate is wanted.
func (c *Copier) named(aggregateID string) bool {
	return !reserved.Is(aggregateID) && strings.HasPrefix(aggregateID, c.options.Prefix)
}

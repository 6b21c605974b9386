package aggregate

import (
	"cmp"
	"context"
	"iter"
	"log/slog"
	"math"
	"slices"
	"sync"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
)

// Options are the settings of a [Repository]. Zero values stand for the defaults.
type Options struct {
	// Logger receives what a maintainer wants to know of snapshots that do not
	// fit or could not be written. By default nothing is logged.
	Logger *slog.Logger
	// Metadata, if not nil, returns more metadata for the events of a call,
	// such as the traceparent that a tracing library keeps in the context.
	Metadata func(context.Context) map[string]string
	// MaxSnapshotSize is the largest snapshot in bytes, read or written; 64 MiB
	// by default. A larger one is passed over.
	MaxSnapshotSize int64
}

func (o *Options) withDefaults() Options {
	out := *cmp.Or(o, &Options{})
	out.Logger = cmp.Or(out.Logger, slog.New(slog.DiscardHandler))
	out.MaxSnapshotSize = cmp.Or(max(out.MaxSnapshotSize, 0), 64<<20)
	return out
}

// Repository loads and saves the aggregates of one [Type]. It is safe for
// concurrent use. A program that ends calls [Repository.Wait] first, so that
// snapshots which are being written are not lost; nothing else needs closing.
type Repository[S, E any] struct {
	store     *ropewalk.Store
	plan      *plan[S, E]
	options   Options
	snapshots *snapshotWriter
	stats     counters
	losses    sync.Map // losses that were logged
}

// New returns the repository of a type in a store. It does no I/O. Nil options
// stand for the defaults. It panics where [Type.Check] finds an error.
func New[S, E any](store *ropewalk.Store, t Type[S, E], options *Options) *Repository[S, E] {
	p, err := t.plan()
	if err != nil {
		panic(err)
	}
	r := &Repository[S, E]{store: store, plan: p, options: options.withDefaults()}
	r.snapshots = newSnapshotWriter(store.Changesets(), r.options.Logger, &r.stats)
	return r
}

// Loaded is an aggregate as it was at one head: decisions are made on it, and
// [Repository.Save] appends after it. A Loaded with nothing but an ID is an
// aggregate that does not exist yet.
type Loaded[S any] struct {
	// ID is the aggregate's.
	ID string
	// State is what Evolve has made of the events.
	State S
	// Head is where the aggregate was read; the zero Head if it does not exist.
	Head head.Head
	// Repeated reports that the call which returned this had a key of [Once]
	// that was processed before: it stored nothing.
	Repeated bool

	commands commands             // command IDs that were met, oldest first
	due      *changeset.Changeset // a snapshot that is missing, ready to be put
	unmade   error                // why a snapshot that is due could not be made
}

// Load returns an aggregate as it is now. It reads the head, and then, at
// once, the newest snapshot that can exist and the changesets after it; without
// a snapshot it reads the history. If the head has the whole history of a packed
// chain, it reads nothing else. Its error matches ropewalk.ErrNotFound if
// there is no such aggregate, ropewalk.ErrErased if the aggregate was erased;
// it is a *ropewalk.CorruptError, an [*UnknownEventError] or a [*DecodeError]
// if the history cannot be read.
func (r *Repository[S, E]) Load(ctx context.Context, id string) (Loaded[S], error) {
	h, err := r.store.Chain(id).Head(ctx)
	if err != nil {
		return Loaded[S]{ID: id}, err
	}
	return r.at(ctx, h)
}

// LoadAt returns an aggregate as it was when version was the newest. It costs
// up to a few requests more than Load. It returns the errors of Load; its error
// also matches ropewalk.ErrNotFound if there is no such version yet.
func (r *Repository[S, E]) LoadAt(ctx context.Context, id string, version uint64) (Loaded[S], error) {
	h, err := r.store.Chain(id).HeadAt(ctx, version)
	if err != nil {
		return Loaded[S]{ID: id}, err
	}
	return r.at(ctx, h)
}

// Events yields the events of the versions first to last, both included, of
// the chain that h is the head of, such as [Loaded.Head], the oldest first. It
// streams as ropewalk's readers do; its errors are theirs, and errors of
// decoding. At most one error ends it.
func (r *Repository[S, E]) Events(ctx context.Context, h head.Head, first, last uint64) iter.Seq2[Recorded[E], error] {
	return func(yield func(Recorded[E], error) bool) {
		for c, err := range r.reader(h).Changesets(ctx, ropewalk.Range{First: first, Last: last}) {
			var records []Recorded[E]
			if err == nil {
				records, err = r.plan.read(c)
			}
			if err != nil {
				yield(Recorded[E]{}, err)
				return
			}
			for _, record := range records {
				if !yield(record, nil) {
					return
				}
			}
		}
	}
}

func (r *Repository[S, E]) reader(h head.Head) *ropewalk.Reader {
	return r.store.Chain(h.AggregateID).ReaderAt(h)
}

// at returns the aggregate at a head. A snapshot is not looked for if the head has the
// whole history.
func (r *Repository[S, E]) at(ctx context.Context, h head.Head) (Loaded[S], error) {
	if hasAll(h) {
		return r.all(ctx, h)
	}
	return r.fromSnapshots(ctx, h)
}

// hasAll reports whether all changesets are in the tip of the head.
func hasAll(h head.Head) bool { return h.Tip != "" && h.Index.Next() == 0 }

// all returns the aggregate at a head from the history alone.
func (r *Repository[S, E]) all(ctx context.Context, h head.Head) (Loaded[S], error) {
	return r.fold(ctx, Loaded[S]{ID: h.AggregateID}, h, r.reader(h).All(ctx), noVersion)
}

// fromSnapshots returns the aggregate at a head from the newest snapshot that can be
// used, and the changesets after it.
func (r *Repository[S, E]) fromSnapshots(ctx context.Context, h head.Head) (Loaded[S], error) {
	due, ok := r.plan.Snapshots.due(h.Version)
	if !ok {
		return r.all(ctx, h)
	}
	l, note, err := r.fromNewest(ctx, h, due)
	if err != nil || l.Head.Exists() {
		return l, err
	}
	base, err := r.fromEarlier(ctx, h, due)
	if err != nil {
		return base, err
	}
	return r.fold(ctx, base, h, r.reader(h).Since(ctx, base.Head), note)
}

// noVersion is no version of any changeset.
const noVersion = math.MaxUint64

// fold returns what the changesets make of an aggregate, which are all those
// between its head and h. It makes the snapshot that is missing at the version
// note when it comes by.
func (r *Repository[S, E]) fold(ctx context.Context, l Loaded[S], h head.Head, seq iter.Seq2[changeset.Changeset, error], note uint64) (Loaded[S], error) {
	l.commands = slices.Clip(l.commands)
	for c, err := range seq {
		if err == nil {
			err = r.step(&l, c)
		}
		if err != nil {
			return Loaded[S]{ID: l.ID}, err
		}
		if c.Version == note {
			l.due, l.unmade = r.snapshotOf(ctx, l, head.At(c.Header))
		}
	}
	l.Head = h
	return l, ctx.Err()
}

// step takes one changeset in.
func (r *Repository[S, E]) step(l *Loaded[S], c changeset.Changeset) error {
	records, err := r.plan.read(c)
	if err != nil {
		return err
	}
	for _, record := range records {
		l.State = r.plan.Evolve(l.State, record.Event)
	}
	l.commands = l.commands.with(command{c.CommandID, !c.Commit().IsZero()})
	return nil
}

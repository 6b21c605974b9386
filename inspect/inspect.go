// Package inspect looks at everything that a storage holds of an aggregate,
// committed and orphaned alike, and proves it.
//
// Reading a chain needs no listing, and never meets an orphan. An [Inspector]
// does both: it lists all objects of an aggregate, reads each, and holds it
// against its name, its content's hash, its parent and its digest; then it
// walks down from the head and reports which of them are committed, and what
// became of the others:
//
//	report, err := inspect.New(db, db, nil).Verify(ctx, "order-4711")
//
// It returns a [Report] with one [Problem] for each fault. If you kept a digest
// of the chain, [Inspector.VerifyDigest] proves that nothing up to there changed
// since. [Inspector.Graph] shows the same without reading any content, for
// people to look at. [Inspector.Rebuild] plans how to rebuild a head that is
// lost, or older than its objects.
//
// # What cannot be found
//
// Nothing refers to an orphan, so a removed orphan cannot be noticed. Nor can a
// removed chain, head and objects, or the removal of a chain's latest changesets
// together with an older head put back: only a digest that was kept elsewhere
// shows it. In a chain of one append, a removed head looks like an append that
// is not committed yet. Nothing proves a head's revision beyond its lower bound.
// Changesets built on one that is missing or does not decode cannot be proved
// before it is restored.
package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sync/semaphore"

	"ropewalk/changeset"
	"ropewalk/head"
)

// Changesets is a store of changesets that can list them.
type Changesets interface {
	changeset.Store
	changeset.Lister
}

// Options are the settings of an [Inspector]. Zero values stand for the defaults.
type Options struct {
	// Parallel is the largest number of requests under way; 16 by default.
	Parallel int
	// MaxBytesInFlight bounds the contents held in memory, in bytes; 64 MiB by
	// default. One larger content still passes, alone. Lines that are being unpacked
	// take as much again, and so do the small contents that [Inspector.VerifyAll] reads
	// of many aggregates together.
	MaxBytesInFlight int64
	// MaxContentSize is the largest content that is read, in bytes; 64 MiB by
	// default. A larger one is a fault: it cannot be proved.
	MaxContentSize int64
	// HeadersOnly leaves the contents unread, and so unproved: all else is
	// checked, by metadata requests alone. The lines of packs count as contents, unless
	// a digest is looked for in them, or a head is rebuilt from them.
	HeadersOnly bool
	// Internal lets [Inspector.VerifyAll] verify the library's own chains as well,
	// such as feeds. Each can be verified by its ID in any case.
	Internal bool
	// Progress, if not nil, is called after each changeset that Verify has
	// read, one call at a time. It must not call the inspector.
	Progress func()
}

// Inspector looks at the aggregates of one storage. It changes nothing, but
// for a head that it is asked to write ([Inspector.Apply]). It is safe for
// concurrent use, and needs no closing. The limits of its options hold for all
// its methods together.
type Inspector struct {
	changesets  Changesets
	many        changeset.ManyGetter // nil if the store has no such request
	scanner     changeset.Scanner    // nil if the store has no such request
	heads       head.Store
	parallel    int
	maxBytes    int64
	maxContent  int64
	headersOnly bool
	internal    bool
	progress    func()
	progressing sync.Mutex
	requests    *semaphore.Weighted
	bytes       *semaphore.Weighted
	unpacking   *semaphore.Weighted
}

func (o *Options) withDefaults() Options {
	out := *cmp.Or(o, &Options{})
	out.Parallel = cmp.Or(max(out.Parallel, 0), 16)
	out.MaxBytesInFlight = cmp.Or(max(out.MaxBytesInFlight, 0), 64<<20)
	out.MaxContentSize = cmp.Or(max(out.MaxContentSize, 0), 64<<20)
	return out
}

// New returns an inspector over the two interfaces. It does no I/O. Nil options
// stand for the defaults.
func New(changesets Changesets, heads head.Store, options *Options) *Inspector {
	o := options.withDefaults()
	many, _ := changeset.As[changeset.ManyGetter](changesets)
	scanner, _ := changeset.As[changeset.Scanner](changesets)
	return &Inspector{
		changesets: changesets, many: many, scanner: scanner, heads: heads,
		parallel: o.Parallel, maxBytes: o.MaxBytesInFlight, maxContent: o.MaxContentSize, headersOnly: o.HeadersOnly,
		internal: o.Internal, progress: o.Progress,
		requests: semaphore.NewWeighted(int64(o.Parallel)),
		bytes:    semaphore.NewWeighted(o.MaxBytesInFlight),
		// Lines are unpacked beside the bodies that they are in.
		unpacking: semaphore.NewWeighted(o.MaxBytesInFlight),
	}
}

// Problem is one fault in what is stored.
type Problem struct {
	// Ref names the changeset; its ID is zero where the head is meant.
	Ref changeset.Ref
	// Object is the object's own name in its storage, where that is known;
	// empty where the fault is that an object is missing.
	Object string
	// Reason says what does not match, or what is missing.
	Reason string
	// Missing names the changeset that Ref refers to and that is missing; zero
	// if nothing is missing.
	Missing changeset.Ref

	unsupported bool // the format is not of this version
}

// String returns the fault in one line.
func (p Problem) String() string {
	reason := p.Reason
	if p.Missing != (changeset.Ref{}) {
		reason += ": " + p.Missing.String()
	}
	return (&changeset.CorruptError{Ref: p.Ref, Object: p.Object, Reason: reason}).Error()
}

func (in *Inspector) progressed() {
	if in.progress != nil {
		in.progressing.Lock()
		defer in.progressing.Unlock()
		in.progress()
	}
}

// request waits for its turn, and returns what ends it.
func (in *Inspector) request(ctx context.Context) (func(), error) {
	if err := in.requests.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	return func() { in.requests.Release(1) }, nil
}

// load reads the head. One that does not decode, or that only newer versions
// may trust, is a fault.
func (in *Inspector) load(ctx context.Context, aggregateID string) (head.Head, *Problem, error) {
	done, err := in.request(ctx)
	if err != nil {
		return head.Head{}, nil, err
	}
	defer done()
	h, err := in.heads.Load(ctx, aggregateID)
	if p := in.fault(changeset.Ref{AggregateID: aggregateID}, err); p != nil {
		return head.Head{}, p, nil
	}
	if err != nil {
		return head.Head{}, nil, fmt.Errorf("load head of %q: %w", aggregateID, err)
	}
	return h, nil, nil
}

// fault returns the fault of one object that an error of reading it reports; nil
// if the error concerns the storage or the context instead.
func (in *Inspector) fault(ref changeset.Ref, err error) *Problem {
	corrupt, ok := errors.AsType[*changeset.CorruptError](err)
	switch {
	case ok:
		return in.problem(ref, corrupt.Reason)
	case errors.Is(err, changeset.ErrUnsupportedFormat):
		_, detail, _ := strings.Cut(err.Error(), changeset.ErrUnsupportedFormat.Error())
		p := in.problem(ref, changeset.ErrUnsupportedFormat.Error()+detail)
		p.unsupported = true
		return p
	default:
		return nil
	}
}

func (in *Inspector) problem(ref changeset.Ref, reason string) *Problem {
	p := &Problem{Ref: ref, Reason: reason}
	if l, ok := changeset.As[changeset.Locator](in.changesets); ok && !ref.ID.IsZero() {
		p.Object = l.Locate(ref)
	}
	if l, ok := head.As[head.Locator](in.heads); ok && ref.ID.IsZero() {
		p.Object = l.LocateHead(ref.AggregateID)
	}
	return p
}

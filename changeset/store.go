package changeset

import (
	"context"
	"iter"
	"time"
)

// Store is the interface of the storage of immutable changeset objects. In a packed
// chain an object holds several changesets, and its [Ref] has a Count; to a store it is
// an object with a header and a body, as every other. Package backendtest holds an implementation to every sentence of it.
//
// A store may implement more: [ManyGetter], [Lister], [Scanner], [Deleter] and [Locator].
// Callers find out by [As], which looks through decorators, never by a type
// assertion and never by a request. Only [RangeGetter] is found by a type assertion.
//
// An implementation must be safe for concurrent use by many goroutines and
// processes. Every operation may be repeated, also by the service's own
// client. Every error must keep the cause, so that errors.Is finds a context's
// error, and a call whose context has already ended must send nothing. A nil
// error must mean what the method says, durably. Nothing that an
// implementation returns may alias what it keeps, or what it was given.
type Store interface {
	// Put must store the changeset as one object, Body and metadata in one step,
	// create-only: when it returns nil the object is durable and every later
	// Get, Stat and listing sees it. It must not look at Content. If an object
	// of that reference exists, it must leave the object as it is and return nil:
	// a reference is never used by two changesets, so it met its own earlier
	// attempt. An error means that the object may or may not exist, or may
	// appear later.
	Put(ctx context.Context, c Changeset) error

	// Get must return the changeset with its Body, just as it was put, or an
	// error that matches [ErrNotFound]. It must leave Content nil: the reader of
	// chains fills it in. It must decode the metadata with [Decode] and return
	// its errors. Between the header and the body it must call
	// [Admission.Admit] with the header that it returns, once. If that is an
	// error, Get must return the error as it is, without having read the body.
	// The caller checks whether the body matches its SHA-256.
	Get(ctx context.Context, ref Ref, admission Admission) (Changeset, error)

	// Stat must return the header that Get returns, without reading the body, or
	// an error that matches [ErrNotFound].
	Stat(ctx context.Context, ref Ref) (Info, error)
}

// Admission decides whether the body of the changeset with a header may be
// read now: nil admits it, an error refuses it. A nil Admission admits every body.
// The reader of chains bounds its memory with an Admission.
type Admission func(Header) error

// Admit returns the decision about the body of the changeset with this
// header.
func (a Admission) Admit(h Header) error {
	if a == nil {
		return nil
	}
	return a(h)
}

// ManyGetter is what a [Store] implements if it can read many changesets by one
// request. The readers of chains and of feeds then do.
type ManyGetter interface {
	// GetMany must return the changesets of these references, each as
	// [Store.Get] returns it, in any order. The references are all different, and
	// may be of several aggregates. Before it reads a body that may be large it
	// must call [Admission.Admit], once for each changeset. It must not return a
	// body that was refused.
	//
	// It must return the changesets that Get would return. It must leave out the
	// others: Get then says why. An error must mean that the request as a whole
	// has failed; it comes without changesets. For no references it must send
	// nothing and return none.
	GetMany(ctx context.Context, refs []Ref, admission Admission) ([]Changeset, error)
}

// RangeGetter is what a [Store] implements if it can read neighbouring versions of an
// aggregate by one request. The readers of chains then do, if nothing stands in front of
// the store: a decorator sees the requests for the changesets that are read.
type RangeGetter interface {
	// GetRange must return the changesets of format 1 of an aggregate whose versions are
	// first to last, both included: each as [Store.Get] returns it, committed and orphaned
	// alike, in the order of their versions. Before it reads a body that may be large it must
	// call [Admission.Admit], once for each changeset. It must not return a body that was
	// refused.
	//
	// It may leave out changesets: the caller then reads them by other requests. It must
	// leave out the changesets that Get would not return. An error must mean that the
	// request as a whole has failed; it comes without changesets.
	GetRange(ctx context.Context, aggregateID string, first, last uint64, admission Admission) ([]Changeset, error)

	// GetsRangesOf must report whether GetRange reads the given store: whether the receiver
	// is that store. A type that embeds the store has this method too, and may have a Get of
	// its own. It is another store, so GetRange is not called.
	GetsRangesOf(s Store) bool
}

// Info is a store's answer about a changeset without its content.
type Info struct {
	Header
	// LastModified is the storage's own clock at the put.
	LastModified time.Time
}

// Object is an entry of a listing of stored changesets.
type Object struct {
	Ref
	// Size is the size of the body in bytes.
	Size int64
	// LastModified is the storage's own clock at the put.
	LastModified time.Time
}

// Lister is what a [Store] implements for work beyond the chains: verification,
// graphs, the collection of orphans. Appending and reading never need it.
type Lister interface {
	// Objects must yield every object of an aggregate, committed and orphaned
	// alike, in the order of their names and thus of their first versions, each once.
	// Objects that are put during the listing may be missing. Objects whose names
	// are not names of changesets must be left out. At most one error ends it.
	Objects(ctx context.Context, aggregateID string) iter.Seq2[Object, error]

	// Aggregates must yield the ID of every aggregate that has an object, each
	// once, in the order of their percent-encoded form. If after is not empty, it
	// must begin after that ID. At most one error ends it.
	Aggregates(ctx context.Context, after string) iter.Seq2[string, error]
}

// Scanner is what a [Store] implements if it can list and read the objects of many
// aggregates by one request. The verification of all aggregates then does.
type Scanner interface {
	// Scan must yield the objects of these aggregates, each as [Lister.Objects] yields
	// it: one aggregate after the other, in the order in which they are given. The IDs
	// are all different. With a small object it should yield the changeset, as
	// [Store.Get] returns it. Before it does, it must call [Admission.Admit], once for the
	// object, and must not yield a changeset that was refused. It must leave out the changeset
	// of an object that Get would not return: Get then says why.
	//
	// It must hold some megabytes of contents at most, however much is stored. For no
	// IDs it must send nothing and yield nothing. At most one error ends it.
	Scan(ctx context.Context, aggregateIDs []string, admission Admission) iter.Seq2[Scanned, error]
}

// Scanned is an object that a [Scanner] yields.
type Scanned struct {
	Object
	// Changeset is the changeset in the object; nil if it must be read by [Store.Get].
	Changeset *Changeset
}

// Deleter is apart from [Store], so that a writer's role can lack it.
type Deleter interface {
	// Delete must remove the object of that reference, durably, and return nil
	// if the object does not exist. It must only be called on objects that no
	// chain can reach.
	Delete(ctx context.Context, ref Ref) error
}

// Locator is what a [Store] implements if it can name the objects for people.
type Locator interface {
	// Locate must return the object's own name in its storage, such as
	// s3://bucket/key, without any request. It must not hold credentials.
	Locate(ref Ref) string
}

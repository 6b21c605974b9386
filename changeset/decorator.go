package changeset

import (
	"context"
	"errors"
	"iter"

	"ropewalk/internal/unwrap"
)

// Decorator is a [Store] in front of another store that keeps the same
// changesets, such as a cache or a log of requests.
//
// A decorator has the optional interfaces that the store it wraps has, no more
// and no less, see [As]. It must implement each optional interface whose calls
// it must see, whether the wrapped store has the interface or not: the calls of
// the others go straight to the wrapped store. [PassThrough] implements all.
//
// A decorator must keep changesets as they are, since not every changeset
// passes it: a commit in one step goes straight to the storage. A store that
// encrypts content, for example, is not a decorator, and must not have Unwrap.
type Decorator interface {
	Store

	// Unwrap must return the wrapped store, always the same.
	Unwrap() Store
}

// As returns the store as T, one of the optional interfaces: [ManyGetter],
// [Lister], [Scanner], [Deleter] or [Locator]. It sends nothing.
//
// The outermost [Decorator] that implements T answers, or else the store that
// the decorators wrap. As reports false if that innermost store does not
// implement T, even if a decorator does.
func As[T any](s Store) (T, bool) { return unwrap.As[T](s) }

// PassThrough is a [Decorator] that changes nothing. A decorator embeds it and
// writes only the methods that it changes:
//
//	type counter struct {
//		changeset.PassThrough
//		gets atomic.Int64
//	}
//
// It has the methods of all optional interfaces except [RangeGetter], for which a
// decorator is not asked. If the wrapped store lacks an
// interface, [As] does not report it; a call of such a method nevertheless
// fails with [errors.ErrUnsupported], and Locate returns "". A decorator that
// writes Get should write GetMany and Scan as well, and a decorator that writes Objects
// should write Scan as well: many reads and listings go there if the wrapped store is a
// [ManyGetter] or a [Scanner].
type PassThrough struct{ inner Store }

// NewPassThrough returns a PassThrough to the store, which must not be nil.
func NewPassThrough(inner Store) PassThrough { return PassThrough{inner} }

// Unwrap returns the wrapped store.
func (p PassThrough) Unwrap() Store { return p.inner }

// Put passes the changeset to the wrapped store.
func (p PassThrough) Put(ctx context.Context, c Changeset) error { return p.inner.Put(ctx, c) }

// Get reads the changeset from the wrapped store.
func (p PassThrough) Get(ctx context.Context, ref Ref, admission Admission) (Changeset, error) {
	return p.inner.Get(ctx, ref, admission)
}

// Stat reads the header from the wrapped store.
func (p PassThrough) Stat(ctx context.Context, ref Ref) (Info, error) { return p.inner.Stat(ctx, ref) }

// GetMany reads many changesets from the wrapped store.
func (p PassThrough) GetMany(ctx context.Context, refs []Ref, admission Admission) ([]Changeset, error) {
	if many, ok := As[ManyGetter](p.inner); ok {
		return many.GetMany(ctx, refs, admission)
	}
	return nil, errors.ErrUnsupported
}

// Objects lists the objects of the wrapped store.
func (p PassThrough) Objects(ctx context.Context, aggregateID string) iter.Seq2[Object, error] {
	if lister, ok := As[Lister](p.inner); ok {
		return lister.Objects(ctx, aggregateID)
	}
	return unsupported[Object]
}

// Scan lists and reads the objects of many aggregates of the wrapped store.
func (p PassThrough) Scan(ctx context.Context, aggregateIDs []string, admission Admission) iter.Seq2[Scanned, error] {
	if scanner, ok := As[Scanner](p.inner); ok {
		return scanner.Scan(ctx, aggregateIDs, admission)
	}
	return unsupported[Scanned]
}

// Aggregates lists the aggregates of the wrapped store.
func (p PassThrough) Aggregates(ctx context.Context, after string) iter.Seq2[string, error] {
	if lister, ok := As[Lister](p.inner); ok {
		return lister.Aggregates(ctx, after)
	}
	return unsupported[string]
}

func unsupported[T any](yield func(T, error) bool) {
	var none T
	yield(none, errors.ErrUnsupported)
}

// Delete removes the object from the wrapped store.
func (p PassThrough) Delete(ctx context.Context, ref Ref) error {
	if deleter, ok := As[Deleter](p.inner); ok {
		return deleter.Delete(ctx, ref)
	}
	return errors.ErrUnsupported
}

// Locate returns the object's name in the wrapped store.
func (p PassThrough) Locate(ref Ref) string {
	if locator, ok := As[Locator](p.inner); ok {
		return locator.Locate(ref)
	}
	return ""
}

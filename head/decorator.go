package head

import (
	"context"
	"errors"
	"iter"

	"ropewalk/changeset"
	"ropewalk/internal/unwrap"
)

// Decorator is a [Store] in front of another store that keeps the same heads,
// such as a log of requests.
//
// A decorator has the optional interfaces that the store it wraps has, no more
// and no less, see [As]. It must implement each optional interface whose calls
// it must see, whether the wrapped store has the interface or not: the calls of
// the others go straight to the wrapped store. [PassThrough] implements all.
type Decorator interface {
	Store

	// Unwrap must return the wrapped store, always the same.
	Unwrap() Store
}

// As returns the store as T, one of the optional interfaces: [Refresher],
// [Combined], [Transactor], [Log], [Source], [Tagger], [Tipper] or [Locator]. It sends nothing.
//
// The outermost [Decorator] that implements T answers, or else the store that
// the decorators wrap. As reports false if that innermost store does not
// implement T, even if a decorator does.
func As[T any](s Store) (T, bool) { return unwrap.As[T](s) }

// PassThrough is a [Decorator] that changes nothing. A decorator embeds it and
// writes only the methods that it changes.
//
// It has the methods of all optional interfaces. If the wrapped store lacks an
// interface, [As] does not report it. A call of such a method nevertheless does
// no harm: Refresh loads, Commit and SwapAll are a [*NotAppliedError] that matches
// [errors.ErrUnsupported], Members returns 0, Holds returns false, LocateHead and SourceName return
// "", TipSize returns 0, and the other methods return, or yield, an error that matches [errors.ErrUnsupported].
//
// A decorator that writes Load should write Refresh as well, and a decorator
// that writes Swap should write Commit and SwapAll as well: if the wrapped store has them,
// many loads and all appends go there.
type PassThrough struct{ inner Store }

// NewPassThrough returns a PassThrough to the store, which must not be nil.
func NewPassThrough(inner Store) PassThrough { return PassThrough{inner} }

// Unwrap returns the wrapped store.
func (p PassThrough) Unwrap() Store { return p.inner }

// Load loads the head from the wrapped store.
func (p PassThrough) Load(ctx context.Context, aggregateID string) (Head, error) {
	return p.inner.Load(ctx, aggregateID)
}

// Swap swaps the head in the wrapped store.
func (p PassThrough) Swap(ctx context.Context, old, next Head) (Head, error) {
	return p.inner.Swap(ctx, old, next)
}

// List lists the heads of the wrapped store.
func (p PassThrough) List(ctx context.Context, after string) iter.Seq2[Head, error] {
	return p.inner.List(ctx, after)
}

// Refresh refreshes the head from the wrapped store.
func (p PassThrough) Refresh(ctx context.Context, seen Head) (Head, error) {
	if refresher, ok := As[Refresher](p.inner); ok {
		return refresher.Refresh(ctx, seen)
	}
	return p.inner.Load(ctx, seen.AggregateID)
}

// Commit commits to the wrapped store.
func (p PassThrough) Commit(ctx context.Context, changesets []changeset.Changeset, old, next Head) (Head, error) {
	if combined, ok := As[Combined](p.inner); ok {
		return combined.Commit(ctx, changesets, old, next)
	}
	return Head{}, &NotAppliedError{Err: errors.ErrUnsupported}
}

// Holds reports whether the wrapped store puts changesets where the given store
// finds them.
func (p PassThrough) Holds(changesets changeset.Store) bool {
	combined, ok := As[Combined](p.inner)
	return ok && combined.Holds(changesets)
}

// Members returns how many heads the wrapped store can swap in one step.
func (p PassThrough) Members() int {
	if transactor, ok := As[Transactor](p.inner); ok {
		return transactor.Members()
	}
	return 0
}

// SwapAll swaps heads in the wrapped store.
func (p PassThrough) SwapAll(ctx context.Context, exchanges []Exchange) ([]Head, error) {
	if transactor, ok := As[Transactor](p.inner); ok {
		return transactor.SwapAll(ctx, exchanges)
	}
	return nil, &NotAppliedError{Err: errors.ErrUnsupported}
}

// Entries yields the log of the wrapped store.
func (p PassThrough) Entries(ctx context.Context, from LogPosition, follow bool) iter.Seq2[[]LogEntry, error] {
	if log, ok := As[Log](p.inner); ok {
		return log.Entries(ctx, from, follow)
	}
	return unsupported[[]LogEntry]
}

// LogEnd returns the end of the log of the wrapped store.
func (p PassThrough) LogEnd(ctx context.Context) (LogPosition, error) {
	if log, ok := As[Log](p.inner); ok {
		return log.LogEnd(ctx)
	}
	return LogPosition{}, errors.ErrUnsupported
}

// SourceName returns the name of the wrapped store's source.
func (p PassThrough) SourceName() string {
	if source, ok := As[Source](p.inner); ok {
		return source.SourceName()
	}
	return ""
}

// Hints yields the hints of the wrapped store.
func (p PassThrough) Hints(ctx context.Context, cursor []byte) iter.Seq2[Hints, error] {
	if source, ok := As[Source](p.inner); ok {
		return source.Hints(ctx, cursor)
	}
	return unsupported[Hints]
}

// Tags yields the tags of the wrapped store.
func (p PassThrough) Tags(ctx context.Context, after string) iter.Seq2[Tag, error] {
	if tagger, ok := As[Tagger](p.inner); ok {
		return tagger.Tags(ctx, after)
	}
	return unsupported[Tag]
}

// TipSize returns the size of tips in the wrapped store.
func (p PassThrough) TipSize() int {
	if tipper, ok := As[Tipper](p.inner); ok {
		return tipper.TipSize()
	}
	return 0
}

func unsupported[T any](yield func(T, error) bool) {
	var none T
	yield(none, errors.ErrUnsupported)
}

// LocateHead returns the record's name in the wrapped store.
func (p PassThrough) LocateHead(aggregateID string) string {
	if locator, ok := As[Locator](p.inner); ok {
		return locator.LocateHead(aggregateID)
	}
	return ""
}

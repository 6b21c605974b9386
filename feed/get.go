package feed

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/body"
	"ropewalk/internal/walk"
)

// reading is one reading of the feed. A changeset that the feed names is an object of
// format 1, or it is in a packed chain. If the store has packed chains, the head comes
// first, since it has the newest changesets.
type reading struct {
	*Feed
	views *views
}

func (f *Feed) newReading() *reading { return &reading{f, f.newViews()} }

// get returns one changeset that the feed names, proved against its reference and the
// hash of its body.
func (r *reading) get(ctx context.Context, ref ropewalk.Ref) (ropewalk.Changeset, error) {
	tried := !r.packed.Load()
	if tried {
		c, err := r.object(ctx, ref)
		if !absent(err) {
			return c, readError(ref, err)
		}
	}
	c, err := with(ctx, r.views, ref, func(w *view) (ropewalk.Changeset, error) { return w.read(ctx, ref, tried) })
	if _, damaged := head.Damaged(err); damaged && !tried {
		if c, failed := r.object(ctx, ref); failed == nil {
			return c, nil // a changeset of format 1 can be read without its head
		}
	}
	return c, err
}

// headAt returns a head whose chain has a changeset that the feed names.
func (r *reading) headAt(ctx context.Context, ref ropewalk.Ref) (head.Head, error) {
	tried := !r.packed.Load()
	if tried {
		h, err := r.point(ctx, ref)
		if !absent(err) {
			return h, readError(ref, err)
		}
	}
	return with(ctx, r.views, ref, func(w *view) (head.Head, error) {
		if !tried && ref.Version < w.packedFrom() {
			h, err := r.point(ctx, ref)
			if !absent(err) {
				return h, readError(ref, err)
			}
		}
		_, err := w.read(ctx, ref, true)
		return w.head, err
	})
}

// span yields versions up to a changeset that the chain of newest has.
func (r *reading) span(ctx context.Context, newest head.Head, last ropewalk.Ref, versions ropewalk.Range) iter.Seq2[ropewalk.Changeset, error] {
	if !newest.IsPacked() {
		return r.store.Chain(last.AggregateID).ReaderAt(newest).Changesets(ctx, versions)
	}
	return func(yield func(ropewalk.Changeset, error) bool) {
		w, err := with(ctx, r.views, last, func(w *view) (*view, error) {
			_, err := w.read(ctx, last, true)
			return w, err
		})
		if err != nil {
			yield(ropewalk.Changeset{}, err)
			return
		}
		w.span(ctx, versions)(yield)
	}
}

// object returns a changeset that is an object of format 1, or an object beside the
// chains. If the object is missing, the error matches [changeset.ErrNotFound].
func (f *Feed) object(ctx context.Context, ref ropewalk.Ref) (ropewalk.Changeset, error) {
	limit := f.store.Options().MaxContentSize
	c, err := f.store.Changesets().Get(ctx, ref, func(h changeset.Header) error {
		if h.BodySize > limit {
			return fmt.Errorf("%w: %d bytes, more than %d", changeset.ErrStoredTooLarge, h.BodySize, limit)
		}
		return nil
	})
	if err == nil && c.Ref != ref {
		err = &changeset.CorruptError{Ref: ref, Reason: "the object belongs to " + c.Ref.String()}
	}
	if err == nil {
		c, err = f.admitted(c)
	}
	if err != nil {
		return ropewalk.Changeset{}, err
	}
	return c, nil
}

// admitted returns a changeset with its content, proved against the hash of its body.
func (f *Feed) admitted(c ropewalk.Changeset) (ropewalk.Changeset, error) {
	err := c.VerifyBody()
	if err == nil {
		c.Content, err = body.Decode(c, f.store.Options().MaxContentSize)
	}
	return c, err
}

// readError returns the error of reading a changeset that a chain names, nil if err is nil.
func readError(ref ropewalk.Ref, err error) error {
	if err == nil {
		return nil
	}
	return walk.ReadError(ref, err)
}

// absent reports whether an error means that there is no such object.
func absent(err error) bool {
	_, corrupt := errors.AsType[*changeset.CorruptError](err)
	return errors.Is(err, changeset.ErrNotFound) && !corrupt
}

// header returns the header of a changeset of format 1 that a chain names.
func (f *Feed) header(ctx context.Context, ref ropewalk.Ref) (ropewalk.Header, error) {
	h, err := f.stat(ctx, ref)
	return h, readError(ref, err)
}

// stat is header, with the error of the store.
func (f *Feed) stat(ctx context.Context, ref ropewalk.Ref) (ropewalk.Header, error) {
	info, err := f.store.Changesets().Stat(ctx, ref)
	if err == nil && info.Ref != ref {
		err = &changeset.CorruptError{Ref: ref, Reason: "the object belongs to " + info.Ref.String()}
	}
	return info.Header, err
}

// pointAt returns the head at a changeset of format 1 that a chain names.
func (f *Feed) pointAt(ctx context.Context, ref ropewalk.Ref) (head.Head, error) {
	h, err := f.point(ctx, ref)
	return h, readError(ref, err)
}

// point is pointAt with the error of the store.
func (f *Feed) point(ctx context.Context, ref ropewalk.Ref) (head.Head, error) {
	header, err := f.stat(ctx, ref)
	if err != nil {
		return head.Head{}, err
	}
	return head.At(header), nil
}

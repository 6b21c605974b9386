package link

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"ropewalk/changeset"
	"ropewalk/head"
)

// Place is where a changeset of a chain is stored.
type Place struct {
	// Header is the changeset's.
	Header changeset.Header
	// Object is the object that has the changeset; zero if it is in the tip of the head.
	Object changeset.Ref
	// At is the head as of the changeset: a point, in a packed chain, that says where its
	// changesets are stored.
	At head.Head
}

// Locate returns the place of a version in the chain of h. It reads nothing for a
// version in the tip. For a version in an object of lines it reads a few headers for
// the way there, and the object.
//
// Its error matches [changeset.ErrNotFound] if the chain has no such version. It is a
// [*MissingError] if an object is missing.
func Locate(ctx context.Context, store changeset.Store, h head.Head, version uint64) (Place, error) {
	if version > h.Version || !h.Exists() {
		return Place{}, fmt.Errorf("version %d of %q, which is at %d: %w", version, h.AggregateID, h.Version, changeset.ErrNotFound)
	}
	if h.IsPacked() && version >= h.Index.Next() {
		return inTip(h, version)
	}
	if h.Index.Objects() > 0 {
		return inObjects(ctx, store, h, version)
	}
	return inFormat1(ctx, store, h, version)
}

// MissingError says that an object is not stored, although a chain names it.
type MissingError struct{ Ref changeset.Ref }

// Error names the object.
func (e *MissingError) Error() string { return e.Ref.String() + " is missing" }

func readError(ref changeset.Ref, err error) error {
	if errors.Is(err, changeset.ErrNotFound) {
		return &MissingError{ref}
	}
	if _, ok := errors.AsType[*changeset.CorruptError](err); ok || err == nil {
		return err
	}
	return fmt.Errorf("read %s: %w", ref, err)
}

func inTip(h head.Head, version uint64) (Place, error) {
	tip, err := h.TipChangesets()
	if err != nil {
		return Place{}, err
	}
	at, size := int(version-h.Index.Next()), 0
	if at >= len(tip) {
		return Place{}, &changeset.CorruptError{Ref: h.Ref, Reason: fmt.Sprintf("version %d is neither in its tip nor in its objects", version)}
	}
	n := 0
	for line := range strings.Lines(h.Tip) {
		if size += len(line); n == at {
			break
		}
		n++
	}
	point := head.At(tip[at].Header)
	point.Tip, point.Index, point.Ancestors = h.Tip[:size], h.Index, h.Ancestors
	point.PackedID, point.PackedDigest = h.PackedID, h.PackedDigest
	return Place{Header: tip[at].Header, At: point}, nil
}

// inObjects finds the object of a version through the indexes.
func inObjects(ctx context.Context, store changeset.Store, h head.Head, version uint64) (Place, error) {
	for index := h.Index; ; {
		_, e, ok := index.Nearest(version)
		if !ok {
			return Place{}, &changeset.CorruptError{Ref: h.Ref, Reason: fmt.Sprintf("no object index leads to version %d", version)}
		}
		object := e.Ref(h.AggregateID)
		if object.First() <= version {
			return inObject(ctx, store, object, version)
		}
		header, err := stat(ctx, store, object)
		if err != nil {
			return Place{}, err
		}
		if index = header.Pack.Index; index.Objects() == 0 {
			return belowObjects(ctx, store, header, version)
		}
	}
}

// inObject reads the object that has a version.
func inObject(ctx context.Context, store changeset.Store, object changeset.Ref, version uint64) (Place, error) {
	c, err := get(ctx, store, object, linesOnly)
	if alone, ok := errors.AsType[*aloneError](err); ok {
		c.Header, err = alone.header, isOf(alone.header, object)
	}
	if err != nil {
		return Place{}, err
	}
	headers, err := headersOf(c)
	if err != nil {
		return Place{}, err
	}
	header, last := headers[version-object.First()], headers[len(headers)-1]
	point := head.At(header)
	point.Index, point.PackedID, point.PackedDigest = c.Pack.Index.Push(object), last.ID, last.Digest
	return Place{Header: header, Object: object, At: point}, nil
}

// headersOf returns the headers of the changesets in an object.
func headersOf(object changeset.Changeset) ([]changeset.Header, error) {
	if !object.Pack.Lines {
		return []changeset.Header{object.Header.Alone()}, nil
	}
	all, err := unpack(object, 0)
	headers := make([]changeset.Header, len(all))
	for i, c := range all {
		headers[i] = c.Header
	}
	return headers, err
}

// aloneError refuses the content of an object that is one changeset: the header is
// enough.
type aloneError struct{ header changeset.Header }

func (e *aloneError) Error() string { return "only the header is wanted" }

// linesOnly admits the bodies of lines.
func linesOnly(h changeset.Header) error {
	if h.Pack != nil && !h.Pack.Lines {
		return &aloneError{h}
	}
	return admit(h, changeset.MaxReadBody)
}

// belowObjects finds a version below the first object of format 2.
func belowObjects(ctx context.Context, store changeset.Store, first changeset.Header, version uint64) (Place, error) {
	parent := first.ParentOf()
	header, err := stat(ctx, store, parent.Ref)
	if err != nil {
		return Place{}, err
	}
	if parent.Version == version {
		return Place{Header: header, Object: header.Ref, At: head.At(header)}, nil
	}
	return inFormat1(ctx, store, head.At(header), version)
}

func inFormat1(ctx context.Context, store changeset.Store, h head.Head, version uint64) (Place, error) {
	header := func(ref changeset.Ref) (changeset.Header, error) { return stat(ctx, store, ref) }
	id, err := Find(h, version, header)
	if err != nil {
		return Place{}, err
	}
	found, err := header(changeset.Ref{AggregateID: h.AggregateID, Version: version, ID: id})
	if err != nil {
		return Place{}, err
	}
	return Place{Header: found, Object: found.Ref, At: head.At(found)}, nil
}

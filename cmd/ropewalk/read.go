package main

import (
	"context"
	"errors"
	"fmt"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/body"
	"ropewalk/internal/link"
)

// get reads a changeset in the chain or not, and checks its body.
func (s *store) get(ctx context.Context, l located) (changeset.Changeset, error) {
	if l.reader != nil {
		return l.reader.At(ctx, l.ref.Version)
	}
	if l.pack.IsPacked() {
		_, all, err := s.open(ctx, l.pack.Ref)
		if err != nil {
			return changeset.Changeset{}, err
		}
		return all[l.ref.Version-l.pack.First()], nil
	}
	c, err := s.objects.Get(ctx, l.ref, nil)
	if err == nil {
		err = c.VerifyBody()
	}
	if err == nil {
		c.Content, err = body.Decode(c, s.Options().MaxContentSize)
	}
	return c, s.named(err)
}

// proved reads a changeset and checks all of it: its content, its link to its
// parent, and its digest.
func (s *store) proved(ctx context.Context, l located) (changeset.Changeset, error) {
	c, err := s.get(ctx, l)
	if err != nil {
		return c, err
	}
	if c.Version == 0 {
		return c, s.proveAfter(changeset.Header{}, c)
	}
	parent, err := s.parentOf(ctx, l, c.Header)
	if err != nil {
		return c, err
	}
	return c, s.proveAfter(parent, c)
}

// proveAfter checks all of a changeset by the header of its parent, which is zero for
// version 0.
func (s *store) proveAfter(parent changeset.Header, c changeset.Changeset) error {
	if c.Version > 0 {
		if err := c.VerifyLink(parent); err != nil {
			return s.named(err)
		}
	}
	return s.named(c.Verify(parent.Digest))
}

// parentOf returns the header of the changeset that another one was built on.
func (s *store) parentOf(ctx context.Context, l located, h changeset.Header) (changeset.Header, error) {
	ref := changeset.Ref{AggregateID: h.AggregateID, Version: h.Version - 1, ID: h.Parent}
	switch {
	case h.Format() == changeset.Format:
		info, err := s.objects.Stat(ctx, ref)
		if errors.Is(err, ropewalk.ErrNotFound) {
			err = s.named(&ropewalk.CorruptError{Ref: h.Ref, Reason: "its parent is missing: " + ref.String()})
		}
		return info.Header, err
	case l.reader != nil:
		return headerAt(ctx, l.reader, ref.Version)
	}
	// The object that has it leads to the objects below.
	at := head.Head{Ref: h.Ref, Digest: h.Digest, Formats: head.Packed, Index: l.pack.Pack.Index.Push(l.pack.Ref)}
	place, err := link.Locate(ctx, s.objects, at, ref.Version)
	if missing, ok := errors.AsType[*link.MissingError](err); ok {
		err = &ropewalk.CorruptError{Ref: h.Ref, Reason: "the object before it is missing: " + missing.Ref.String()}
	}
	return place.Header, s.named(err)
}

// open returns the header of an object of a packed chain, and the changesets in it,
// proved.
func (s *store) open(ctx context.Context, ref changeset.Ref) (changeset.Header, []changeset.Changeset, error) {
	pack, all, err := link.Open(ctx, s.objects, ref, s.Options().MaxContentSize)
	if _, ok := errors.AsType[*link.MissingError](err); ok {
		err = fmt.Errorf("%s: %w", ref, ropewalk.ErrNotFound)
	}
	return pack, all, s.named(err)
}

// named adds the object's name to an error that says it is corrupt.
func (s *store) named(err error) error {
	if bad, ok := errors.AsType[*ropewalk.CorruptError](err); ok && bad.Object == "" {
		bad.Object = s.objects.Locate(bad.Ref)
	}
	return err
}

package main

import (
	"context"
	"errors"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/internal/body"
)

// get reads a changeset in the chain or not, and checks its body.
func (s *store) get(ctx context.Context, l located) (changeset.Changeset, error) {
	if l.reader != nil {
		return l.reader.At(ctx, l.ref.Version)
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
		return c, s.named(c.Verify(changeset.Digest{}))
	}
	parent := changeset.Ref{AggregateID: c.AggregateID, Version: c.Version - 1, ID: c.Parent}
	info, err := s.objects.Stat(ctx, parent)
	if errors.Is(err, ropewalk.ErrNotFound) {
		err = s.named(&ropewalk.CorruptError{Ref: c.Ref, Reason: "its parent is missing: " + parent.String()})
	}
	if err != nil {
		return c, err
	}
	if err := c.VerifyLink(info.Header); err != nil {
		return c, s.named(err)
	}
	return c, s.named(c.Verify(info.Digest))
}

// named adds the object's name to an error that says it is corrupt.
func (s *store) named(err error) error {
	if bad, ok := errors.AsType[*ropewalk.CorruptError](err); ok && bad.Object == "" {
		bad.Object = s.objects.Locate(bad.Ref)
	}
	return err
}

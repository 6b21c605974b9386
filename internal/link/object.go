package link

import (
	"context"
	"fmt"

	"ropewalk/changeset"
	"ropewalk/internal/body"
)

// Open reads an object of format 2 that a chain names. It returns its header, and its
// changesets with their contents, proved from the digest before the first one to the
// digest of the object. The content of an object that is one changeset has at most
// limit bytes.
//
// Its error is a [*MissingError] if the object is missing, and a
// [*changeset.CorruptError] if it is damaged.
func Open(ctx context.Context, store changeset.Store, object changeset.Ref, limit int64) (changeset.Header, []changeset.Changeset, error) {
	c, err := get(ctx, store, object, func(h changeset.Header) error { return admit(h, limit) })
	if err != nil {
		return changeset.Header{}, nil, err
	}
	all, err := unpack(c, limit)
	return c.Header, all, err
}

// get reads an object that a chain names.
func get(ctx context.Context, store changeset.Store, object changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	c, err := store.Get(ctx, object, admission)
	if err == nil {
		err = isOf(c.Header, object)
	}
	return c, readError(object, err)
}

// stat reads the header of an object that a chain names.
func stat(ctx context.Context, store changeset.Store, object changeset.Ref) (changeset.Header, error) {
	info, err := store.Stat(ctx, object)
	if err == nil {
		err = isOf(info.Header, object)
	}
	return info.Header, readError(object, err)
}

// isOf checks that a header is of the object that was asked for, and of its format.
func isOf(h changeset.Header, object changeset.Ref) error {
	if h.Ref != object || (h.Pack != nil) != object.IsPacked() {
		return &changeset.CorruptError{Ref: object, Reason: "the object belongs to " + h.Ref.String()}
	}
	return nil
}

// admit admits a body that is not too large: any writer to the storage can announce
// any size.
func admit(h changeset.Header, limit int64) error {
	if limit = limitOf(h, limit); h.BodySize > limit {
		return fmt.Errorf("%s: %w: %d bytes, more than %d", h.Ref, changeset.ErrStoredTooLarge, h.BodySize, limit)
	}
	return nil
}

// limitOf returns how large the content of an object may be.
func limitOf(h changeset.Header, limit int64) int64 {
	if h.Pack != nil && h.Pack.Lines {
		return changeset.MaxReadBody
	}
	return limit
}

// unpack returns the changesets of an object that was read.
func unpack(object changeset.Changeset, limit int64) ([]changeset.Changeset, error) {
	if err := object.VerifyBody(); err != nil {
		return nil, err
	}
	content, err := body.Decode(object, limitOf(object.Header, limit))
	if err != nil {
		return nil, err
	}
	return changeset.Unpack(object, content)
}

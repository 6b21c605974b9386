package link

import (
	"context"

	"ropewalk/changeset"
	"ropewalk/head"
)

// AsOf returns the head that the chain of h had when a version was its newest: its
// digest, indexes and time are what they were at that moment, and the revision is the
// revision that the append of the version has made. If the version is in the middle of an append, which no head
// ever named, the chain ends before that append. It returns the zero Head if nothing is
// left.
//
// Where the changesets were in a tip at that moment and are now in an object, which was put
// for a later revision, they are in the tip of the head again.
//
// Its errors are the errors of [Locate].
func AsOf(ctx context.Context, store changeset.Store, h head.Head, version uint64) (head.Head, error) {
	place, err := Locate(ctx, store, h, version)
	if err != nil {
		return head.Head{}, err
	}
	if part := place.Header.Part; !part.Last() {
		before := uint64(part.Number)
		if before > version {
			return head.Head{}, nil
		}
		return AsOf(ctx, store, h, version-before)
	}
	switch {
	case !place.At.IsPoint():
		return place.At, nil
	case place.Object != (changeset.Ref{}):
		return atObject(ctx, store, place)
	default:
		return record(place.At), nil
	}
}

// record returns the record that a point stands for, if the point says where all of its
// changesets are stored.
func record(point head.Head) head.Head {
	return head.Head{
		Ref: point.Ref, Digest: point.Digest, Ancestors: point.Ancestors, Tip: point.Tip, Index: point.Index,
		PackedID: point.PackedID, PackedDigest: point.PackedDigest,
		Revision: point.Revision, UpdatedAt: point.UpdatedAt, State: head.Live, Formats: head.Packed,
	}
}

// atObject returns the record of a place in an object.
func atObject(ctx context.Context, store changeset.Store, place Place) (head.Head, error) {
	h := record(place.At)
	info, err := stat(ctx, store, place.Object)
	if err != nil || info.AfterRevision < h.Revision && place.Object.Version == h.Version {
		return h, err
	}
	object, all, err := Open(ctx, store, place.Object, changeset.MaxReadBody)
	if err != nil {
		return head.Head{}, err
	}
	h.Index, h.PackedID, h.PackedDigest = object.Pack.Index, object.Parent, object.Pack.ParentDigest
	var tip []byte
	for _, c := range all[:h.Version-place.Object.First()+1] {
		tip = changeset.AppendLine(tip, c)
	}
	if h.Tip = string(tip); h.Index.Objects() > 0 || h.Index.Next() == 0 {
		return h, nil
	}
	parent, err := stat(ctx, store, h.PackedHeader().Ref)
	if err != nil {
		return head.Head{}, err
	}
	h.Ancestors = parent.Ancestors.Push(parent.ID)
	return h, nil
}

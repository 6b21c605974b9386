package inspect

import (
	"fmt"

	"ropewalk/changeset"
	"ropewalk/head"
)

// objectBefore returns the object before another one in its chain: the object with the
// changeset that its first changeset was built on. It returns false without such a changeset.
func objectBefore(h changeset.Header) (changeset.Ref, bool) {
	if h.First() == 0 {
		return changeset.Ref{}, false
	}
	if h.Pack != nil {
		if e, ok := h.Pack.Index.Latest(); ok {
			return e.Ref(h.AggregateID), true
		}
	}
	return changeset.Ref{AggregateID: h.AggregateID, Version: h.First() - 1, ID: h.Parent}, true
}

// newestObject returns the newest object of the chain of a head; false if all its
// changesets are in the tip.
func newestObject(h head.Head) (changeset.Ref, bool) {
	if !h.IsPacked() {
		return h.Ref, h.Exists()
	}
	if e, ok := h.Index.Latest(); ok {
		return e.Ref(h.AggregateID), true
	}
	ref := h.PackedHeader().Ref
	return ref, !ref.ID.IsZero()
}

// prover holds objects against the objects before them and against their digests. It
// takes them in the order of their names, and keeps what the objects to come may
// follow.
type prover struct {
	kept  map[changeset.Ref]proved
	limit int // the number of kept ones at which the passed ones are dropped
}

// proved is an object and what came of its proof.
type proved struct {
	ref    changeset.Ref
	header changeset.Header // of its newest changeset, if that is known
	known  bool
	after  uint64 // of the object
	// digest is the object's, and ought is what it ought to be, given its contents.
	digest, ought changeset.Digest
	// indexes are the object index of the next object, and what it ought to be.
	indexes [2]changeset.ObjectIndex
	faulty  bool
	// whole says that it, its contents and all below it are proved.
	whole bool
	// liar is what its after-revision proves wrong below it; nil if nothing is.
	liar *changeset.CorruptError
	ends ends
}

// prove returns, as an error, what is wrong with an object after the object before it.
// An object after one that is missing, or does not decode, cannot be held against it.
// The object was found intact, or not, before.
func (p *prover) prove(seen sight) (proved, error) {
	h := seen.header
	p.rise(h.First())
	is := proved{ref: h.Ref, after: h.AfterRevision, digest: h.Digest, ought: h.Digest}
	if in := seen.contents; in != nil {
		is.header, is.known = in.last, true
	}
	before, any := objectBefore(h)
	parent, known := p.parentOf(h, before)
	var err error
	if h.Pack == nil {
		err = is.proveChangeset(h, parent, known)
	} else {
		is.indexes = nextIndexes(h, parent, known)
		err = is.provePack(seen, parent, known)
	}
	is.faulty = err != nil || seen.fault != nil && h.Pack != nil
	is.whole = err == nil && seen.fault == nil && (!any || known && parent.whole)
	is.ends = parent.ends.next(seen.contents)
	p.kept[is.ref] = is
	return is, err
}

// parentOf returns what came of the proof of the object before another one. If an
// object index names an object that is not stored, it may be the index that is wrong:
// then it is the object to whose digest the lines were added.
func (p *prover) parentOf(h changeset.Header, before changeset.Ref) (proved, bool) {
	if parent, ok := p.kept[before]; ok || h.Pack == nil || h.First() == 0 {
		return parent, ok
	}
	for ref, parent := range p.kept {
		if ref.Version == before.Version && parent.digest == h.Pack.ParentDigest {
			return parent, true
		}
	}
	return proved{}, false
}

// proveChangeset proves a changeset of format 1.
func (is *proved) proveChangeset(h changeset.Header, parent proved, known bool) error {
	next := changeset.ObjectIndexAt(h.Version + 1)
	is.indexes = [2]changeset.ObjectIndex{next, next}
	switch {
	case h.Version == 0:
		is.ought = h.ComputeDigest(changeset.Digest{})
		return h.Verify(changeset.Digest{})
	case known && parent.faulty:
		return is.proveUnder(h, parent)
	case known:
		is.ought = h.ComputeDigest(parent.digest)
		if err := h.VerifyLink(parent.header); err != nil {
			return err
		}
		return h.Verify(parent.digest)
	}
	return nil
}

// proveUnder proves a changeset after one that is not what it was: it is innocent if
// its digest follows from the digest that its parent has, or from the digest that its
// parent ought to have.
func (is *proved) proveUnder(h changeset.Header, parent proved) error {
	if h.Verify(parent.digest) == nil {
		return nil
	}
	is.ought = h.ComputeDigest(parent.ought)
	return h.Verify(parent.ought)
}

func nextIndexes(h changeset.Header, parent proved, known bool) (both [2]changeset.ObjectIndex) {
	both[0] = h.Pack.Index.Push(h.Ref)
	both[1] = both[0]
	if known && parent.indexes[1].Next() == h.First() {
		both[1] = parent.indexes[1].Push(h.Ref)
	}
	return both
}

// provePack proves an object of format 2, whose lines were proved when it was read.
func (is *proved) provePack(seen sight, parent proved, known bool) error {
	h := seen.header
	if !seen.ought.IsZero() {
		is.ought = seen.ought
	}
	wrong := func(format string, args ...any) error {
		return &changeset.CorruptError{Ref: h.Ref, Reason: fmt.Sprintf(format, args...)}
	}
	if is.known && !h.Pack.Lines {
		is.ought = is.header.ComputeDigest(h.Pack.ParentDigest)
		if err := is.header.Verify(h.Pack.ParentDigest); err != nil {
			return wrong("%s", err.(*changeset.CorruptError).Reason)
		}
	}
	if is.known && (is.header.ID == h.ID) != (is.header.AfterRevision == h.AfterRevision) {
		return wrong("its after-revision %d, and revision %d, on which its last changeset was built, do not agree with its ID", h.AfterRevision, is.header.AfterRevision)
	}
	switch {
	case !known:
		return nil
	case h.Pack.Index != parent.indexes[0] && h.Pack.Index != parent.indexes[1]:
		return wrong("object index does not follow from the index of the object before")
	case h.Pack.ParentDigest != parent.digest && h.Pack.ParentDigest != parent.ought:
		return wrong("parent digest is not the digest of the object before")
	case parent.faulty:
		return nil
	}
	return is.proveOrder(seen, parent, wrong)
}

// proveOrder proves that an object follows the object before it.
func (is *proved) proveOrder(seen sight, parent proved, wrong func(format string, args ...any) error) error {
	h := seen.header
	if !is.known {
		if h.AfterRevision < parent.after {
			return wrong("after-revision %d is below %d, the after-revision of the object before", h.AfterRevision, parent.after)
		}
		return nil
	}
	first := seen.contents.first
	if parent.known {
		if err := first.VerifyLink(parent.header); err != nil {
			return wrong("%s: %s", first.Ref, err.(*changeset.CorruptError).Reason)
		}
	}
	// The digest covers the revision that a changeset was built on, and does not cover the
	// after-revision of an object: so that one lies.
	if first.AfterRevision <= parent.after && h.AfterRevision != parent.after {
		is.liar = &changeset.CorruptError{Ref: parent.ref, Reason: fmt.Sprintf("after-revision %d is not below %d, on which the next changeset was built", parent.after, first.AfterRevision)}
	}
	return nil
}

// rise drops what no object from a version on can follow.
func (p *prover) rise(first uint64) {
	if p.kept == nil {
		p.kept = map[changeset.Ref]proved{}
	}
	if len(p.kept) <= p.limit {
		return
	}
	for ref := range p.kept {
		if ref.Version+1 < first {
			delete(p.kept, ref)
		}
	}
	p.limit = 2 * len(p.kept)
}

func newerFormat(f head.Formats) string {
	return fmt.Sprintf("format %d: written by a newer version, this one knows formats up to %d", f.Written, changeset.MaxFormat)
}

// proveHead returns what is wrong with a head, given its newest object.
func proveHead(h head.Head, newest proved) error {
	if h.IsPacked() {
		return provePackedHead(h, newest)
	}
	switch {
	case newest.faulty && h.Digest != newest.digest && h.Digest != newest.ought:
		return wrongHead(h, "its digest is not the digest of "+h.Ref.String())
	case newest.faulty:
		return nil
	case !newest.header.Part.Last():
		return wrongHead(h, "it names a changeset in the middle of an append, "+newest.header.Part.String()+": "+h.Ref.String())
	default:
		return h.VerifyNewest(newest.header)
	}
}

func wrongHead(h head.Head, reason string) error {
	return &changeset.CorruptError{Ref: changeset.Ref{AggregateID: h.AggregateID}, Reason: reason}
}

// provePackedHead proves the head of a packed chain. Its tip was proved when it was
// decoded, from the digest that the newest object must have.
func provePackedHead(h head.Head, newest proved) error {
	switch {
	case h.PackedDigest != newest.digest && h.PackedDigest != newest.ought:
		return wrongHead(h, "its packed digest is not the digest of "+newest.ref.String())
	case h.Index.Objects() > 0 && h.Index != newest.indexes[0] && h.Index != newest.indexes[1]:
		return wrongHead(h, "its object index does not follow from the index of "+newest.ref.String())
	case newest.faulty:
		return nil
	case h.Revision <= newest.after:
		return wrongHead(h, fmt.Sprintf("its revision %d is not above %d, for which its newest object was put", h.Revision, newest.after))
	case !newest.known:
		return nil
	case h.Index.Objects() == 0 && h.Ancestors != newest.header.Ancestors.Push(newest.header.ID):
		return wrongHead(h, "its ancestor index does not follow from the index of "+newest.header.Ref.String())
	case h.PackedID != newest.header.ID:
		return wrongHead(h, "its newest object ends in "+newest.header.Ref.String()+", and not in "+h.PackedID.String())
	case h.Tip == "" && !newest.header.Part.Last():
		return wrongHead(h, "it names a changeset in the middle of an append, "+newest.header.Part.String()+": "+h.Ref.String())
	case h.Tip == "":
		return h.VerifyNewest(newest.header)
	}
	tip, err := h.TipChangesets()
	if err != nil {
		return err
	}
	if err := tip[0].VerifyLink(newest.header); err != nil {
		return wrongHead(h, "its tip: "+tip[0].Ref.String()+": "+err.(*changeset.CorruptError).Reason)
	}
	return nil
}

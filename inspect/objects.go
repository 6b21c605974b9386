package inspect

import (
	"context"
	"errors"
	"fmt"

	"ropewalk/changeset"
	"ropewalk/head"
)

// sight is what was seen of one listed object.
type sight struct {
	object   changeset.Object
	place    int              // in the table
	gone     bool             // it was deleted after it was listed
	readable bool             // its metadata describes the changeset which its name promises
	header   changeset.Header // if readable
	fault    *Problem         // of the object alone
}

// look reads one object, with its content or without, and holds it against its
// name and its content's hash. The content is not kept.
func (in *Inspector) look(ctx context.Context, o changeset.Object, contents bool) (sight, error) {
	done, err := in.request(ctx)
	if err != nil {
		return sight{}, err
	}
	defer done()
	seen := sight{object: o}
	seen.header, err = in.read(ctx, o, contents, &seen)
	if err == nil && seen.header.Ref != o.Ref {
		err = &changeset.CorruptError{Ref: o.Ref, Reason: "the object belongs to " + seen.header.Ref.String()}
	}
	switch fault := in.fault(o.Ref, err); {
	case errors.Is(err, changeset.ErrNotFound):
		seen.gone = true
	case fault != nil:
		seen.fault = fault
	case err != nil:
		return sight{}, fmt.Errorf("read %s: %w", o.Ref, err)
	default:
		seen.readable = true
	}
	return seen, nil
}

func (in *Inspector) read(ctx context.Context, o changeset.Object, contents bool, seen *sight) (changeset.Header, error) {
	if !contents {
		info, err := in.changesets.Stat(ctx, o.Ref)
		return info.Header, err
	}
	weight := min(max(o.Size, 0), in.maxBytes)
	if err := in.bytes.Acquire(ctx, weight); err != nil {
		return changeset.Header{}, err
	}
	defer in.bytes.Release(weight)
	var refused *changeset.Header
	c, err := in.changesets.Get(ctx, o.Ref, func(h changeset.Header) error {
		if h.BodySize > in.maxContent {
			refused = &h
			return errTooLarge
		}
		return nil
	})
	if refused != nil && errors.Is(err, errTooLarge) {
		seen.fault = in.problem(o.Ref, fmt.Sprintf("its content of %d bytes is not proved: larger than %d", refused.BodySize, in.maxContent))
		return *refused, nil
	}
	if err == nil {
		// A wrong content is the object's fault, and leaves its header as it is.
		seen.fault = in.fault(o.Ref, c.VerifyBody())
	}
	return c.Header, err
}

var errTooLarge = errors.New("content too large")

// prover holds headers against their parents' and against their digests. It
// takes them in the order of their versions and keeps the headers of two
// versions.
type prover struct {
	version      uint64
	level, below map[changeset.ID]proved // of version, and of the one that came before
}

// proved is a header and what came of its proof.
type proved struct {
	header changeset.Header
	// digest is what the header's digest ought to be, given its fields.
	digest changeset.Digest
	faulty bool
	// whole says that it, its content and all below it are proved.
	whole bool
}

// prove returns, as an error, what is wrong with a header as the child of its
// parent. A header whose parent is missing, or does not decode, cannot be proved.
// The content was found intact, or not, before.
func (p *prover) prove(h changeset.Header, intact bool) (proved, error) {
	p.rise(h.Version)
	parent, known := p.below[h.Parent]
	is := proved{header: h, digest: h.Digest}
	var err error
	switch {
	case h.Version == 0:
		is.digest = h.ComputeDigest(changeset.Digest{})
		err = h.Verify(changeset.Digest{})
	case known && parent.faulty:
		err = is.proveUnder(parent)
	case known:
		is.digest = h.ComputeDigest(parent.header.Digest)
		if err = h.VerifyLink(parent.header); err == nil {
			err = h.Verify(parent.header.Digest)
		}
	}
	is.faulty = err != nil
	is.whole = err == nil && intact && (h.Version == 0 || known && parent.whole)
	p.level[h.ID] = is
	return is, err
}

// proveUnder proves a header under a parent that is not what it was: it is
// innocent if its digest follows from the digest that the parent has, or from
// the one that the parent ought to have.
func (is *proved) proveUnder(parent proved) error {
	if is.header.Verify(parent.header.Digest) == nil {
		return nil
	}
	is.digest = is.header.ComputeDigest(parent.digest)
	return is.header.Verify(parent.digest)
}

func (p *prover) rise(version uint64) {
	if p.level != nil && version == p.version {
		return
	}
	p.below = p.level
	p.version, p.level = version, map[changeset.ID]proved{}
}

func newerFormat(f head.Formats) string {
	return fmt.Sprintf("format %d: written by a newer version, this one knows format %d", f.Written, changeset.Format)
}

// proveHead returns what is wrong with a head, given its newest changeset.
func proveHead(h head.Head, newest proved) error {
	ref := changeset.Ref{AggregateID: h.AggregateID}
	switch {
	case newest.faulty && h.Digest != newest.header.Digest && h.Digest != newest.digest:
		return &changeset.CorruptError{Ref: ref, Reason: "its digest is not the digest of " + h.Ref.String()}
	case newest.faulty:
		return nil
	case !newest.header.Part.Last():
		return &changeset.CorruptError{Ref: ref, Reason: "it names a changeset in the middle of an append, " + newest.header.Part.String() + ": " + h.Ref.String()}
	default:
		return h.VerifyNewest(newest.header)
	}
}

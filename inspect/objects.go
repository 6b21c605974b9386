package inspect

import (
	"context"
	"errors"
	"fmt"

	"ropewalk/changeset"
	"ropewalk/internal/body"
)

// depth says how much of an object is read.
type depth int

const (
	headers    depth = iota // metadata alone
	lines                   // also the lines of packs, and no other content
	everything              // all contents
)

// sight is what was seen of one listed object.
type sight struct {
	object   changeset.Object
	place    int              // in the table
	gone     bool             // it was deleted after it was listed
	readable bool             // its metadata describes the object which its name promises
	header   changeset.Header // if readable
	fault    *Problem         // of the object alone
	// contents is what the changesets in it show; nil if they are not known.
	contents *contents
	// ought is the digest to which its lines lead, if it is not the object's; otherwise zero.
	ought changeset.Digest
}

// opener takes the changesets of an object, and the text of their lines. It must not
// keep the contents.
type opener func(all []changeset.Changeset, text []byte) *contents

// look reads one object, as deep as it is asked to, and holds it against its name, its
// content's hash and its lines. The content is not kept.
func (in *Inspector) look(ctx context.Context, o changeset.Object, d depth, open opener) (sight, error) {
	done, err := in.request(ctx)
	if err != nil {
		return sight{}, err
	}
	defer done()
	seen := sight{object: o}
	return in.judge(seen, in.read(ctx, &seen, d, open))
}

// judge enters the error of reading an object.
func (in *Inspector) judge(seen sight, err error) (sight, error) {
	switch fault := in.fault(seen.object.Ref, err); {
	case errors.Is(err, changeset.ErrNotFound):
		seen.gone = true
	case fault != nil:
		seen.fault = fault
	case err != nil:
		return sight{}, fmt.Errorf("read %s: %w", seen.object.Ref, err)
	default:
		seen.readable = true
	}
	return seen, nil
}

func (in *Inspector) read(ctx context.Context, seen *sight, d depth, open opener) error {
	if d == headers || d == lines && !seen.object.IsPacked() {
		info, err := in.changesets.Stat(ctx, seen.object.Ref)
		return in.readHeader(seen, info.Header, err, open)
	}
	weight := min(max(seen.object.Size, 0), in.maxBytes)
	if err := in.bytes.Acquire(ctx, weight); err != nil {
		return err
	}
	defer in.bytes.Release(weight)
	var refused *changeset.Header
	c, err := in.changesets.Get(ctx, seen.object.Ref, func(h changeset.Header) error {
		if seen.fault = in.tooLarge(h); seen.fault != nil || d == lines && !hasLines(h) {
			refused = &h
			return errRefused
		}
		return nil
	})
	if refused != nil && errors.Is(err, errRefused) {
		return in.readHeader(seen, *refused, nil, open)
	}
	return in.readWhole(ctx, seen, c, err, open)
}

// readWhole takes an object with its body.
func (in *Inspector) readWhole(ctx context.Context, seen *sight, c changeset.Changeset, err error, open opener) error {
	if err := in.readHeader(seen, c.Header, err, open); err != nil {
		return err
	}
	// A wrong content is the object's fault, and leaves its header as it is.
	if seen.fault = in.fault(c.Ref, c.VerifyBody()); seen.fault != nil || !hasLines(c.Header) {
		return nil
	}
	return in.unpack(ctx, seen, c, open)
}

var errRefused = errors.New("the content is not wanted")

func hasLines(h changeset.Header) bool { return h.Pack != nil && h.Pack.Lines }

// tooLarge returns the fault of an object that is too large to be proved.
func (in *Inspector) tooLarge(h changeset.Header) *Problem {
	most := in.maxContent
	if hasLines(h) {
		most = changeset.MaxReadBody
	}
	if h.BodySize <= most {
		return nil
	}
	return in.problem(h.Ref, fmt.Sprintf("its content of %d bytes is not proved: larger than %d", h.BodySize, most))
}

// readHeader takes the header of an object, which is the header of its only changeset
// unless the object has lines.
func (in *Inspector) readHeader(seen *sight, h changeset.Header, err error, open opener) error {
	switch {
	case err != nil:
		return err
	case h.Ref != seen.object.Ref:
		return &changeset.CorruptError{Ref: seen.object.Ref, Reason: "the object belongs to " + h.Ref.String()}
	case (h.Pack != nil) != h.IsPacked():
		return &changeset.CorruptError{Ref: seen.object.Ref, Reason: "the object and its name are of two formats"}
	}
	seen.header = h
	if !hasLines(h) && open != nil {
		if h.Pack != nil {
			h = h.Alone()
		}
		seen.contents = open([]changeset.Changeset{{Header: h}}, nil)
	}
	return nil
}

// unpack proves the lines of an object one by one.
func (in *Inspector) unpack(ctx context.Context, seen *sight, object changeset.Changeset, open opener) error {
	for _, limit := range []int64{changeset.MaxPackBody, changeset.MaxReadBody} { // as writers pack, and as readers accept
		err := in.unpackWithin(ctx, seen, object, limit, open)
		if !errors.Is(err, changeset.ErrStoredTooLarge) {
			return err
		}
	}
	seen.fault = in.problem(object.Ref, fmt.Sprintf("its lines are not proved: larger than %d", changeset.MaxReadBody))
	return nil
}

// unpackWithin proves lines of a limited size. Decoded lines take some four times
// the memory of their text, and have a limit of their own: no goroutine that holds
// some of it waits for more.
func (in *Inspector) unpackWithin(ctx context.Context, seen *sight, object changeset.Changeset, limit int64, open opener) error {
	weight := min(4*limit, in.maxBytes)
	if err := in.unpacking.Acquire(ctx, weight); err != nil {
		return err
	}
	defer in.unpacking.Release(weight)
	text, err := body.Decode(object, limit)
	if errors.Is(err, changeset.ErrStoredTooLarge) {
		return err
	}
	var all []changeset.Changeset
	if err == nil {
		all, err = changeset.Unpack(object, text)
	}
	switch {
	case err != nil:
		seen.fault, seen.ought = in.fault(object.Ref, err), digestOf(object, text)
	case open != nil:
		seen.contents = open(all, text)
	}
	return nil
}

// digestOf returns the digest to which the lines of an object lead; zero if they do not
// decode.
func digestOf(object changeset.Changeset, text []byte) changeset.Digest {
	all, err := changeset.DecodeLines(object.ParentOf(), text)
	if err != nil {
		return changeset.Digest{}
	}
	return all[len(all)-1].Digest
}

package changeset

import (
	"crypto/sha256"
	"errors"
	"fmt"
)

// NewPack returns an object of lines: of the changesets after a parent up to last,
// for a head at a revision. The text has the lines.
func NewPack(id ID, after uint64, index ObjectIndex, parent, last Header, text []byte) Changeset {
	return Changeset{
		Header: Header{
			Ref:           Ref{last.AggregateID, last.Version, id, uint16(last.Version + 1 - index.Next())},
			Parent:        parent.ID,
			AfterRevision: after,
			ContentType:   ContentTypeLines,
			BodySize:      int64(len(text)),
			BodySHA256:    sha256.Sum256(text),
			Digest:        last.Digest,
			Pack:          &Pack{Lines: true, ParentDigest: parent.Digest, Index: index},
		},
		Content: text,
		Body:    text,
	}
}

// Alone returns the object of a sealed changeset whose line would be too long: its
// body is the changeset's body.
func Alone(c Changeset, index ObjectIndex, parent Header) Changeset {
	c.Count, c.text = 1, ""
	c.Pack = &Pack{ParentDigest: parent.Digest, Index: index}
	return c
}

// ParentOf returns what the header of an object of format 2 says of the changeset
// before its first one: the zero ID at version 0.
func (h Header) ParentOf() Header {
	parent := Header{Ref: Ref{AggregateID: h.AggregateID, ID: h.Parent}}
	if h.Pack != nil && !h.Parent.IsZero() {
		parent.Version, parent.Digest = h.First()-1, h.Pack.ParentDigest
	}
	return parent
}

// Unpack returns the changesets of an object of format 2, proved from the digest of
// its parent to its own digest. The object must have been read with its body, which
// content decodes. It does not check the SHA-256 of the body.
//
// Its error is a [*CorruptError] that names the object, or matches
// [ErrUnsupportedFormat].
func Unpack(object Changeset, content []byte) ([]Changeset, error) {
	all, err := unpack(object, content)
	if err == nil {
		last := all[len(all)-1]
		switch {
		case last.Version != object.Version:
			err = fmt.Errorf("its last changeset is %s", last.Ref)
		case last.Digest != object.Digest:
			err = fmt.Errorf("its lines do not lead to its digest")
		case last.AfterRevision > object.AfterRevision:
			err = fmt.Errorf("%s was built on revision %d, after the object", last.Ref, last.AfterRevision)
		}
	}
	switch {
	case err == nil:
		return all, nil
	case errors.Is(err, ErrUnsupportedFormat):
		return nil, fmt.Errorf("%s: %w", object.Ref, err)
	default:
		return nil, &CorruptError{Ref: object.Ref, Reason: err.Error()}
	}
}

func unpack(object Changeset, content []byte) ([]Changeset, error) {
	parent := object.ParentOf()
	if object.Pack.Lines {
		return decodeLines(&parent, content)
	}
	c := Changeset{Header: object.Header.Alone(), Content: content, Body: object.Body}
	if c.ComputeDigest(parent.Digest) != c.Digest {
		return nil, errors.New("digest does not match the header and the parent's digest")
	}
	return []Changeset{c}, nil
}

// Alone returns the header of the changeset in an object that is not of lines.
func (h Header) Alone() Header {
	h.Count, h.Pack = 0, nil
	h.text = h.lineText()
	return h
}

// Package changeset has the unit that a chain is made of, the formats in which
// it is stored, and the interface of the storage that keeps it. It is for the
// authors of backends and of decorators, such as a cache. Application code uses
// package ropewalk, which has the names that an application needs as aliases.
//
// A changeset is one atomic change to one aggregate: immutable content, and a
// [Header] that links it into its chain. The header names the parent, the
// changeset one version below, and carries a [Digest] that commits to the
// whole history up to here, and an [Index] of further ancestors, so that a
// reader need not walk the parents one by one.
//
//	version 0          version 1          version 2
//	┌─────────┐        ┌─────────┐        ┌─────────┐
//	│ content │ ◀──────│ content │ ◀──────│ content │ ◀── head
//	└─────────┘ parent └─────────┘ parent └─────────┘
//
// A stored object's body is the content, which the writer may have compressed, and
// nothing else. The header is in the object's user metadata ([Encode], [Decode]).
// A [Store] keeps such objects: created once, never overwritten. It keeps bodies,
// and knows nothing about compression: the readers of package ropewalk turn a body
// into content.
package changeset

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"time"
)

const (
	// Format is the format number of the changesets that this package writes and reads.
	Format = 1
	// MaxPerAppend is the largest number of changesets in one atomic append.
	MaxPerAppend = 256
	// MaxCommandID is the largest size of a command ID, in bytes once percent-encoded.
	MaxCommandID = 64
	// MaxMetadata is the largest size of the caller's metadata, in bytes once encoded.
	MaxMetadata = 192
	// MaxContentType is the largest size of the content type, in bytes.
	MaxContentType = 128
	// DefaultContentType is the content type of a draft that names none.
	DefaultContentType = "application/octet-stream"
	// EncodingZstd is the encoding of a body that is one zstd frame (RFC 8878),
	// which states the size of the content.
	EncodingZstd = "zstd"
)

// Draft is everything that a caller supplies for a changeset. Its zero value is
// an empty change.
type Draft struct {
	// CommandID is the caller's own key for the append, which makes it
	// idempotent: UTF-8 that takes at most [MaxCommandID] bytes once
	// percent-encoded. Empty means none. All drafts of one call have the first
	// one's, or none of their own.
	CommandID string
	// Content is what readers get back. The slice must not change during an append.
	Content []byte
	// ContentType is printable ASCII without space at its ends, at most
	// [MaxContentType] bytes; empty means [DefaultContentType].
	ContentType string
	// Metadata is the caller's own small metadata, UTF-8, such as a
	// correlation ID: at most [MaxMetadata] bytes once encoded as k=v&k=v.
	Metadata map[string]string
}

// Part is a changeset's place in an append of several changesets: number
// Number, from 1, of Of. The zero Part stands for the only changeset of its append.
type Part struct{ Number, Of int }

// Last reports whether this is the last changeset of its append.
func (p Part) Last() bool { return p.Number == p.Of }

// String returns "number/of", and nothing for the zero Part.
func (p Part) String() string {
	if p == (Part{}) {
		return ""
	}
	return fmt.Sprintf("%d/%d", p.Number, p.Of)
}

// Header is everything about a changeset except its content.
type Header struct {
	Ref
	// Parent is the changeset at Version-1; zero at version 0.
	Parent ID
	// AfterRevision is the revision of the head that this changeset was built
	// on, 0 if the chain had no head. It enters its chain by the swap from that
	// revision, or never.
	AfterRevision uint64
	// Ancestors holds the IDs of some ancestors, the parent among them.
	Ancestors Index
	// ContentType is the media type of the content.
	ContentType string
	// Encoding says how the body encodes the content: [EncodingZstd], or empty
	// if the body is the content itself.
	Encoding string
	// BodySize is the size of the body in bytes.
	BodySize int64
	// BodySHA256 is the SHA-256 of the body.
	BodySHA256 Digest
	// Digest commits to this header, the body and all that came before.
	Digest Digest
	// RecordedAt is the writer's clock, in UTC, never before the parent's.
	RecordedAt time.Time
	// CommandID is the caller's key for the append; empty if none.
	CommandID string
	// Part is the changeset's place in its append.
	Part Part
	// Metadata is the caller's own metadata; nil if none.
	Metadata map[string]string
}

// Changeset is one atomic change to one aggregate.
type Changeset struct {
	Header
	// Content is what was appended, however the storage keeps it. The readers of
	// chains fill it in; a [Store] takes and returns the body alone.
	Content []byte
	// Body is what is stored, and what the digest commits to. Only proofs need
	// it. It is the slice of Content itself unless Encoding is set.
	Body []byte
}

// Verify checks, offline, that the body and every field of the header are
// what the digest commits to. The argument is the parent's digest, the zero
// Digest at version 0. It returns a [*CorruptError] that says what does not match.
func (c Changeset) Verify(parent Digest) error {
	if err := c.VerifyBody(); err != nil {
		return err
	}
	return c.Header.Verify(parent)
}

// VerifyBody checks the body alone against the header's size and SHA-256. It
// does not look at Content. It returns a [*CorruptError].
func (c Changeset) VerifyBody() error {
	if int64(len(c.Body)) != c.BodySize {
		return &CorruptError{Ref: c.Ref, Reason: fmt.Sprintf("content has %d bytes, not %d", len(c.Body), c.BodySize)}
	}
	if sum := sha256.Sum256(c.Body); !bytes.Equal(sum[:], c.BodySHA256[:]) {
		return &CorruptError{Ref: c.Ref, Reason: "content does not match its sha256"}
	}
	return nil
}

// Verify checks the header against its digest, given the parent's digest (the
// zero Digest at version 0). It returns a [*CorruptError].
func (h Header) Verify(parent Digest) error {
	if h.ComputeDigest(parent) != h.Digest {
		return &CorruptError{Ref: h.Ref, Reason: "digest does not match the header and the parent's digest"}
	}
	return nil
}

// VerifyLink checks that parent is the header that h was built on: the
// aggregate, the version, the ID, the ancestor index and the order of their
// revisions and times. It returns a [*CorruptError].
func (h Header) VerifyLink(parent Header) error {
	switch {
	case h.AggregateID != parent.AggregateID || h.Version != parent.Version+1 || h.Parent != parent.ID:
		return &CorruptError{Ref: h.Ref, Reason: "parent is " + h.Parent.String() + ", not " + parent.Ref.String()}
	case h.Ancestors != parent.Ancestors.Push(parent.ID):
		return &CorruptError{Ref: h.Ref, Reason: "ancestor index does not follow from the parent's"}
	case !h.follows(parent):
		return &CorruptError{Ref: h.Ref, Reason: "after-revision and append do not follow from the parent's"}
	case h.RecordedAt.Before(parent.RecordedAt):
		return &CorruptError{Ref: h.Ref, Reason: "recorded before its parent"}
	}
	return nil
}

// follows reports whether h comes after parent by the rule of revisions. The
// changesets of one append share the revision that they were built on. An append
// is built on the revision that the swap of the append before it made, or on a
// later one, and after the last changeset of that append. Command IDs follow no
// rule: one append may have the command IDs of several callers.
func (h Header) follows(parent Header) bool {
	if h.Part.Number > 1 {
		return h.AfterRevision == parent.AfterRevision &&
			parent.Part == Part{h.Part.Number - 1, h.Part.Of}
	}
	return h.AfterRevision > parent.AfterRevision && parent.Part.Last()
}

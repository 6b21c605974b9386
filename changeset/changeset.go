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
	"strconv"
	"time"
)

const (
	// Format is the format number of chains with one object for each changeset.
	Format = 1
	// FormatPacked is the format number of packed chains, whose newest changesets are in
	// the head, and whose objects hold several changesets each.
	FormatPacked = 2
	// MaxFormat is the highest format number that this package reads and writes.
	MaxFormat = FormatPacked
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
	// ContentTypeLines is the content type of an object whose body is lines.
	ContentTypeLines = "application/x-ndjson"
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
	// correlation ID: at most [MaxMetadata] bytes once encoded as k=v&k=v. No key
	// begins with a $.
	Metadata map[string]string
}

// Part is a changeset's place in an append of several changesets: number
// Number, from 1, of Of. The zero Part stands for the only changeset of its append.
type Part struct{ Number, Of int }

// Last reports whether this is the last changeset of its append.
func (p Part) Last() bool { return p.Number == p.Of }

// String returns "number/of", and nothing for the zero Part.
func (p Part) String() string {
	var room [8]byte
	return string(p.append(room[:0]))
}

// append appends what String returns.
func (p Part) append(b []byte) []byte {
	if p == (Part{}) {
		return b
	}
	b = append(strconv.AppendInt(b, int64(p.Number), 10), '/')
	return strconv.AppendInt(b, int64(p.Of), 10)
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
	// Ancestors holds the IDs of some ancestors, the parent among them. It is zero in
	// format 2.
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
	// Metadata is the caller's own metadata, and the mark of a commit of several
	// aggregates, see [Header.Commit]; nil if none.
	Metadata map[string]string
	// Pack is what the header of an object of format 2 has besides. It is nil for a
	// changeset of format 2, and in format 1.
	Pack *Pack

	// text is the header of a changeset of format 2 as it stands in its line. The
	// digest covers it.
	text string
}

// Pack is what the header of an object of format 2 has besides. The other fields of
// such a header describe the object: AfterRevision is the revision of the head that
// the object was put for, Parent is the changeset before the first one of the
// object, and Digest is the digest of its last one.
type Pack struct {
	// Lines means that the body is the lines of the changesets. Otherwise the body is the
	// content of one changeset, and the header is the changeset's too.
	Lines bool
	// ParentDigest is the digest of Parent; zero at version 0.
	ParentDigest Digest
	// Index holds some of the objects before.
	Index ObjectIndex
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
	if h.computeDigest(&parent) != h.Digest {
		return &CorruptError{Ref: h.Ref, Reason: "digest does not match the header and the parent's digest"}
	}
	return nil
}

// Format returns the number of the header's format: [FormatPacked] for a changeset that
// was appended to a packed chain, and for an object of such a chain.
func (h Header) Format() int {
	if h.Pack != nil || h.text != "" {
		return FormatPacked
	}
	return Format
}

// VerifyLink checks that parent is the header that h was built on: the
// aggregate, the version, the ID, the ancestor index of format 1 and the order of
// their revisions and times. It returns a [*CorruptError].
func (h Header) VerifyLink(parent Header) error {
	switch {
	case h.AggregateID != parent.AggregateID || h.Version != parent.Version+1 || h.Parent != parent.ID:
		return &CorruptError{Ref: h.Ref, Reason: "parent is " + h.Parent.String() + ", not " + parent.Ref.String()}
	case parent.Format() > h.Format():
		return &CorruptError{Ref: h.Ref, Reason: "a changeset of format 1 cannot follow one of format 2"}
	case h.Format() == Format && !h.Ancestors.follows(parent.Ancestors, parent.ID):
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

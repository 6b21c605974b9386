// Package head has the one small mutable record of each chain, and the
// interface of the storage that swaps it. It is for the authors of backends:
// application code uses package ropewalk, which has [Head] as an alias.
//
// A [Head] names the newest committed changeset of an aggregate. It is
// replaced only by compare-and-swap, from one revision to the next. That swap
// commits an append, and alone decides a race.
package head

import (
	"errors"
	"fmt"
	"time"

	"ropewalk/changeset"
)

// State says whether a chain can be read and appended to.
type State string

const (
	// Live is the state of a chain that can be read and appended to.
	Live State = "live"
	// Erased is the state of a permanent tombstone: the history is gone.
	Erased State = "erased"
	// Void is the state of the fence of a chain that does not exist: a revision, and no
	// changeset. It shuts out every append that was built on a lower revision. The next
	// append to the aggregate is built on it.
	Void State = "void"
)

// Folder is the folder, below a store's prefix, of heads that are kept as objects.
const Folder = "heads/"

// ObjectName returns the name, below a store's prefix, of an aggregate's head
// if heads are kept as objects.
func ObjectName(aggregateID string) string { return Folder + changeset.Escape(aggregateID) }

// Formats are the format numbers of a head record. The zero value stands for 1
// throughout, the numbers of a chain that is not packed.
type Formats struct {
	// Written is the format of the version that wrote the record.
	Written uint64
	// MinReader is the lowest format whose readers may trust the record.
	MinReader uint64
	// MinWriter is the lowest format whose writers may replace the record.
	MinWriter uint64
}

// CheckWritable returns an error that matches [changeset.ErrUnsupportedFormat] if
// this version must not replace the record.
func (f Formats) CheckWritable() error {
	if f.MinWriter > changeset.MaxFormat {
		return fmt.Errorf("%w: only writers of format %d and above may replace it, this version writes up to %d", changeset.ErrUnsupportedFormat, f.MinWriter, changeset.MaxFormat)
	}
	return nil
}

// Packed are the format numbers of the heads of packed chains, and of void heads.
var Packed = Formats{changeset.FormatPacked, changeset.FormatPacked, changeset.FormatPacked}

// MaxTip is the largest size of a tip that a reader accepts, in bytes.
const MaxTip = 256 << 10

// MaxCheckpoint is the largest size of a checkpoint in bytes.
const MaxCheckpoint = 64 << 10

// Head is the record that names an aggregate's newest committed changeset. The
// zero Head means that the chain does not exist yet, and so does a head with the
// state [Void], which names no changeset. A Head is an immutable value, comparable and
// safe for concurrent use.
type Head struct {
	// Ref is the newest committed changeset.
	changeset.Ref
	// Digest is the newest changeset's digest, which commits to the whole history.
	Digest changeset.Digest
	// Ancestors is the ancestor index of the next changeset. In a packed chain it is the
	// index of the changeset after the newest one of format 1, until there is an object of
	// format 2; then it is zero.
	Ancestors changeset.Index
	// Tip has the newest changesets of a packed chain, which are not in any object: one
	// line each, with its line end, the oldest first. At most [MaxTip] bytes.
	Tip string
	// Index is the index of the next object of a packed chain. Its Next is the first version
	// that is not in objects.
	Index changeset.ObjectIndex
	// PackedID and PackedDigest are the ID and the digest of the newest changeset in the
	// objects of a packed chain. They are zero if the chain has no objects.
	PackedID     changeset.ID
	PackedDigest changeset.Digest
	// Revision counts the swaps of this head, from 1.
	Revision uint64
	// UpdatedAt is the newest changeset's RecordedAt.
	UpdatedAt time.Time
	// State says whether the chain can be read and appended to.
	State State
	// Checkpoint is a short text that a swap can replace without a new changeset:
	// how far a subscription has come. It is empty for all other chains. It has at
	// most [MaxCheckpoint] bytes, which are letters, digits, or one of %&*+,-.=_~
	Checkpoint string
	// Move says that the aggregate moves to another storage; zero if it stays.
	Move Move
	// Formats are the record's format numbers.
	Formats Formats

	token, extra     string
	midAppend, point bool
}

// Exists reports whether h names a changeset. The zero Head and a void head do not.
func (h Head) Exists() bool { return !h.IsZero() && h.State != Void }

// IsZero reports whether h is the zero Head: there is no record.
func (h Head) IsZero() bool { return h == Head{} }

// Len returns the number of changesets in the history that ends at h: 0 if
// h names no changeset, and one more than the version otherwise.
func (h Head) Len() uint64 {
	if !h.Exists() {
		return 0
	}
	return h.Version + 1
}

// IsPacked reports whether the chain is packed. A void head has no chain.
func (h Head) IsPacked() bool {
	return h.Formats.MinReader >= changeset.FormatPacked && h.State != Void
}

// IsPoint reports whether h names a point of a packed chain, and is not a record: it
// was made from the header of a changeset, which does not say where the changesets
// are stored. Nothing can be built on a point. The reader of chains, and an append,
// load the record first.
func (h Head) IsPoint() bool { return h.point }

// IsPlaced reports whether h says where its changesets are stored. It is false only
// for some points.
func (h Head) IsPlaced() bool { return !h.point || h.Tip != "" || h.Index.Next() > 0 }

// Token returns what the storage needs to swap exactly this record, such as an
// ETag; empty if it is not known. Only backends use it.
func (h Head) Token() string { return h.token }

// WithToken returns h with the token. Only backends use it.
func (h Head) WithToken(token string) Head {
	h.token = token
	return h
}

// Extra returns the fields that this version does not know, in the backend's own
// encoding, so that they survive a rewrite. Only backends use it.
func (h Head) Extra() string { return h.extra }

// WithExtra returns h with the unknown fields. Only backends use it.
func (h Head) WithExtra(extra string) Head {
	h.extra = extra
	return h
}

// SameRecord reports whether h and other agree in everything that the condition
// of a swap tests: reference, revision, digest and object index. Two records may
// differ in the index alone, where a head was restored after its tip was moved to an
// object. A point is not a record.
func (h Head) SameRecord(other Head) bool {
	return h.Ref == other.Ref && h.Revision == other.Revision && h.Digest == other.Digest && h.Index == other.Index &&
		!h.point && !other.point
}

// At returns the head as it was, or would have been, when the changeset with
// this header was the newest. It has no token, and no revision of a later swap. In a
// packed chain it is a point of the history, see [Head.IsPoint].
func At(newest changeset.Header) Head {
	h := Head{
		Ref:       newest.Ref,
		Digest:    newest.Digest,
		Revision:  newest.AfterRevision + 1,
		UpdatedAt: newest.RecordedAt,
		State:     Live,
		midAppend: !newest.Part.Last(),
	}
	if newest.Format() == changeset.Format {
		h.Ancestors = newest.Ancestors.Push(newest.ID)
	} else {
		h.Formats, h.point = Packed, true
	}
	return h
}

// NewPoint returns the point of the history of a packed chain at which the changeset of
// a reference was the newest, and the head had the revision. See [Head.IsPoint].
func NewPoint(ref changeset.Ref, digest changeset.Digest, revision uint64, updatedAt time.Time) Head {
	return Head{Ref: ref, Digest: digest, Revision: revision, UpdatedAt: updatedAt, State: Live, Formats: Packed, point: true}
}

// PackedHeader returns what the head of a packed chain says of the newest changeset in
// objects: its reference and its digest. It is the parent of the first changeset of
// the tip. It is the zero Header, apart from the aggregate ID, if there are no objects.
func (h Head) PackedHeader() changeset.Header {
	newest := changeset.Header{Ref: changeset.Ref{AggregateID: h.AggregateID, ID: h.PackedID}, Digest: h.PackedDigest}
	if !h.PackedID.IsZero() {
		newest.Version = h.Index.Next() - 1
	}
	return newest
}

// TipChangesets returns the changesets of the tip, proved from PackedDigest on. The
// stores of heads have proved that the last one has the digest of the head. Its error is
// a [*changeset.CorruptError] of the head, or matches [changeset.ErrUnsupportedFormat].
func (h Head) TipChangesets() ([]changeset.Changeset, error) {
	if h.Tip == "" {
		return nil, nil
	}
	tip, err := changeset.DecodeLines(h.PackedHeader(), []byte(h.Tip))
	if err == nil {
		return tip, nil
	}
	if corrupt, ok := errors.AsType[*changeset.CorruptError](err); ok {
		return nil, &changeset.CorruptError{Ref: corrupt.Ref, Reason: "tip: " + corrupt.Reason}
	}
	return nil, fmt.Errorf("tip: %w", err)
}

// MidAppend reports whether h names a changeset that is not the last of its
// append. No swap ever produced such a head; it can be read at, but not
// appended to.
func (h Head) MidAppend() bool { return h.midAppend }

// Inherit returns h, which was built on old and is to replace the stored record,
// with what h lacks because old was rebuilt from a changeset: the format numbers
// and the unknown fields of the stored record if h lacks them, and the checkpoint
// of the stored record if h has the checkpoint of old. The format numbers of a void
// head say nothing about the chain that begins after it.
func (h Head) Inherit(old, stored Head) Head {
	if h.Checkpoint == old.Checkpoint {
		h.Checkpoint = stored.Checkpoint
	}
	if h.Formats == (Formats{}) && stored.State != Void {
		h.Formats = stored.Formats
	}
	if h.extra == "" {
		h.extra = stored.extra
	}
	return h
}

// VerifyNewest checks that the head agrees with its newest changeset in
// reference, digest, ancestor index, time and revision. It returns a
// [*changeset.CorruptError].
func (h Head) VerifyNewest(newest changeset.Header) error {
	reason := ""
	switch {
	case h.Ref != newest.Ref:
		reason = "it names " + h.Ref.String() + ", not " + newest.Ref.String()
	case h.Digest != newest.Digest:
		reason = "its digest is not the digest of " + newest.Ref.String()
	case newest.Format() == changeset.Format && h.Ancestors != newest.Ancestors.Push(newest.ID):
		reason = "its ancestor index does not follow from the index of " + newest.Ref.String()
	case !h.UpdatedAt.Equal(newest.RecordedAt):
		reason = "its updated-at is not when " + newest.Ref.String() + " was recorded"
	case h.Revision <= newest.AfterRevision:
		reason = fmt.Sprintf("its revision %d is not above %d, on which its changeset was built", h.Revision, newest.AfterRevision)
	default:
		return nil
	}
	return &changeset.CorruptError{Ref: changeset.Ref{AggregateID: h.AggregateID}, Reason: reason}
}

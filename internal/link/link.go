// Package link builds the changesets and the heads that link a chain: the
// changesets of an append, the head that commits them, fences and tombstones. It
// also follows the links to a version. It stores nothing.
package link

import (
	"fmt"
	"maps"
	"math"
	"time"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/body"
)

// Extend builds an append: one changeset for each draft after a head (the zero
// Head for a new chain), with new IDs, and the head that commits them. now is the
// writer's clock; the recorded time is never before after.UpdatedAt. All
// changesets carry the command ID of the first draft. The bodies are the contents
// as they are.
//
// Its errors match the errors of [ValidateAppend],
// [changeset.ErrInvalidAggregateID], and [changeset.ErrUnsupportedFormat] if a
// newer version forbids this version to write.
func Extend(after head.Head, aggregateID string, drafts []changeset.Draft, now time.Time) ([]changeset.Changeset, head.Head, error) {
	return Batch(after, aggregateID, [][]body.Draft{body.Drafts(drafts, false)}, now)
}

// Batch is [Extend] for several callers at once: it links their appends, in this
// order, into one atomic append of at most [changeset.MaxPerAppend] changesets.
// Each append keeps its own command ID, or none.
func Batch(after head.Head, aggregateID string, appends [][]body.Draft, now time.Time) ([]changeset.Changeset, head.Head, error) {
	size, err := checkAppends(after, aggregateID, appends)
	if err != nil {
		return nil, head.Head{}, err
	}
	at := recordedAt(after, now)
	built := make([]changeset.Changeset, 0, size)
	newest := after
	for _, drafts := range appends {
		for _, draft := range drafts {
			c := build(newest, aggregateID, draft, at)
			c.AfterRevision = after.Revision
			c.CommandID = drafts[0].CommandID
			if size > 1 {
				c.Part = changeset.Part{Number: len(built) + 1, Of: size}
			}
			c.Digest = c.ComputeDigest(newest.Digest)
			built = append(built, c)
			newest = Next(after, c.Header)
		}
	}
	return built, newest, nil
}

// recordedAt returns the time of an append: the writer's clock, but never before
// the time of the head.
func recordedAt(after head.Head, now time.Time) time.Time {
	at := now.UTC() // drops the monotonic reading too, which is not stored
	if at.Before(after.UpdatedAt) {
		at = after.UpdatedAt
	}
	return at
}

// Find returns the ID that a version has in the chain of h: from the ancestor index
// of h, or from the headers of the nearest changesets above the version, whose
// indexes lead on. Its error matches [changeset.ErrNotFound] if the chain has no
// such version, or is an error of header.
func Find(h head.Head, version uint64, header func(changeset.Ref) (changeset.Header, error)) (changeset.ID, error) {
	for index := h.Ancestors; ; {
		at, id, ok := index.Nearest(version)
		if !ok {
			return changeset.ID{}, fmt.Errorf("version %d of %q, which is at %d: %w", version, h.AggregateID, h.Version, changeset.ErrNotFound)
		}
		if at == version {
			return id, nil
		}
		nearest, err := header(changeset.Ref{AggregateID: h.AggregateID, Version: at, ID: id})
		if err != nil {
			return changeset.ID{}, err
		}
		index = nearest.Ancestors
	}
}

// build returns one changeset after newest, without the fields that its place in
// the append decides.
func build(newest head.Head, aggregateID string, draft body.Draft, at time.Time) changeset.Changeset {
	h := changeset.Header{
		Ref:         changeset.Ref{AggregateID: aggregateID, ID: changeset.NewID()},
		ContentType: draft.ContentType,
		Encoding:    draft.Encoding,
		BodySize:    int64(len(draft.Bytes)),
		BodySHA256:  draft.SHA256,
		RecordedAt:  at,
	}
	if h.ContentType == "" {
		h.ContentType = changeset.DefaultContentType
	}
	if len(draft.Metadata) > 0 {
		h.Metadata = maps.Clone(draft.Metadata)
	}
	if !draft.Mark.IsZero() {
		h.Metadata, _ = draft.Mark.Mark(draft.Metadata) // [checkAppends] has seen that it fits
	}
	if newest.Exists() {
		h.Version, h.Parent, h.Ancestors = newest.Version+1, newest.ID, newest.Ancestors
	}
	return changeset.Changeset{Header: h, Content: draft.Content, Body: draft.Bytes}
}

// checkAppends returns the number of changesets of the appends.
func checkAppends(after head.Head, aggregateID string, appends [][]body.Draft) (size int, err error) {
	if err := changeset.ValidateAggregateID(aggregateID); err != nil {
		return 0, err
	}
	if !after.IsZero() && after.AggregateID != aggregateID {
		return 0, fmt.Errorf("the head belongs to %q, not to %q", after.AggregateID, aggregateID)
	}
	if after.IsPoint() {
		return 0, fmt.Errorf("%s is a point of the history: nothing can be built on it before the record is loaded", after.Ref)
	}
	if after.MidAppend() {
		return 0, fmt.Errorf("%s is in the middle of an append: nothing can be built on it", after.Ref)
	}
	if after.Version >= math.MaxUint64-1-changeset.MaxPerAppend {
		return 0, fmt.Errorf("%q has reached the last version, %d", aggregateID, after.Version)
	}
	if err := after.CheckAppendable(); err != nil {
		return 0, fmt.Errorf("head of %q: %w", aggregateID, err)
	}
	for _, drafts := range appends {
		if err := validateAppend(len(drafts), func(i int) *changeset.Draft { return &drafts[i].Draft }); err != nil {
			return 0, err
		}
		if err := checkMarks(drafts); err != nil {
			return 0, err
		}
		size += len(drafts)
	}
	return size, validateSize(size)
}

// checkMarks checks that the marks of a commit fit into the metadata.
func checkMarks(drafts []body.Draft) error {
	for i, d := range drafts {
		if d.Mark.IsZero() {
			continue
		}
		if _, err := d.Mark.Mark(d.Metadata); err != nil {
			return fmt.Errorf("draft %d: %w", i+1, err)
		}
	}
	return nil
}

// ValidateAppend checks the drafts of one append before anything is built. Its
// error matches [changeset.ErrInvalidDraft] if there are no drafts, more than
// [changeset.MaxPerAppend], or drafts with different command IDs, or if a draft
// breaks a limit.
func ValidateAppend(drafts []changeset.Draft) error {
	return validateAppend(len(drafts), func(i int) *changeset.Draft { return &drafts[i] })
}

func validateAppend(size int, draft func(i int) *changeset.Draft) error {
	if err := validateSize(size); err != nil {
		return err
	}
	for i := range size {
		d := draft(i)
		if err := d.Validate(); err != nil {
			return fmt.Errorf("draft %d: %w", i+1, err)
		}
		if d.CommandID != "" && d.CommandID != draft(0).CommandID {
			return fmt.Errorf("draft %d: %w: command ID %q is not the command ID of the first draft", i+1, changeset.ErrInvalidDraft, d.CommandID)
		}
	}
	return nil
}

func validateSize(n int) error {
	if n == 0 || n > changeset.MaxPerAppend {
		return fmt.Errorf("%w: an append has 1 to %d changesets, not %d", changeset.ErrInvalidDraft, changeset.MaxPerAppend, n)
	}
	return nil
}

// Next returns the head that replaces h when the changeset, the last of an append
// that was built on h, enters the chain.
func Next(h head.Head, last changeset.Header) head.Head {
	next := head.At(last)
	if next.Checkpoint = h.Checkpoint; h.Exists() {
		next.Formats = h.Formats // the format numbers of a void head are its own
	}
	return next.WithToken(h.Token()).WithExtra(h.Extra())
}

// Void returns the head that fences an aggregate without a head. The swap shuts out
// every append that was built on the zero Head and is not yet committed.
func Void(aggregateID string) head.Head {
	return head.Head{Ref: changeset.Ref{AggregateID: aggregateID}, Revision: 1, State: head.Void, Formats: head.Packed}
}

// Fence returns the head that has the changeset of h at the next revision; no
// changeset if h is void. The swap shuts out every append that was built on h and is
// not yet committed.
func Fence(h head.Head) head.Head {
	h.Revision++
	return h
}

// Tombstone returns the head that replaces h for good. It keeps reference and
// digest. Its revision shuts out every append that was built on h. In a packed chain it
// has no tip and no index.
func Tombstone(h head.Head) head.Head {
	h.Revision++
	h.State = head.Erased
	if h.IsPacked() {
		h.Tip, h.Index, h.Ancestors = "", changeset.ObjectIndex{}, changeset.Index{}
		h.PackedID, h.PackedDigest = changeset.ID{}, changeset.Digest{}
	}
	return h
}

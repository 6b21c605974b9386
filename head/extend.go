package head

import (
	"fmt"
	"maps"
	"math"
	"time"

	"ropewalk/changeset"
	"ropewalk/internal/body"
)

// Extend builds an append: the changesets that the drafts make behind the head
// after (the zero Head for a new chain), with new IDs, and the head that
// commits them. It stores nothing. The time is the writer's clock; what is
// recorded is never before after.UpdatedAt. All of them carry the command ID
// of the first draft.
//
// Its errors match those of [ValidateAppend], [changeset.ErrInvalidAggregateID],
// and [changeset.ErrUnsupportedFormat] where a newer version forbids this one
// to write.
func Extend(after Head, aggregateID string, drafts []changeset.Draft, now time.Time) ([]changeset.Changeset, Head, error) {
	return ExtendBatch(after, aggregateID, [][]body.Draft{body.Drafts(drafts, false)}, now)
}

// ExtendBatch is [Extend] for several callers at once: it links their appends,
// in this order, into one atomic append of at most [changeset.MaxPerAppend]
// changesets. Each keeps its own command ID, or none. Only the module itself can
// call it, with bodies that are stored as they are.
func ExtendBatch(after Head, aggregateID string, appends [][]body.Draft, now time.Time) ([]changeset.Changeset, Head, error) {
	size, err := checkExtend(after, aggregateID, appends)
	if err != nil {
		return nil, Head{}, err
	}
	at := now.UTC() // drops the monotonic reading too, which is not stored
	if at.Before(after.UpdatedAt) {
		at = after.UpdatedAt
	}
	built := make([]changeset.Changeset, 0, size)
	link := after
	for _, drafts := range appends {
		for _, draft := range drafts {
			c := build(link, aggregateID, draft, at)
			c.AfterRevision = after.Revision
			c.CommandID = drafts[0].CommandID
			if size > 1 {
				c.Part = changeset.Part{Number: len(built) + 1, Of: size}
			}
			c.Digest = c.ComputeDigest(link.Digest)
			built = append(built, c)
			link = after.Next(c.Header)
		}
	}
	return built, link, nil
}

// build makes one changeset behind link, all but what its place in the append decides.
func build(link Head, aggregateID string, draft body.Draft, at time.Time) changeset.Changeset {
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
	if link.Exists() {
		h.Version, h.Parent, h.Ancestors = link.Version+1, link.ID, link.Ancestors
	}
	return changeset.Changeset{Header: h, Content: draft.Content, Body: draft.Bytes}
}

// checkExtend returns the number of changesets.
func checkExtend(after Head, aggregateID string, appends [][]body.Draft) (size int, err error) {
	if err := changeset.ValidateAggregateID(aggregateID); err != nil {
		return 0, err
	}
	if after.Exists() && after.AggregateID != aggregateID {
		return 0, fmt.Errorf("the head belongs to %q, not to %q", after.AggregateID, aggregateID)
	}
	if after.midAppend {
		return 0, fmt.Errorf("%s is in the middle of an append: nothing can be built on it", after.Ref)
	}
	if after.Version >= math.MaxUint64-1-changeset.MaxPerAppend {
		return 0, fmt.Errorf("%q has reached the last version, %d", aggregateID, after.Version)
	}
	if err := after.Formats.checkWritable(); err != nil {
		return 0, fmt.Errorf("head of %q: %w", aggregateID, err)
	}
	for _, drafts := range appends {
		if err := validateAppend(len(drafts), func(i int) *changeset.Draft { return &drafts[i].Draft }); err != nil {
			return 0, err
		}
		size += len(drafts)
	}
	return size, validateSize(size)
}

// ValidateAppend checks the drafts of one append before anything is built. Its
// error matches [changeset.ErrInvalidDraft] where there are none, more than
// [changeset.MaxPerAppend], different command IDs, or one breaks a limit.
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

func (f Formats) checkWritable() error {
	if f.MinWriter > changeset.Format {
		return fmt.Errorf("%w: only writers of format %d and above may replace it, this version writes %d", changeset.ErrUnsupportedFormat, f.MinWriter, changeset.Format)
	}
	return nil
}

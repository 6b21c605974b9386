package head

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"math"
	"time"

	"ropewalk/changeset"
)

// Extend builds an append: the changesets that the drafts make behind the head
// after (the zero Head for a new chain), with new IDs, and the head that
// commits them. It stores nothing. The time is the writer's clock; what is
// recorded is never before after.UpdatedAt.
//
// Errors match [changeset.ErrInvalidDraft] where there are no drafts, more
// than [changeset.MaxPerAppend], different command IDs, or one breaks a limit;
// [changeset.ErrInvalidAggregateID]; and [changeset.ErrUnsupportedFormat]
// where a newer version forbids this one to write.
func Extend(after Head, aggregateID string, drafts []changeset.Draft, now time.Time) ([]changeset.Changeset, Head, error) {
	if err := checkExtend(after, aggregateID, drafts); err != nil {
		return nil, Head{}, err
	}
	at := now.UTC() // drops the monotonic reading too, which is not stored
	if at.Before(after.UpdatedAt) {
		at = after.UpdatedAt
	}
	built := make([]changeset.Changeset, 0, len(drafts))
	link := after
	for i, draft := range drafts {
		c := build(link, aggregateID, draft, at)
		c.AfterRevision = after.Revision
		c.CommandID = drafts[0].CommandID
		if len(drafts) > 1 {
			c.Part = changeset.Part{Number: i + 1, Of: len(drafts)}
		}
		c.Digest = c.ComputeDigest(link.Digest)
		built = append(built, c)
		link = after.Next(c.Header)
	}
	return built, link, nil
}

// build makes one changeset behind link, all but what its place in the append decides.
func build(link Head, aggregateID string, draft changeset.Draft, at time.Time) changeset.Changeset {
	h := changeset.Header{
		Ref:           changeset.Ref{AggregateID: aggregateID, ID: changeset.NewID()},
		ContentType:   draft.ContentType,
		ContentSize:   int64(len(draft.Content)),
		ContentSHA256: sha256.Sum256(draft.Content),
		RecordedAt:    at,
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
	return changeset.Changeset{Header: h, Content: draft.Content}
}

func checkExtend(after Head, aggregateID string, drafts []changeset.Draft) error {
	if err := changeset.ValidateAggregateID(aggregateID); err != nil {
		return err
	}
	if after.Exists() && after.AggregateID != aggregateID {
		return fmt.Errorf("the head is that of %q, not of %q", after.AggregateID, aggregateID)
	}
	if after.within {
		return fmt.Errorf("%s is within an append: nothing can be built on it", after.Ref)
	}
	if after.Version >= math.MaxUint64-1-changeset.MaxPerAppend {
		return fmt.Errorf("%q has reached the last version, %d", aggregateID, after.Version)
	}
	if err := after.Formats.checkWritable(); err != nil {
		return fmt.Errorf("head of %q: %w", aggregateID, err)
	}
	if len(drafts) == 0 || len(drafts) > changeset.MaxPerAppend {
		return fmt.Errorf("%w: an append has 1 to %d changesets, not %d", changeset.ErrInvalidDraft, changeset.MaxPerAppend, len(drafts))
	}
	for i, d := range drafts {
		if err := d.Validate(); err != nil {
			return fmt.Errorf("draft %d: %w", i+1, err)
		}
		if d.CommandID != "" && d.CommandID != drafts[0].CommandID {
			return fmt.Errorf("draft %d: %w: command ID %q is not that of the first draft", i+1, changeset.ErrInvalidDraft, d.CommandID)
		}
	}
	return nil
}

func (f Formats) checkWritable() error {
	if f.MinWriter > changeset.Format {
		return fmt.Errorf("%w: only writers of format %d and above may replace it, this version writes %d", changeset.ErrUnsupportedFormat, f.MinWriter, changeset.Format)
	}
	return nil
}

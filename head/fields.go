package head

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"ropewalk/changeset"
)

// ParseFields reads a record from the texts of its fields, for stores that keep
// fields of their own; ancestors and digest are in base64url. It returns an
// error that matches [changeset.ErrUnsupportedFormat] where only newer readers
// may trust the record. It does not know the aggregate: callers must compare.
func ParseFields(texts map[string]string) (Head, error) {
	formats, err := parseFormats(texts)
	if err != nil {
		return Head{}, err
	}
	var errs [8]error
	h := Head{State: State(texts[FieldState]), Checkpoint: texts[FieldCheckpoint]}
	h.AggregateID, errs[0] = changeset.Unescape(texts[FieldAggregateID])
	h.Version, errs[1] = changeset.ParseDecimal(texts[FieldVersion])
	h.ID, errs[2] = changeset.ParseID(texts[FieldChangesetID])
	h.Digest, errs[3] = changeset.ParseDigest(texts[FieldDigest])
	h.Revision, errs[4] = changeset.ParseDecimal(texts[FieldRevision])
	h.UpdatedAt, errs[5] = changeset.ParseTime(texts[FieldUpdatedAt])
	packed, err := parseBase64(texts[FieldAncestors])
	if errs[6] = err; err == nil {
		h.Ancestors, errs[7] = changeset.ParseIndex(h.Version+1, packed)
	}
	if err := errors.Join(errs[:]...); err != nil {
		return Head{}, err
	}
	if formats != (Formats{}).Numbers() {
		h.Formats = formats
	}
	return h, h.Validate()
}

func parseFormats(texts map[string]string) (f Formats, err error) {
	var errs [3]error
	f.Written, errs[0] = changeset.ParseDecimal(texts[FieldFormat])
	f.MinReader, errs[1] = changeset.ParseDecimal(texts[FieldMinReader])
	f.MinWriter, errs[2] = changeset.ParseDecimal(texts[FieldMinWriter])
	if err := errors.Join(errs[:]...); err != nil {
		return f, err
	}
	if f.Written == 0 || f.MinReader == 0 || f.MinWriter == 0 || f.MinReader > f.Written || f.MinWriter > f.Written {
		return f, fmt.Errorf("format %d, min-reader %d and min-writer %d are no format numbers that go together", f.Written, f.MinReader, f.MinWriter)
	}
	if f.MinReader > changeset.Format {
		return f, fmt.Errorf("%w: only readers of format %d and above may trust it, this version reads %d", changeset.ErrUnsupportedFormat, f.MinReader, changeset.Format)
	}
	return f, nil
}

// Numbers returns the format numbers to store: for the zero value this
// version's own.
func (f Formats) Numbers() Formats {
	if f == (Formats{}) {
		return Formats{changeset.Format, changeset.Format, changeset.Format}
	}
	return f
}

// Validate checks what a head must hold to be stored.
func (h Head) Validate() error {
	if err := changeset.ValidateAggregateID(h.AggregateID); err != nil {
		return err
	}
	switch {
	case h.ID.IsZero():
		return errors.New("changeset ID is missing")
	case h.Version == 1<<64-1:
		return fmt.Errorf("version %d is beyond the last one", h.Version)
	case h.Revision == 0:
		return errors.New("revision is 0")
	case len(h.Checkpoint) > MaxCheckpoint:
		return fmt.Errorf("checkpoint has %d bytes, more than %d", len(h.Checkpoint), MaxCheckpoint)
	case strings.ContainsFunc(h.Checkpoint, notInCheckpoint):
		return errors.New("checkpoint has a character other than letters, digits and %&*+,-.=_~")
	case h.State != Live && h.State != Erased:
		return fmt.Errorf("state %q is not known", h.State)
	case h.UpdatedAt.UTC().Year() < 0 || h.UpdatedAt.UTC().Year() > 9999:
		return fmt.Errorf("updated-at: year %d has not four digits", h.UpdatedAt.UTC().Year())
	case h.Ancestors.Version() != h.Version+1 || h.Ancestors.Parent() != h.ID:
		return errors.New("ancestor index does not end in the newest changeset")
	}
	return nil
}

// notInCheckpoint reports whether a checkpoint cannot have the character. Those that
// it can have are the same in every encoding of a record.
func notInCheckpoint(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("%&*+,-.=_~", r)
}

// parseBase64 refuses the line breaks and stray bits that the decoder ignores.
func parseBase64(s string) ([]byte, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || base64.RawURLEncoding.EncodeToString(b) != s {
		return nil, fmt.Errorf("%q is not unpadded base64url", s)
	}
	return b, nil
}

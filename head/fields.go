package head

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
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
	var errs [9]error
	h := Head{State: State(texts[FieldState]), Checkpoint: texts[FieldCheckpoint]}
	h.AggregateID, errs[0] = changeset.Unescape(texts[FieldAggregateID])
	h.Version, errs[1] = changeset.ParseDecimal(texts[FieldVersion])
	h.ID, errs[2] = parseNewest(h.State, texts[FieldChangesetID])
	h.Digest, errs[3] = changeset.ParseDigest(texts[FieldDigest])
	h.Revision, errs[4] = changeset.ParseDecimal(texts[FieldRevision])
	h.UpdatedAt, errs[5] = changeset.ParseTime(texts[FieldUpdatedAt])
	packed, err := parseBase64(texts[FieldAncestors])
	h.Move, errs[8] = parseMove(texts)
	if formats != (Formats{}).Numbers() {
		h.Formats = formats
	}
	switch errs[6] = err; {
	case err != nil:
	case h.State == Void:
		if len(packed) > 0 || hasPackedFields(texts) {
			errs[7] = errNotVoid
		}
	case h.IsPacked():
		errs[7] = h.parsePacked(texts, packed)
	case hasPackedFields(texts):
		errs[7] = errNotPacked
	default:
		h.Ancestors, errs[7] = changeset.ParseIndex(h.Version+1, packed)
	}
	if err := errors.Join(errs[:]...); err != nil {
		return Head{}, err
	}
	return h, h.Validate()
}

// parseNewest reads the ID of the newest changeset, which is all zeros in a void head.
func parseNewest(s State, text string) (changeset.ID, error) {
	if none := (changeset.ID{}); s == Void && text == none.String() {
		return none, nil
	}
	return changeset.ParseID(text)
}

var errNotVoid = errors.New("a void head names no changeset, and has nothing of one")

var errNotPacked = errors.New("only the head of a packed chain has a tip and an object index")

func hasPackedFields(texts map[string]string) bool {
	return texts[FieldTip] != "" || texts[FieldIndex] != "" || texts[FieldObjects] != "" || texts[FieldPackedDigest] != "" || texts[FieldPackedID] != ""
}

// parsePacked reads the fields of the record of a packed chain. A tombstone has none
// of them.
func (h *Head) parsePacked(texts map[string]string, ancestors []byte) (err error) {
	h.Tip = texts[FieldTip]
	next, err := h.firstInTip()
	if err != nil {
		return err
	}
	if h.Index, err = parseObjects(texts, next); err != nil {
		return err
	}
	switch {
	case h.Index.Objects() > 0 && len(ancestors) > 0:
		return errTwoIndexes
	case h.Index.Objects() == 0:
		if h.Ancestors, err = changeset.ParseIndex(next, ancestors); err != nil {
			return err
		}
	}
	if h.PackedDigest, err = optionalDigest(texts[FieldPackedDigest]); err != nil {
		return fmt.Errorf("%s: %w", FieldPackedDigest, err)
	}
	if h.PackedID, err = parsePackedID(texts[FieldPackedID], h.impliedID()); err != nil {
		return fmt.Errorf("%s: %w", FieldPackedID, err)
	}
	return nil
}

var errTwoIndexes = errors.New("there is an ancestor index beside the object index")

// firstInTip returns the version of the first line of the tip, or of the next changeset
// if the tip is empty. It is 0 in a tombstone.
func (h *Head) firstInTip() (uint64, error) {
	lines := uint64(strings.Count(h.Tip, "\n"))
	switch {
	case h.State == Erased:
		return 0, nil
	case lines > 0 && lines-1 > h.Version:
		return 0, fmt.Errorf("tip has %d lines up to version %d", lines, h.Version)
	}
	return h.Version + 1 - lines, nil
}

func parseObjects(texts map[string]string, next uint64) (ix changeset.ObjectIndex, err error) {
	objects, err := optionalNumber(texts[FieldObjects])
	if err != nil {
		return ix, fmt.Errorf("%s: %w", FieldObjects, err)
	}
	index, err := parseBase64(texts[FieldIndex])
	if err != nil {
		return ix, fmt.Errorf("%s: %w", FieldIndex, err)
	}
	return changeset.ParseObjectIndex(objects, next, index)
}

// parsePackedID reads an ID that is absent if it is the implied one.
func parsePackedID(text string, implied changeset.ID) (changeset.ID, error) {
	if text == "" {
		return implied, nil
	}
	id, err := changeset.ParseID(text)
	if err == nil && id == implied {
		err = errors.New("it is the ID of the newest object")
	}
	return id, err
}

// impliedID returns the ID of the newest object. It is the ID of the newest changeset
// in objects unless the object has an ID of its own.
func (h Head) impliedID() changeset.ID {
	if e, ok := h.Index.Latest(); ok {
		return e.ID
	}
	return h.Ancestors.Parent()
}

// PackedTexts returns the texts of the fields that only the record of a packed chain
// has, except the tip. A field without a value is absent.
func (h Head) PackedTexts() map[string]string {
	if !h.IsPacked() {
		return nil
	}
	texts := map[string]string{}
	if n := h.Index.Objects(); n > 0 {
		texts[FieldObjects] = strconv.FormatUint(n, 10)
		texts[FieldIndex] = base64.RawURLEncoding.EncodeToString(h.Index.Packed())
	}
	if !h.PackedDigest.IsZero() {
		texts[FieldPackedDigest] = h.PackedDigest.String()
	}
	if h.PackedID != h.impliedID() {
		texts[FieldPackedID] = h.PackedID.String()
	}
	return texts
}

func optionalNumber(s string) (uint64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := changeset.ParseDecimal(s)
	if err == nil && n == 0 {
		err = errors.New("it is 0")
	}
	return n, err
}

func optionalDigest(s string) (changeset.Digest, error) {
	if s == "" {
		return changeset.Digest{}, nil
	}
	return changeset.ParseDigest(s)
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
	if f.MinReader > changeset.MaxFormat {
		return f, fmt.Errorf("%w: only readers of format %d and above may trust it, this version reads up to %d", changeset.ErrUnsupportedFormat, f.MinReader, changeset.MaxFormat)
	}
	return f, nil
}

// Numbers returns the format numbers to store: 1 throughout for the zero value.
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
	case h.State == Void:
		return h.validateVoid()
	case h.validateMove() != nil:
		return h.validateMove()
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
	case h.point:
		return errors.New("it is a point of the history, not a record")
	case h.IsPacked():
		return h.validatePacked()
	case h.Tip != "" || h.Index != changeset.ObjectIndex{} || h.PackedID != changeset.ID{} || h.PackedDigest != changeset.Digest{}:
		return errNotPacked
	case h.Ancestors.Version() != h.Version+1 || h.Ancestors.Parent() != h.ID:
		return errors.New("ancestor index does not end in the newest changeset")
	}
	return nil
}

// validateVoid checks that the head has a revision, and no other field of a chain. Only
// readers that know the state may trust it.
func (h Head) validateVoid() error {
	blank := Head{State: Void, Revision: h.Revision, Formats: h.Formats, token: h.token, extra: h.extra}
	blank.AggregateID = h.AggregateID
	switch {
	case h.Revision == 0:
		return errors.New("revision is 0")
	case h != blank:
		return errNotVoid
	case h.Formats.MinReader < changeset.FormatPacked || h.Formats.MinWriter < changeset.FormatPacked:
		return fmt.Errorf("a void head has min-reader and min-writer %d at least", changeset.FormatPacked)
	}
	return nil
}

// validatePacked checks the record of a packed chain, and proves its tip: the lines
// must lead from the newest changeset in objects to the newest changeset.
func (h Head) validatePacked() error {
	objects, next := h.Index.Objects(), h.Index.Next()
	switch {
	case h.State == Erased:
		if h.Tip != "" || h.Index != (changeset.ObjectIndex{}) || h.Ancestors != (changeset.Index{}) || !h.PackedID.IsZero() || !h.PackedDigest.IsZero() {
			return errors.New("the head of an erased packed chain has neither tip nor index")
		}
		return nil
	case len(h.Tip) > MaxTip:
		return fmt.Errorf("tip has %d bytes, more than %d", len(h.Tip), MaxTip)
	case objects == 0 && (h.Ancestors.Version() != next || h.Ancestors.Parent() != h.PackedID):
		return errors.New("ancestor index does not end in the newest changeset of format 1")
	case objects > 0 && h.Ancestors != changeset.Index{}:
		return errTwoIndexes
	case h.PackedID.IsZero() != (next == 0) || h.PackedDigest.IsZero() != (next == 0):
		return errors.New("what is in objects has no ID, or no digest")
	case h.Tip == "" && (next != h.Version+1 || h.PackedID != h.ID || h.PackedDigest != h.Digest):
		return errors.New("object index does not end in the newest changeset")
	}
	return h.proveTip()
}

func (h Head) proveTip() error {
	tip, err := h.TipChangesets()
	if err != nil || len(tip) == 0 {
		return err
	}
	newest := tip[len(tip)-1]
	switch {
	case newest.Ref != h.Ref || newest.Digest != h.Digest:
		return fmt.Errorf("its tip does not lead to %s and its digest", h.Ref)
	case !newest.Part.Last():
		return fmt.Errorf("its tip ends in the middle of an append")
	case !newest.RecordedAt.Equal(h.UpdatedAt):
		return fmt.Errorf("its updated-at is not when %s was recorded", h.Ref)
	case h.Revision <= newest.AfterRevision:
		return fmt.Errorf("its revision %d is not above %d, on which its changeset was built", h.Revision, newest.AfterRevision)
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

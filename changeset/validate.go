package changeset

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Validate checks the draft against the limits of its fields. Its error
// matches [ErrInvalidDraft] and says which limit is broken.
func (d Draft) Validate() error {
	if err := validateCommandID(d.CommandID); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidDraft, err)
	}
	if err := validateContentType(d.contentType()); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidDraft, err)
	}
	if err := validateUser(d.Metadata); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidDraft, err)
	}
	for key := range d.Metadata {
		if strings.HasPrefix(key, "$") {
			return fmt.Errorf("%w: metadata key %q: a leading $ is reserved", ErrInvalidDraft, key)
		}
	}
	return nil
}

func (d Draft) contentType() string {
	if d.ContentType == "" {
		return DefaultContentType
	}
	return d.ContentType
}

// validate checks what a header must hold to be stored: it is the guard of
// both directions of the codec.
func (h *Header) validate() error {
	if err := ValidateAggregateID(h.AggregateID); err != nil {
		return err
	}
	if err := h.validateLinks(); err != nil {
		return err
	}
	if !isKnownEncoding(h.Encoding) {
		return fmt.Errorf("%w: content encoding %q", ErrUnsupportedFormat, h.Encoding)
	}
	if err := validateCommandID(h.CommandID); err != nil {
		return err
	}
	if err := validateContentType(h.ContentType); err != nil {
		return err
	}
	if h.Pack != nil {
		if err := h.validatePack(); err != nil {
			return err
		}
	}
	if y := h.RecordedAt.UTC().Year(); y < 0 || y > 9999 {
		return fmt.Errorf("recorded-at: year %d has not four digits", y)
	}
	return validateUser(h.Metadata)
}

// isKnownEncoding reports whether this version reads and writes the encoding.
func isKnownEncoding(s string) bool { return s == "" || s == EncodingZstd }

func (h *Header) validateLinks() error {
	switch p := h.Part; {
	case h.ID.IsZero():
		return fmt.Errorf("changeset ID is missing")
	case h.Version == 1<<64-1:
		return fmt.Errorf("version %d is beyond the last one", h.Version)
	case h.Parent.IsZero() != (h.First() == 0):
		return fmt.Errorf("parent and version %d do not agree", h.First())
	case (h.Pack != nil) != h.Ref.IsPacked():
		return fmt.Errorf("%s and its format do not agree", h.Ref)
	case h.Format() == Format && (h.Ancestors.Version() != h.Version || h.Ancestors.Parent() != h.Parent):
		return fmt.Errorf("ancestor index does not end in the parent")
	case p != Part{} && (p.Of < 2 || p.Of > MaxPerAppend || p.Number < 1 || p.Number > p.Of):
		return fmt.Errorf("append %s is not a part of 2 to %d", p, MaxPerAppend)
	case p.Number > 1 && h.Version < uint64(p.Number-1):
		return fmt.Errorf("append %s cannot be at version %d", p, h.Version)
	}
	return nil
}

// validatePack checks what only the header of an object of format 2 holds.
func (h *Header) validatePack() error {
	switch {
	case uint64(h.Count)-1 > h.Version:
		return fmt.Errorf("%d changesets cannot end at version %d", h.Count, h.Version)
	case h.Pack.Index.Next() != h.First():
		return fmt.Errorf("object index is of an object at version %d, not %d", h.Pack.Index.Next(), h.First())
	case h.Pack.ParentDigest.IsZero() != (h.First() == 0):
		return fmt.Errorf("parent digest and version %d do not agree", h.First())
	case !h.Pack.Lines:
		if h.Count != 1 || h.RecordedAt.IsZero() {
			return fmt.Errorf("an object whose body is content has one changeset, with its time")
		}
	case h.ContentType != ContentTypeLines || !h.RecordedAt.IsZero() || h.CommandID != "" || h.Part != (Part{}) || len(h.Metadata) > 0:
		return fmt.Errorf("an object of lines has no header fields of a changeset")
	}
	return nil
}

func validateCommandID(s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("command ID %q is not valid UTF-8", s)
	}
	if n := escapedSize(s); n > MaxCommandID {
		return fmt.Errorf("command ID takes %d bytes once percent-encoded, more than %d", n, MaxCommandID)
	}
	return nil
}

func validateContentType(s string) error {
	ok := s != "" && len(s) <= MaxContentType && s[0] != ' ' && s[len(s)-1] != ' '
	for i := 0; ok && i < len(s); i++ {
		ok = ' ' <= s[i] && s[i] <= '~'
	}
	if !ok {
		return fmt.Errorf("content type %q is not 1 to %d bytes of printable ASCII without space at its ends", s, MaxContentType)
	}
	return nil
}

func validateUser(m map[string]string) error {
	for k, v := range m {
		if k == "" || !utf8.ValidString(k) || !utf8.ValidString(v) {
			return fmt.Errorf("metadata %q=%q: want a key, and UTF-8", k, v)
		}
	}
	if n := userSize(m); n > MaxMetadata {
		return fmt.Errorf("metadata takes %d bytes once encoded, more than %d", n, MaxMetadata)
	}
	return nil
}

// userSize returns the size of what encodeUser returns.
func userSize(m map[string]string) int {
	n := max(len(m)-1, 0)
	for k, v := range m {
		n += escapedSize(k) + len("=") + escapedSize(v)
	}
	return n
}

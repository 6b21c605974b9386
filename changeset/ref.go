package changeset

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxAggregateID is the largest size of an aggregate ID, in bytes once percent-encoded.
const MaxAggregateID = 128

// Folder is the folder, below a store's prefix, of all changeset objects.
const Folder = "changesets/"

// MaxCount is the largest number of changesets in one object.
const MaxCount = 1<<16 - 1

// Ref is the reference of a changeset: aggregate ID, version and changeset ID
// together. It is comparable.
//
// A Ref also names the objects that a [Store] keeps. In format 1 each changeset is
// an object of the same reference. The reference of an object of format 2 has the
// object's own ID, and a Count.
type Ref struct {
	AggregateID string
	// Version is the version of the changeset, or of the newest changeset in the object.
	Version uint64
	ID      ID
	// Count is the number of consecutive changesets in an object of format 2, at most
	// [MaxCount]. It is 0 in the reference of a changeset.
	Count uint16
}

// First returns the version of the first changeset in the object.
func (r Ref) First() uint64 { return r.Version + 1 - uint64(max(r.Count, 1)) }

// IsPacked reports whether the reference names an object of format 2.
func (r Ref) IsPacked() bool { return r.Count > 0 }

// String returns the text of the reference: "order-1@7.<uuid>", or
// "order-1@4-7.<uuid>" if it names an object of format 2.
func (r Ref) String() string {
	versions := strconv.FormatUint(r.Version, 10)
	if r.IsPacked() {
		versions = strconv.FormatUint(r.First(), 10) + "-" + versions
	}
	return r.AggregateID + "@" + versions + "." + r.ID.String()
}

// ParseRef parses the text of a full reference, "order-1@7.<uuid>", split at
// its last @. An invalid aggregate ID is an error that matches [ErrInvalidAggregateID].
func ParseRef(s string) (Ref, error) {
	at := strings.LastIndexByte(s, '@')
	version, id, ok := strings.Cut(s[at+1:], ".")
	if at < 0 || !ok {
		return Ref{}, fmt.Errorf("%q is not a reference: want ID@VERSION.UUID", s)
	}
	if err := ValidateAggregateID(s[:at]); err != nil {
		return Ref{}, err
	}
	v, err := ParseDecimal(version)
	if err != nil {
		return Ref{}, fmt.Errorf("%q is not a reference: %w", s, err)
	}
	parsed, err := ParseID(id)
	if err != nil {
		return Ref{}, fmt.Errorf("%q is not a reference: %w", s, err)
	}
	return Ref{AggregateID: s[:at], Version: v, ID: parsed}, nil
}

// ObjectName returns the name, below a store's prefix, of the object that the
// reference names. Names of one aggregate sort by the object's first version.
func (r Ref) ObjectName() string {
	b := make([]byte, 0, MaxAggregateID+128)
	b = append(append(append(b, Folder...), Escape(r.AggregateID)...), '/')
	b = append(appendVersion(b, r.First()), '-')
	if r.IsPacked() {
		b = append(appendVersion(b, r.Version), '-')
	}
	return string(r.ID.append(b))
}

// versionDigits is the length of a version in an object's name.
const versionDigits = 20

// appendVersion appends a version with zeros before it.
func appendVersion(b []byte, version uint64) []byte {
	end := len(b) + versionDigits
	b = append(b, "00000000000000000000"...)
	for at := end - 1; version > 0; at, version = at-1, version/10 {
		b[at] = byte('0' + version%10)
	}
	return b
}

// FolderOf returns the folder, below a store's prefix, of an aggregate's changeset objects.
func FolderOf(aggregateID string) string { return Folder + Escape(aggregateID) + "/" }

// ParseObjectName reverses [Ref.ObjectName]. A name that ObjectName would not
// have written is an error.
func ParseObjectName(name string) (Ref, error) {
	folder, base, _ := strings.Cut(strings.TrimPrefix(name, Folder), "/")
	aggregateID, err := Unescape(folder)
	if err != nil {
		return Ref{}, err
	}
	ref, err := parseObjectBase(base)
	if err != nil {
		return Ref{}, fmt.Errorf("%q is not the name of a changeset object: %w", name, err)
	}
	ref.AggregateID = aggregateID
	if ValidateAggregateID(aggregateID) != nil || ref.ObjectName() != name {
		return Ref{}, fmt.Errorf("%q is not the name of a changeset object", name)
	}
	return ref, nil
}

// parseObjectBase parses VERSION-UUID or FIRST-LAST-UUID.
func parseObjectBase(base string) (r Ref, err error) {
	first, rest, _ := strings.Cut(base, "-")
	from, err := strconv.ParseUint(first, 10, 64)
	if err != nil {
		return r, errors.New("no version")
	}
	r.Version = from
	if last, id, ok := strings.Cut(rest, "-"); ok && len(last) == versionDigits {
		if r.Version, err = strconv.ParseUint(last, 10, 64); err != nil {
			return r, errors.New("no last version")
		}
		if r.Version < from || r.Version-from >= MaxCount {
			return r, fmt.Errorf("no object has the versions %d to %d", from, r.Version)
		}
		r.Count, rest = uint16(r.Version-from+1), id
	}
	r.ID, err = ParseID(rest)
	return r, err
}

// ValidateAggregateID checks that id is valid UTF-8 without control characters
// that takes 1 to [MaxAggregateID] bytes once percent-encoded. Its error
// matches [ErrInvalidAggregateID] and says what is wrong.
func ValidateAggregateID(id string) error {
	switch n := escapedSize(id); {
	case id == "":
		return fmt.Errorf("%w: it is empty", ErrInvalidAggregateID)
	case !utf8.ValidString(id):
		return fmt.Errorf("%w: %q is not valid UTF-8", ErrInvalidAggregateID, id)
	case strings.ContainsFunc(id, unicode.IsControl):
		return fmt.Errorf("%w: %q has a control character", ErrInvalidAggregateID, id)
	case n > MaxAggregateID:
		return fmt.Errorf("%w: %q takes %d bytes once percent-encoded, more than %d", ErrInvalidAggregateID, id, n, MaxAggregateID)
	}
	return nil
}

// ParseDecimal parses the one decimal text that a number has in storage: no
// sign, no leading zeros.
func ParseDecimal(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || len(s) > 1 && s[0] == '0' {
		return 0, fmt.Errorf("%q is not a decimal number", s)
	}
	return n, nil
}

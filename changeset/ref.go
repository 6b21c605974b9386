package changeset

import (
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

// Ref is the reference of a changeset: aggregate ID, version and changeset ID
// together. It is comparable.
type Ref struct {
	AggregateID string
	Version     uint64
	ID          ID
}

// String returns the text of the reference: "order-1@7.<uuid>".
func (r Ref) String() string {
	return r.AggregateID + "@" + strconv.FormatUint(r.Version, 10) + "." + r.ID.String()
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
	return Ref{s[:at], v, parsed}, nil
}

// ObjectName returns the name, below a store's prefix, of the object that
// keeps the changeset. Names of one aggregate sort by version.
func (r Ref) ObjectName() string {
	version := strconv.FormatUint(r.Version, 10)
	return Folder + Escape(r.AggregateID) + "/" + "00000000000000000000"[len(version):] + version + "-" + r.ID.String()
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
	version, id, _ := strings.Cut(base, "-")
	v, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return Ref{}, fmt.Errorf("%q is not the name of a changeset object: no version", name)
	}
	parsed, err := ParseID(id)
	if err != nil {
		return Ref{}, fmt.Errorf("%q is not the name of a changeset object: %w", name, err)
	}
	ref := Ref{aggregateID, v, parsed}
	if ValidateAggregateID(aggregateID) != nil || ref.ObjectName() != name {
		return Ref{}, fmt.Errorf("%q is not the name of a changeset object", name)
	}
	return ref, nil
}

// ValidateAggregateID checks that id is valid UTF-8 without control characters
// that takes 1 to [MaxAggregateID] bytes once percent-encoded. Its error
// matches [ErrInvalidAggregateID] and says what is wrong.
func ValidateAggregateID(id string) error {
	switch n := len(Escape(id)); {
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
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, fmt.Errorf("%q is not a decimal number", s)
	}
	return n, nil
}

package changeset

import (
	"fmt"

	"github.com/google/uuid"
)

// ID identifies one put of one changeset object: a UUID of version 7, always
// made by the library and never used again. The zero ID means none.
type ID uuid.UUID

// NewID returns a new ID. It is safe for concurrent use.
func NewID() ID { return ID(uuid.Must(uuid.NewV7())) }

// ParseID parses the canonical text of an ID, 36 characters in lower case.
// Other spellings of a UUID, and the zero UUID, are errors.
func ParseID(s string) (ID, error) {
	u, err := uuid.Parse(s)
	if err != nil || u.String() != s || u == uuid.Nil {
		return ID{}, fmt.Errorf("%q is not a changeset ID: want a UUID in lower case", s)
	}
	return ID(u), nil
}

// IsZero reports whether id is the zero ID, which means none.
func (id ID) IsZero() bool { return id == ID{} }

// String returns the canonical text of the ID.
func (id ID) String() string { return uuid.UUID(id).String() }

// MarshalText returns the canonical text of the ID.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText parses the canonical text of an ID, as [ParseID] does.
func (id *ID) UnmarshalText(text []byte) error {
	parsed, err := ParseID(string(text))
	if err == nil {
		*id = parsed
	}
	return err
}

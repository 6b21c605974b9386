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
	id, ok := parseID(s)
	if !ok {
		return ID{}, fmt.Errorf("%q is not a changeset ID: want a UUID in lower case", s)
	}
	return id, nil
}

// parseID takes a tenth of the time of package uuid, which accepts other spellings. Each
// line of a pack has an ID.
func parseID(s string) (id ID, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return ID{}, false
	}
	for i, at := range idDigits {
		high, low := fromLowerHex(s[at]), fromLowerHex(s[at+1])
		if high|low > 15 {
			return ID{}, false
		}
		id[i] = high<<4 | low
	}
	return id, !id.IsZero()
}

// idDigits are the places of the bytes of an ID in its text.
var idDigits = [idSize]int{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34}

// fromLowerHex returns the value of a hex digit in lower case, and 255 for another byte.
func fromLowerHex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}

// IsZero reports whether id is the zero ID, which means none.
func (id ID) IsZero() bool { return id == ID{} }

// String returns the canonical text of the ID.
func (id ID) String() string {
	var room [36]byte
	return string(id.append(room[:0]))
}

// append appends the text of the ID.
func (id ID) append(b []byte) []byte {
	for i := range id {
		switch i {
		case 4, 6, 8, 10:
			b = append(b, '-')
		}
		b = append(b, lowerHex[id[i]>>4], lowerHex[id[i]&15])
	}
	return b
}

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

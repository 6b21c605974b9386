package ropewalk

import (
	"slices"

	"ropewalk/changeset"
)

// Encode returns the draft as the store appends it: compressed if
// [Options.Compress] says so and it gets smaller by that. Appends do that
// themselves, and leave as it is what was encoded before; it is for those who
// must know what will be stored.
func (s *Store) Encode(d changeset.Draft) changeset.Draft {
	if s.options.Compress {
		return changeset.Compress(d)
	}
	return d
}

// encode returns a copy of the drafts, encoded.
func (s *Store) encode(drafts []changeset.Draft) []changeset.Draft {
	encoded := slices.Clone(drafts)
	for i, d := range encoded {
		encoded[i] = s.Encode(d)
	}
	return encoded
}

// Decode returns the content of a changeset as it was appended, whatever
// [Options.Compress] says now; of one that is not compressed, its Content. The
// changeset stays as it is, so that it can be verified. The error matches
// [ErrStoredTooLarge] where the content is larger than [Options.MaxContentSize]; it
// is a [*CorruptError] where the body cannot be decompressed.
func (s *Store) Decode(c changeset.Changeset) ([]byte, error) {
	return c.Decoded(s.options.MaxContentSize)
}

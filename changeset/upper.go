package changeset

import "errors"

// Upper is the part of an ancestor index that the versions 16*k to 16*k+15 of a chain
// have in common: the IDs of all wheels but the first. It is empty below version 16.
type Upper string

// Upper returns the part of the index that it has in common with its neighbours.
func (ix Index) Upper() Upper {
	if ix.version < wheelBase {
		return ""
	}
	var room [MaxIndexSize]byte
	b := room[:0]
	for wheel := 1; wheel < wheels; wheel++ {
		from := ix.offset(wheel)
		b = append(b, ix.packed[from:from+wheelLen(ix.version, wheel)*idSize]...)
	}
	return Upper(b)
}

// first returns the IDs of the first wheel.
func (ix Index) first() string {
	if ix.version == 0 {
		return ""
	}
	return ix.packed[1 : 1+wheelLen(ix.version, 0)*idSize]
}

// Base returns the changeset that has the upper wheels of this one's index: its
// ancestor at the last version that is a multiple of 16. It returns false if there are no
// such wheels, as below version 16, or if the version is such a multiple itself.
func (h Header) Base() (Ref, bool) {
	if h.Format() != Format {
		return Ref{}, false
	}
	return baseRef(h.Ref, []byte(h.Ancestors.first()))
}

// IsBase reports whether the changeset may be the [Header.Base] of others.
func (r Ref) IsBase() bool {
	return !r.IsPacked() && r.Version >= wheelBase && r.Version%wheelBase == 0
}

// baseOf returns the version of the base.
func baseOf(version uint64) uint64 { return version &^ (wheelBase - 1) }

// baseRef returns the base, whose ID comes first in the first wheel.
func baseRef(r Ref, first []byte) (Ref, bool) {
	if r.IsPacked() || r.Version < wheelBase || r.IsBase() || len(first) < idSize {
		return Ref{}, false
	}
	return Ref{AggregateID: r.AggregateID, Version: baseOf(r.Version), ID: ID(first[:idSize])}, true
}

// BinaryBase returns the changeset whose [Upper] the decoding of a binary form needs. It
// returns false if the form is whole. It does not check the form.
func BinaryBase(r Ref, b []byte) (Ref, bool) {
	if len(b) == 0 || b[0]&flagUpper != 0 {
		return Ref{}, false
	}
	return baseRef(r, b[1:])
}

// BinaryUpper returns the upper wheels that the binary form of a base has.
func BinaryUpper(base Ref, b []byte) (Upper, error) {
	s := binaryScanner{rest: b}
	if err := s.begin(base, b); err != nil {
		return "", err
	}
	upper := Upper(s.take(upperSize(base.Version)))
	if !base.IsBase() || s.failed || !s.has(flagUpper) {
		return "", errors.New("it has no upper wheels")
	}
	return upper, nil
}

// upperSize returns the size of the upper wheels of a version's index.
func upperSize(version uint64) (size int) {
	for wheel := 1; wheel < wheels; wheel++ {
		size += wheelLen(version, wheel) * idSize
	}
	return size
}

// join puts an index together.
func join(version uint64, first []byte, upper Upper) Index {
	if version == 0 {
		return Index{}
	}
	var room [MaxIndexSize]byte
	b := append(append(room[:0], byte(wheelLen(version, 0))), first...)
	for wheel := 1; wheel < wheels; wheel++ {
		n := wheelLen(version, wheel)
		b = append(append(b, byte(n)), upper[:n*idSize]...)
		upper = upper[n*idSize:]
	}
	return Index{version, string(b)}
}

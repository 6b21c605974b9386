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

// Bases are the two changesets that have the upper wheels of a changeset's index: its
// ancestors at the last version that is a multiple of 16, and at the version after. There are
// two, so that a damaged one hurts no other changeset.
type Bases [2]Ref

// Bases returns the bases. It returns false if there are no upper wheels, as below
// version 16, or if the changeset may be a base itself.
func (h Header) Bases() (Bases, bool) {
	if h.Format() != Format {
		return Bases{}, false
	}
	return basesOf(h.Ref, []byte(h.Ancestors.first()))
}

// IsBase reports whether the changeset may be one of the [Bases] of others.
func (r Ref) IsBase() bool {
	return !r.IsPacked() && r.Version >= wheelBase && r.Version%wheelBase < 2
}

// baseOf returns the version of the first base.
func baseOf(version uint64) uint64 { return version &^ (wheelBase - 1) }

// basesOf returns the bases, whose IDs come first in the first wheel.
func basesOf(r Ref, first []byte) (bases Bases, ok bool) {
	if r.IsPacked() || r.Version < wheelBase || r.IsBase() || len(first) < 2*idSize {
		return bases, false
	}
	for i := range bases {
		bases[i] = Ref{AggregateID: r.AggregateID, Version: baseOf(r.Version) + uint64(i), ID: ID(first[i*idSize:][:idSize])}
	}
	return bases, true
}

// BinaryBases returns the changesets one of whose [Upper] the decoding of a binary form
// needs. It returns false if the form is whole. It does not check the form.
func BinaryBases(r Ref, b []byte) (Bases, bool) {
	if len(b) == 0 || b[0]&flagUpper != 0 {
		return Bases{}, false
	}
	return basesOf(r, b[1:])
}

// BinaryUpper returns the upper wheels that the binary form of a base has.
func BinaryUpper(base Ref, b []byte) (Upper, error) {
	s := binaryScanner{rest: b}
	if err := s.begin(base, b); err != nil {
		return "", err
	}
	s.take(wheelLen(base.Version, 0) * idSize)
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

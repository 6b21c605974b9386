package changeset

import (
	"encoding/binary"
	"fmt"
	"iter"
	"strings"
)

// The shape of the index over objects: wheels of an odometer to the base 7. The
// last one keeps its latest 3, which bounds the index at 4*6+3 = 27 entries. An
// index to the base 16, as [Index] is, would not fit into the metadata of S3.
const (
	objectWheels       = 5
	objectBase         = 7
	lastObjectWheelLen = 3
	objectEntrySize    = 4 + 2 + idSize
)

// MaxObjectIndexSize is the largest size of a packed object index in bytes: a
// length byte for each wheel, and 27 entries of 22 bytes.
const MaxObjectIndexSize = objectWheels + ((objectWheels-1)*(objectBase-1)+lastObjectWheelLen)*objectEntrySize

// ObjectIndex is the index of an object of format 2: some of the objects before it,
// the nearest ones densely and older ones sparsely. It works as [Index] does, and
// counts objects instead of versions.
//
// An ObjectIndex is an immutable value, comparable and safe for concurrent use. The
// zero ObjectIndex is the index of an object at version 0, before which there is
// nothing.
type ObjectIndex struct {
	objects, next uint64
	packed        string // empty without objects
}

// ObjectIndexAt returns the index of a first object of format 2 that begins at a
// version. The changesets below are objects of format 1.
func ObjectIndexAt(version uint64) ObjectIndex { return ObjectIndex{next: version} }

// Entry is one object in an [ObjectIndex].
type Entry struct {
	// Version is the version of the object's newest changeset.
	Version uint64
	// Count is the number of changesets in the object.
	Count uint16
	// ID is the ID of the object.
	ID ID
}

// Ref returns the reference of the object.
func (e Entry) Ref(aggregateID string) Ref {
	return Ref{AggregateID: aggregateID, Version: e.Version, ID: e.ID, Count: e.Count}
}

// ParseObjectIndex reads the packed form of the index of an object before which
// there are the given number of objects, and whose first version is next. Wheels
// that do not have the length which the number demands are an error, as are objects
// that do not lie one below the other.
func ParseObjectIndex(objects, next uint64, packed []byte) (ObjectIndex, error) {
	ix := ObjectIndex{objects, next, string(packed)}
	if objects == 0 {
		if len(packed) != 0 {
			return ObjectIndex{}, fmt.Errorf("object index of the first object has %d bytes", len(packed))
		}
		return ix, nil
	}
	rest := packed
	for wheel := range objectWheels {
		want := objectWheelLen(objects, wheel)
		if len(rest) == 0 || int(rest[0]) != want || len(rest) < 1+want*objectEntrySize {
			return ObjectIndex{}, fmt.Errorf("object index: wheel %d of object %d does not hold %d entries", wheel, objects, want)
		}
		rest = rest[1+want*objectEntrySize:]
	}
	if len(rest) != 0 {
		return ObjectIndex{}, fmt.Errorf("object index: %d bytes too many", len(rest))
	}
	if err := ix.validate(); err != nil {
		return ObjectIndex{}, err
	}
	return ix, nil
}

// validate checks that the entries follow one another, and that the last one ends
// where the object of the index begins.
func (ix ObjectIndex) validate() error {
	above, at := ix.next, ix.objects // the first version of an object, and its number
	for number, e := range ix.backward() {
		between := at - number - 1 // objects that the index does not have
		gap := above - 1 - e.Version
		switch {
		case e.ID.IsZero():
			return fmt.Errorf("object index: object %d has no ID", number)
		case e.Count == 0 || uint64(e.Count)-1 > e.Version:
			return fmt.Errorf("object index: object %d cannot have %d changesets up to version %d", number, e.Count, e.Version)
		case e.Version >= above || gap < between || gap > between*MaxCount:
			return fmt.Errorf("object index: object %d ends at version %d, and the next one begins at %d", number, e.Version, above)
		}
		above, at = e.Version+1-uint64(e.Count), number
	}
	if above < at {
		return fmt.Errorf("object index: there are %d objects below version %d", at, above)
	}
	return nil
}

// Objects returns the number of objects of format 2 before the object of the index.
func (ix ObjectIndex) Objects() uint64 { return ix.objects }

// Next returns the first version of the object of the index.
func (ix ObjectIndex) Next() uint64 { return ix.next }

// Packed returns the packed form: wheels 0 to 4, each a length byte and then its
// entries, the oldest first. An entry is the number of versions between its object's
// newest changeset and the object of the index (four bytes), the count of its
// object (two bytes), both big-endian, and the ID. It is nil without objects.
func (ix ObjectIndex) Packed() []byte {
	if ix.objects == 0 {
		return nil
	}
	return []byte(ix.packed)
}

// Push returns the index of the next object, given the reference of the object of
// this index, whose First must be Next.
func (ix ObjectIndex) Push(object Ref) ObjectIndex {
	after := ObjectIndex{objects: ix.objects + 1, next: object.Version + 1}
	wheel := 0
	for wheel < objectWheels-1 && objectWheelLen(ix.objects, wheel) == objectBase-1 {
		wheel++
	}
	var b strings.Builder
	b.Grow(len(ix.packed) + objectWheels + objectEntrySize)
	for i := range objectWheels {
		n := objectWheelLen(after.objects, i)
		b.WriteByte(byte(n))
		if i == wheel {
			n--
		}
		if i >= wheel {
			had := objectWheelLen(ix.objects, i)
			for j := had - n; j < had; j++ {
				e := ix.entry(i, j)
				b.Write(encodeEntry(after.next-1-e.Version, e))
			}
		}
		if i == wheel {
			b.Write(encodeEntry(0, Entry{Count: object.Count, ID: object.ID}))
		}
	}
	after.packed = b.String()
	return after
}

func encodeEntry(distance uint64, e Entry) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, objectEntrySize), uint32(distance))
	b = binary.BigEndian.AppendUint16(b, e.Count)
	return append(b, e.ID[:]...)
}

// All yields the objects that the index holds with their numbers, from 0, the oldest
// first.
func (ix ObjectIndex) All() iter.Seq2[uint64, Entry] {
	return func(yield func(uint64, Entry) bool) {
		for wheel := objectWheels - 1; wheel >= 0; wheel-- {
			n := objectWheelLen(ix.objects, wheel)
			for j := range n {
				if !yield(objectNumber(ix.objects, wheel, n, j), ix.entry(wheel, j)) {
					return
				}
			}
		}
	}
}

// backward yields what All yields, the newest object first.
func (ix ObjectIndex) backward() iter.Seq2[uint64, Entry] {
	return func(yield func(uint64, Entry) bool) {
		for wheel := range objectWheels {
			n := objectWheelLen(ix.objects, wheel)
			for j := n - 1; j >= 0; j-- {
				if !yield(objectNumber(ix.objects, wheel, n, j), ix.entry(wheel, j)) {
					return
				}
			}
		}
	}
}

// Nearest returns the oldest object that the index holds which ends at the given
// version or above, and its number. It returns false if there is no such object, as
// for every version from Next() on.
func (ix ObjectIndex) Nearest(version uint64) (number uint64, e Entry, ok bool) {
	for number, e := range ix.All() {
		if e.Version >= version {
			return number, e, true
		}
	}
	return 0, Entry{}, false
}

// Latest returns the object before the object of the index, which every index with
// objects holds.
func (ix ObjectIndex) Latest() (e Entry, ok bool) {
	for _, e := range ix.backward() {
		return e, true
	}
	return Entry{}, false
}

// entry returns the j-th entry of a wheel.
func (ix ObjectIndex) entry(wheel, j int) (e Entry) {
	at := 1 + j*objectEntrySize
	for i := range wheel {
		at += 1 + objectWheelLen(ix.objects, i)*objectEntrySize
	}
	b := []byte(ix.packed[at : at+objectEntrySize])
	e.Version = ix.next - 1 - uint64(binary.BigEndian.Uint32(b))
	e.Count = binary.BigEndian.Uint16(b[4:])
	copy(e.ID[:], b[6:])
	return e
}

// objectWheelLen is the closed form of the odometer: how many entries a wheel of the
// index of an object holds, given the number of objects before it.
func objectWheelLen(objects uint64, wheel int) int {
	q := objects / objectPower[wheel]
	if wheel == objectWheels-1 {
		return int(min(lastObjectWheelLen, q))
	}
	return int(q % objectBase)
}

// objectPower holds the powers of the base.
var objectPower = [objectWheels]uint64{1, 7, 49, 343, 2401}

// objectNumber is the number of the object of the j-th of the n entries of a wheel.
func objectNumber(objects uint64, wheel, n, j int) uint64 {
	q := objects / objectPower[wheel]
	return (q-uint64(n)+uint64(j)+1)*objectPower[wheel] - 1
}

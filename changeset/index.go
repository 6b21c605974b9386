package changeset

import (
	"fmt"
	"iter"
)

// The shape of the index: wheels of an odometer to the base 16. The last one
// keeps its latest 6, which bounds the index at 3*15+6 = 51 IDs.
const (
	wheels       = 4
	wheelBase    = 16
	lastWheelLen = 6
	idSize       = len(ID{})
)

// MaxIndexSize is the largest size of a packed index in bytes: a length byte
// for each wheel, and 51 IDs.
const MaxIndexSize = wheels + ((wheels-1)*(wheelBase-1)+lastWheelLen)*idSize

// Index is the ancestor index of one version: the IDs of some versions below
// it, the nearest ones densely and older ones sparsely, so that a reader finds
// any version in a few steps instead of one for each parent.
//
// It works like an odometer of four wheels to the base 16. Wheel 0 collects
// the IDs of the latest versions; each time a wheel has 16 it is emptied and
// its last ID moves up to the next wheel; the last wheel keeps its latest 6.
// Which versions an index holds thus follows from its own version alone
// ([Index.All]). The parent is always among them.
//
// An Index is an immutable value, comparable and safe for concurrent use. The
// zero Index is the index of version 0, which has no ancestors.
type Index struct {
	version uint64
	packed  string // empty at version 0
}

// ParseIndex reads the packed form of the index of the given version. Wheels
// that do not have the length which the version demands are an error.
func ParseIndex(version uint64, packed []byte) (Index, error) {
	if version == 0 {
		if len(packed) != 0 {
			return Index{}, fmt.Errorf("ancestor index of version 0 has %d bytes", len(packed))
		}
		return Index{}, nil
	}
	rest := packed
	for wheel := range wheels {
		want := wheelLen(version, wheel)
		if len(rest) == 0 || int(rest[0]) != want || len(rest) < 1+want*idSize {
			return Index{}, fmt.Errorf("ancestor index: wheel %d of version %d does not hold %d IDs", wheel, version, want)
		}
		rest = rest[1+want*idSize:]
	}
	if len(rest) != 0 {
		return Index{}, fmt.Errorf("ancestor index: %d bytes too many", len(rest))
	}
	return Index{version, string(packed)}, nil
}

// Version returns the version whose ancestors the index holds.
func (ix Index) Version() uint64 { return ix.version }

// Packed returns the stored form: for each wheel a length byte and then its
// IDs, oldest first; nil at version 0.
func (ix Index) Packed() []byte {
	if ix.version == 0 {
		return nil
	}
	return []byte(ix.packed)
}

// Push returns the index of the next version, given the ID of the changeset
// that has this one: the ID enters the first wheel that it does not fill, and
// those before, whose last ID it follows, are emptied.
func (ix Index) Push(id ID) Index {
	var room [MaxIndexSize]byte
	return Index{ix.version + 1, string(ix.appendNext(room[:0], id))}
}

// follows reports whether ix is what Push returns.
func (ix Index) follows(parent Index, id ID) bool {
	var room [MaxIndexSize]byte
	return ix.version == parent.version+1 && ix.packed == string(parent.appendNext(room[:0], id))
}

// appendNext appends the packed form of the next version's index.
func (ix Index) appendNext(b []byte, id ID) []byte {
	packed := ix.packed
	if packed == "" {
		packed = emptyWheels
	}
	wheel := 0
	for wheel < wheels-1 && wheelLen(ix.version, wheel) == wheelBase-1 {
		wheel++
	}
	n, begin := wheelLen(ix.version, wheel), ix.offset(wheel)
	end := begin + n*idSize
	if wheel == wheels-1 && n == lastWheelLen {
		n, begin = n-1, begin+idSize
	}
	b = append(append(b, emptyWheels[:wheel]...), byte(n+1))
	b = append(append(b, packed[begin:end]...), id[:]...)
	return append(b, packed[end:]...)
}

// emptyWheels is the packed form of wheels without IDs.
const emptyWheels = "\x00\x00\x00\x00"

// All yields the versions and IDs that the index holds, oldest first.
func (ix Index) All() iter.Seq2[uint64, ID] {
	return func(yield func(uint64, ID) bool) {
		for wheel := wheels - 1; wheel >= 0; wheel-- {
			n := wheelLen(ix.version, wheel)
			ids := ix.packed[min(ix.offset(wheel), len(ix.packed)):]
			for j := range n {
				if !yield(wheelVersion(ix.version, wheel, n, j), idAt(ids, j)) {
					return
				}
			}
		}
	}
}

// Nearest returns the lowest version at or above the given one that the index
// holds, and its ID. It returns false if there is no such version, as for every
// version from Version() on.
func (ix Index) Nearest(version uint64) (uint64, ID, bool) {
	for v, id := range ix.All() {
		if v >= version {
			return v, id, true
		}
	}
	return 0, ID{}, false
}

// Parent returns the ID at Version()-1, which every index holds as the last one
// of its first wheel that has any; zero at version 0.
func (ix Index) Parent() ID {
	for wheel := range wheels {
		if n := wheelLen(ix.version, wheel); n > 0 {
			return idAt(ix.packed[ix.offset(wheel):], n-1)
		}
	}
	return ID{}
}

// idAt returns the j-th of packed IDs.
func idAt(ids string, j int) (id ID) {
	copy(id[:], ids[j*idSize:])
	return id
}

// offset returns where the IDs of a wheel begin in the packed form.
func (ix Index) offset(wheel int) int {
	at := 1
	for i := range wheel {
		at += 1 + wheelLen(ix.version, i)*idSize
	}
	return at
}

// wheelLen is the closed form of the odometer: how many IDs a wheel of the
// index of a version holds.
func wheelLen(version uint64, wheel int) int {
	q := version >> (4 * wheel)
	if wheel == wheels-1 {
		return int(min(lastWheelLen, q))
	}
	return int(q % wheelBase)
}

// wheelVersion is the closed form's other half: the version of the j-th of the n IDs of a wheel.
func wheelVersion(version uint64, wheel, n, j int) uint64 {
	q := version >> (4 * wheel)
	return (q-uint64(n)+uint64(j)+1)<<(4*wheel) - 1
}

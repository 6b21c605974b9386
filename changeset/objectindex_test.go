package changeset_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk/changeset"
)

// TestObjectIndexIsItsClosedForm makes one pass over 20,000 objects: what is pushed is
// the closed form over the list of all objects, and packing reads back. (Plain
// comparisons, since it makes so many.)
func TestObjectIndexIsItsClosedForm(t *testing.T) {
	objects, _ := manyObjects(20_000)
	ix, largest := changeset.ObjectIndex{}, 0
	for n := range uint64(len(objects)) {
		packed := packedIndex(n, ix.Next(), func(number uint64) changeset.Ref { return objects[number] })
		if ix.Objects() != n || !slices.Equal(ix.Packed(), packed) {
			t.Fatalf("object %d: the index is not the specification's", n)
		}
		if parsed, err := changeset.ParseObjectIndex(n, ix.Next(), packed); err != nil || parsed != ix {
			t.Fatalf("object %d: %v", n, err)
		}
		if e, ok := ix.Latest(); ok != (n > 0) || ok && e.Ref("order/4711") != objects[n-1] {
			t.Fatalf("object %d: the index does not hold the object before", n)
		}
		largest = max(largest, len(packed))
		ix = ix.Push(objects[n])
	}
	require.Equal(t, 599, largest)
	require.Equal(t, 599, changeset.MaxObjectIndexSize)
}

// TestObjectIndexHoldsWhatTheModelHolds compares with the list of all objects, of any
// sizes and after any number of changesets of format 1.
func TestObjectIndexHoldsWhatTheModelHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ix := changeset.ObjectIndexAt(rapid.OneOf(rapid.Uint64Range(0, 3), rapid.Uint64Range(0, 1<<62)).Draw(t, "versions of format 1"))
		begin := ix.Next()
		var objects []changeset.Ref
		counts := rapid.SliceOfN(rapid.OneOf(rapid.Uint16Range(1, 3), rapid.Uint16Range(1, math.MaxUint16)), 0, 120).Draw(t, "counts")
		repeats := rapid.IntRange(1, 25).Draw(t, "repeats")
		for range repeats {
			for _, count := range counts {
				ref := changeset.Ref{AggregateID: "a", Version: ix.Next() + uint64(count) - 1, ID: id(uint64(len(objects))), Count: count}
				objects, ix = append(objects, ref), ix.Push(ref)
			}
		}
		want := numbersIn(uint64(len(objects)))
		var got []uint64
		for number, e := range ix.All() {
			require.Equal(t, objects[number], e.Ref("a"))
			got = append(got, number)
		}
		require.Equal(t, want, got)
		parsed, err := changeset.ParseObjectIndex(ix.Objects(), ix.Next(), ix.Packed())
		require.NoError(t, err)
		require.Equal(t, ix, parsed)

		version := rapid.Uint64Range(begin, ix.Next()+1).Draw(t, "version")
		if len(want) > 0 && rapid.Bool().Draw(t, "at an end") {
			version = objects[rapid.SampledFrom(want).Draw(t, "object")].Version + rapid.Uint64Range(0, 1).Draw(t, "after it")
		}
		at := slices.IndexFunc(want, func(number uint64) bool { return objects[number].Version >= version })
		number, e, ok := ix.Nearest(version)
		require.Equal(t, at >= 0, ok)
		if ok {
			require.Equal(t, want[at], number)
			require.Equal(t, objects[number], e.Ref("a"))
		}
	})
}

// TestRoundsToReadPacks counts the rounds of parallel reads that bring a whole history:
// the head, what its index holds, what the indexes just read hold, and so on.
func TestRoundsToReadPacks(t *testing.T) {
	for n, want := range map[int]int{0: 1, 1: 2, 10: 3, 63: 4, 200: 4, 1000: 5, 4000: 6, 20_000: 8} {
		known, rounds := make([]bool, n), 1
		for front := numbersIn(uint64(n)); len(front) > 0; rounds++ {
			var next []uint64
			for _, number := range front {
				known[number] = true
			}
			for _, number := range front {
				for _, held := range numbersIn(number) {
					if !known[held] {
						known[held] = true
						next = append(next, held)
					}
				}
			}
			front = next
		}
		require.Equal(t, want, rounds, "%d packs", n)
		require.NotContains(t, known, false)
	}
}

func TestObjectIndexOfAnotherShapeIsCorrupt(t *testing.T) {
	for _, n := range []int{1, 6, 7, 48, 49, 343, 2401, 3*2401 - 1, 7203, 9604, 20_000} {
		_, ix := manyObjects(n)
		objects, next, packed := ix.Objects(), ix.Next(), ix.Packed()
		requireNoIndex := func(objects, next uint64, packed []byte) {
			t.Helper()
			got, err := changeset.ParseObjectIndex(objects, next, packed)
			require.Error(t, err, "%d objects", n)
			require.Zero(t, got)
		}
		for size := range packed {
			requireNoIndex(objects, next, packed[:size])
		}
		requireNoIndex(objects, next, append(bytes.Clone(packed), 0))
		requireNoIndex(objects-1, next, packed)
		requireNoIndex(objects+1, next, packed)
		requireNoIndex(objects, 0, packed)
		requireNoIndex(objects, objects-1, packed)
		requireNoIndex(math.MaxUint64, next, packed)
		at := 0
		for wheel := range 5 { // another count of entries before as many bytes
			flipped := bytes.Clone(packed)
			flipped[at] ^= 1
			requireNoIndex(objects, next, flipped)
			at += 1 + 22*len(numbersOnWheel(objects, wheel))
		}
	}
	for _, objects := range []uint64{0, 1, 1 << 32, 1 << 63, math.MaxUint64} {
		_, err := changeset.ParseObjectIndex(objects, objects, []byte{0})
		require.Error(t, err)
	}
}

// TestObjectIndexOfImpossibleObjectsIsCorrupt changes one entry of an index of 10
// objects, which has the objects 6 to 9.
func TestObjectIndexOfImpossibleObjectsIsCorrupt(t *testing.T) {
	_, ix := manyObjects(10)
	newest, oldest := 1+2*22, 1+3*22+1 // the places of the entries of the objects 9 and 6
	put := func(at int, distance uint32, count uint16) func([]byte) {
		return func(b []byte) {
			binary.BigEndian.PutUint32(b[at:], distance)
			binary.BigEndian.PutUint16(b[at+4:], count)
		}
	}
	for what, change := range map[string]func([]byte){
		"as it is":                             put(newest, 0, 5),
		"a gap after the newest object":        put(newest, 1, 4),
		"an object beyond the next one":        put(newest, math.MaxUint32, 5),
		"no changesets":                        put(newest, 0, 0),
		"two objects that overlap":             put(newest, 0, 6),
		"a gap between two objects":            put(newest, 0, 4),
		"more changesets than versions":        put(oldest, 12, 19),
		"too many objects below the oldest":    put(oldest, 12, 13),
		"a place of its own for no ID":         func(b []byte) { clear(b[newest+6 : newest+22]) },
		"the oldest object below version zero": put(oldest, 30, 1),
	} {
		packed := ix.Packed()
		change(packed)
		_, err := changeset.ParseObjectIndex(10, ix.Next(), packed)
		require.Equal(t, what == "as it is", err == nil, "%s: %v", what, err)
	}
	_, ix = manyObjects(49) // holds object 48 alone
	for distance, ok := range map[uint32]bool{0: true, 1: false} {
		packed := ix.Packed()
		binary.BigEndian.PutUint32(packed[3:], distance)
		_, err := changeset.ParseObjectIndex(49, ix.Next(), packed)
		require.Equal(t, ok, err == nil)
	}
}

// TestObjectIndexLeavesRoomForWhatItLacks moves object 6 up to object 13, the next one
// that the index of 20 objects holds: no version is left for the six between.
func TestObjectIndexLeavesRoomForWhatItLacks(t *testing.T) {
	objects, ix := manyObjects(20)
	place := bytes.Index(ix.Packed(), objects[6].ID[:]) - 6
	for versions, ok := range map[uint64]bool{0: false, 5: false, 6: true, 7: true} {
		packed := ix.Packed()
		binary.BigEndian.PutUint32(packed[place:], uint32(ix.Next()-(objects[13].First()-versions)))
		_, err := changeset.ParseObjectIndex(20, ix.Next(), packed)
		require.Equal(t, ok, err == nil, "%d versions: %v", versions, err)
	}
}

func TestObjectIndexStopsWhenTheLoopBreaks(t *testing.T) {
	_, ix := manyObjects(300)
	for number := range ix.All() {
		require.Equal(t, numbersIn(300)[0], number)
		break
	}
	_, _, ok := changeset.ObjectIndexAt(7).Nearest(0)
	require.False(t, ok)
	_, ok = changeset.ObjectIndexAt(7).Latest()
	require.False(t, ok)
	require.Nil(t, changeset.ObjectIndexAt(7).Packed())
}

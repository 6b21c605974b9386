package changeset_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk/changeset"
)

// One pass over every version to 100,000: push, the model's push and the
// closed form are the same, and packing reads back. (Plain comparisons, since
// this makes half a million of them.)
func TestIndexIsItsClosedForm(t *testing.T) {
	var ix changeset.Index
	var pushed model
	largest := 0
	for v := uint64(0); v <= 100_000; v++ {
		form := closed(v)
		packed := form.packed()
		if v == 0 {
			packed = nil
		}
		if !slices.EqualFunc(form[:], pushed[:], slices.Equal) {
			t.Fatalf("version %d: the specification's closed form is not its push", v)
		}
		if ix.Version() != v || !slices.Equal(ix.Packed(), packed) {
			t.Fatalf("version %d: the index is not the specification's", v)
		}
		if parsed, err := changeset.ParseIndex(v, packed); err != nil || parsed != ix {
			t.Fatalf("version %d: %v", v, err)
		}
		if v > 0 && ix.Parent() != id(v-1) {
			t.Fatalf("version %d: the parent is not in the index", v)
		}
		largest = max(largest, len(packed))
		ix = ix.Push(id(v))
		pushed.push(id(v))
	}
	require.Equal(t, 820, largest)
	require.Equal(t, 820, changeset.MaxIndexSize)
}

// versionsIn returns the versions that an index holds, by the closed form.
func versionsIn(v uint64) []uint64 {
	var versions []uint64
	for i := 3; i >= 0; i-- {
		q := v >> (4 * i)
		n := q & 15
		if i == 3 {
			n = min(6, q)
		}
		for j := uint64(1); j <= n; j++ {
			versions = append(versions, (q-n+j)<<(4*i)-1)
		}
	}
	return versions
}

func TestIndexYieldsItsVersionsAndTheNearest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.OneOf(rapid.Uint64Range(0, 70_000), rapid.Uint64()).Draw(t, "version")
		ix, want := changeset.Index{}, versionsIn(v)
		if v > 0 {
			form := closed(v)
			var err error
			ix, err = changeset.ParseIndex(v, form.packed())
			require.NoError(t, err)
		}
		var got []uint64
		for held, ancestor := range ix.All() {
			require.Equal(t, id(held), ancestor)
			got = append(got, held)
		}
		require.Equal(t, want, got)
		require.True(t, slices.IsSorted(got))

		target := rapid.OneOf(rapid.Uint64Range(0, v), rapid.Uint64()).Draw(t, "target")
		if len(want) > 0 && rapid.Bool().Draw(t, "at an ancestor") {
			target = rapid.SampledFrom(want).Draw(t, "ancestor") + rapid.Uint64Range(0, 1).Draw(t, "behind it")
		}
		at := slices.IndexFunc(want, func(held uint64) bool { return held >= target })
		nearest, ancestor, ok := ix.Nearest(target)
		require.Equal(t, at >= 0, ok)
		if ok {
			require.Equal(t, want[at], nearest)
			require.Equal(t, id(nearest), ancestor)
		}
	})
}

func TestIndexStopsWhenTheLoopBreaks(t *testing.T) {
	for v, ancestor := range indexOf(t, 300).All() {
		require.Equal(t, uint64(255), v)
		require.Equal(t, id(255), ancestor)
		break
	}
}

func TestIndexOfOtherLengthsIsCorrupt(t *testing.T) {
	for _, v := range []uint64{1, 15, 16, 17, 255, 256, 4095, 4096, 6*4096 - 1, 6 * 4096, 100_000, 1<<64 - 1} {
		form := closed(v)
		packed := form.packed()
		for n := range packed {
			_, err := changeset.ParseIndex(v, packed[:n])
			require.Error(t, err, "version %d, %d bytes", v, n)
		}
		_, err := changeset.ParseIndex(v, append(slices.Clone(packed), 0))
		require.ErrorContains(t, err, "too many")
		for wheel := range 4 {
			for n := range 20 {
				other := form
				other[wheel] = make([]changeset.ID, n)
				_, err := changeset.ParseIndex(v, other.packed())
				require.Equal(t, n == len(form[wheel]), err == nil, "version %d, wheel %d, %d IDs", v, wheel, n)
			}
		}
		_, err = changeset.ParseIndex(v-1, packed)
		require.Error(t, err, "another version")
		at := 0
		for wheel := range 4 { // as many bytes as there should be, but another number before them
			flipped := slices.Clone(packed)
			flipped[at] ^= 1
			_, err := changeset.ParseIndex(v, flipped)
			require.Error(t, err, "version %d, wheel %d", v, wheel)
			at += 1 + 16*len(form[wheel])
		}
	}
	_, err := changeset.ParseIndex(0, []byte{0})
	require.Error(t, err, "version 0 has no ancestors")
}

// indexes returns the indexes of all versions to n.
func indexes(n int) []changeset.Index {
	all := make([]changeset.Index, n+1)
	for v := range n {
		all[v+1] = all[v].Push(id(uint64(v)))
	}
	return all
}

// readsToLocate counts the metadata reads from the index of version n to the
// ID of an older version.
func readsToLocate(t *testing.T, n, target uint64, nearest func(v, target uint64) uint64) int {
	for reads, at := 0, n; ; reads++ {
		next := nearest(at, target)
		if next == target {
			return reads
		}
		if next < target || next >= at {
			t.Fatalf("index %d leads to %d on the way to %d", at, next, target)
		}
		at = next
	}
}

func TestReadsToLocateAVersion(t *testing.T) {
	all := indexes(100_000)
	nearest := func(v, target uint64) uint64 {
		found, _, _ := all[v].Nearest(target)
		return found
	}
	for n, want := range map[uint64]int{15: 0, 255: 1, 4095: 2, 65_535: 5, 100_000: 6} {
		most := 0
		for target := range n {
			most = max(most, readsToLocate(t, n, target, nearest))
		}
		require.Equal(t, want, most, "%d changesets", n)
	}
}

func TestEach24576VersionsFurtherBackCostOneReadMore(t *testing.T) {
	nearest := func(v, target uint64) uint64 {
		versions := versionsIn(v)
		i, _ := slices.BinarySearch(versions, target)
		return versions[i]
	}
	const n = 1_000_000
	for target := uint64(0); target < n; target += 997 {
		require.LessOrEqual(t, readsToLocate(t, n, target, nearest), 3+int(n-target)/24_576, "version %d", target)
	}
}

// A history is found in this many rounds of parallel reads: the first reads
// what the head's index holds, each next one what the indexes just read hold.
func TestRoundsToReadAHistory(t *testing.T) {
	all := indexes(4096)
	rounds := func(n int) int {
		known := make([]int, n+1) // the round that reads a version; the head is read in round 0
		last := 0
		for v := n; v >= 0; v-- { // newer ones first: each is known through newer ones only
			for held := range all[v].All() {
				if known[held] == 0 {
					known[held] = known[v] + 1
				}
				known[held] = min(known[held], known[v]+1)
			}
			last = max(last, known[v])
		}
		return last
	}
	log16 := func(n int) (floor int) {
		for ; n >= 16; n /= 16 {
			floor++
		}
		return floor
	}
	for n := 1; n < 4096; n += 1 + n/100 {
		require.Equal(t, 1+log16(n), rounds(n), "%d changesets", n)
	}
	require.Equal(t, 3, rounds(4095))
}

package changeset_test

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
)

// slowIndex is an object index as DESIGN.md describes it: five wheels of numbers of
// objects.
type slowIndex [5][]uint64

func (w *slowIndex) push(number uint64) {
	for i := range w {
		w[i] = append(w[i], number)
		switch {
		case i == len(w)-1:
			w[i] = w[i][max(0, len(w[i])-3):]
			return
		case len(w[i]) < 7:
			return
		}
		w[i] = nil
	}
}

// TestObjectIndexAgainstAList pushes objects of random sizes, and holds the index to a
// list of all objects and to the wheels of the design.
func TestObjectIndexAgainstAList(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	ix := changeset.ObjectIndexAt(5)
	var all []changeset.Entry
	var slow slowIndex
	for number := range uint64(20_000) {
		count := uint16(1 + r.IntN(300))
		e := changeset.Entry{Version: ix.Next() + uint64(count) - 1, Count: count, ID: id(number)}
		ix = ix.Push(e.Ref("order-1"))
		all = append(all, e)
		slow.push(number)
		if number > 60 && r.IntN(40) > 0 {
			continue
		}
		var want []uint64
		for _, wheel := range slices.Backward(slow[:]) {
			want = append(want, wheel...)
		}
		var held []uint64
		for n, e := range ix.All() {
			held = append(held, n)
			require.Equal(t, all[n], e)
		}
		require.Equal(t, want, held)
		requireNearest(t, ix, all, held, r)
		again, err := changeset.ParseObjectIndex(ix.Objects(), ix.Next(), ix.Packed())
		require.NoError(t, err)
		require.Equal(t, ix, again)
	}
}

// requireNearest compares what an index finds with what it holds.
func requireNearest(t *testing.T, ix changeset.ObjectIndex, all []changeset.Entry, held []uint64, r *rand.Rand) {
	t.Helper()
	version := r.Uint64N(ix.Next())
	n, e, ok := ix.Nearest(version)
	i := slices.IndexFunc(held, func(n uint64) bool { return all[n].Version >= version })
	require.True(t, ok)
	require.Equal(t, held[i], n)
	require.Equal(t, all[n], e)
	_, _, ok = ix.Nearest(ix.Next())
	require.False(t, ok)
	latest, ok := ix.Latest()
	require.True(t, ok)
	require.Equal(t, all[len(all)-1], latest)
}

// TestRoundTripsOfObjectIndexes counts the rounds in which all objects can be read, each
// object's index leading to others, with the round of the head.
func TestRoundTripsOfObjectIndexes(t *testing.T) {
	indexes := []changeset.ObjectIndex{{}}
	for number := range uint64(20_000) {
		ix := indexes[number]
		indexes = append(indexes, ix.Push(changeset.Entry{Version: number, Count: 1, ID: id(number)}.Ref("order-1")))
	}
	for n, want := range map[int]int{10: 3, 63: 4, 200: 4, 1_000: 5, 4_000: 6, 20_000: 8} {
		known, rounds := map[uint64]bool{}, 1
		for front := []uint64{uint64(n)}; ; rounds++ {
			var learned []uint64
			for _, number := range front {
				for at := range indexes[number].All() {
					if !known[at] {
						known[at], learned = true, append(learned, at)
					}
				}
			}
			if front = learned; len(front) == 0 {
				break
			}
		}
		require.Len(t, known, n)
		require.Equal(t, want, rounds, n)
	}
}

// TestMetadataOfObjectsFits encodes the largest metadata of an object, for every number
// of objects before it up to 20,000, and for the largest.
func TestMetadataOfObjectsFits(t *testing.T) {
	c := worstAlone(t)
	largest := 0
	ix := changeset.ObjectIndexAt(math.MaxUint64 - 1<<40)
	measure := func(ix changeset.ObjectIndex) {
		c.Pack.Index, c.Version = ix, ix.Next()
		m, err := changeset.Encode(c.Header, changeset.Hyphenated)
		require.NoError(t, err)
		size := 0
		for key, value := range m {
			size += len("x-amz-meta-") + len(key) + len(value)
		}
		largest = max(largest, size)
		require.LessOrEqual(t, size, 2048, ix.Objects())
	}
	for number := range uint64(20_000) {
		measure(ix)
		ix = ix.Push(changeset.Entry{Version: ix.Next() + changeset.MaxCount - 1, Count: changeset.MaxCount, ID: id(number)}.Ref("order-1"))
	}
	measure(fullest(t))
	require.Equal(t, 1845, largest, "DESIGN.md says so")
}

// worstAlone is an object alone with as much metadata as there can be.
func worstAlone(t *testing.T) changeset.Changeset {
	t.Helper()
	user := make([]byte, changeset.MaxMetadata-2)
	for i := range user {
		user[i] = 'u'
	}
	command := make([]byte, changeset.MaxCommandID)
	for i := range command {
		command[i] = 'c'
	}
	aggregate := make([]byte, changeset.MaxAggregateID)
	for i := range aggregate {
		aggregate[i] = 'a'
	}
	parent := changeset.Header{Ref: changeset.Ref{AggregateID: string(aggregate), ID: id(1)}, Digest: changeset.Digest{1}}
	sealed, err := changeset.Seal(changeset.Changeset{Body: []byte("body"), Header: changeset.Header{
		Ref: changeset.Ref{AggregateID: string(aggregate), Version: 1, ID: id(2)}, AfterRevision: math.MaxUint64, ContentType: "text/plain",
		Encoding: changeset.EncodingZstd, RecordedAt: time.Date(2026, 1, 1, 0, 0, 0, 1, time.UTC), CommandID: string(command),
		Metadata: map[string]string{"k": string(user)},
	}}, parent)
	require.NoError(t, err)
	c := changeset.Alone(sealed, changeset.ObjectIndexAt(1), parent)
	c.Part = changeset.Part{Number: 256, Of: 256}
	return c
}

// fullest is an index with all 27 entries, of objects of one changeset each, whose
// number has 20 digits.
func fullest(t *testing.T) changeset.ObjectIndex {
	t.Helper()
	const objects = math.MaxUint64/2401*2401 - 1
	var packed []byte
	for i, power := range []uint64{1, 7, 49, 343, 2401} {
		n := objects / power % 7
		if i == 4 {
			n = 3
		}
		packed = append(packed, byte(n))
		for j := range n {
			number := (objects/power-n+j+1)*power - 1
			packed = binary.BigEndian.AppendUint32(packed, uint32(objects-1-number))
			held := id(number)
			packed = append(binary.BigEndian.AppendUint16(packed, 1), held[:]...)
		}
	}
	require.Len(t, packed, changeset.MaxObjectIndexSize)
	ix, err := changeset.ParseObjectIndex(objects, math.MaxUint64-1, packed)
	require.NoError(t, err)
	return ix
}

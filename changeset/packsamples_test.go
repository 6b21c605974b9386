package changeset_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
)

// before is the parent of the lines in these tests: the changeset at version 41.
var before = changeset.Header{Ref: changeset.Ref{AggregateID: "order/4711", Version: 41, ID: id(41)}, Digest: changeset.Digest{1}}

// seal seals content after a parent. It fills in what the test does not care about.
func seal(t testing.TB, parent changeset.Header, h changeset.Header, content string) changeset.Changeset {
	t.Helper()
	if !parent.ID.IsZero() {
		h.Version = parent.Version + 1
	}
	h.AggregateID, h.ID = parent.AggregateID, id(h.Version)
	if h.ContentType == "" {
		h.ContentType = changeset.DefaultContentType
	}
	if h.AfterRevision == 0 {
		h.AfterRevision = h.Version + 1
	}
	if h.RecordedAt.IsZero() {
		h.RecordedAt = time.Date(2026, 11, 21, 0, 31, 2, 0, time.UTC)
	}
	c, err := changeset.Seal(changeset.Changeset{Header: h, Content: []byte(content)}, parent)
	require.NoError(t, err)
	return c
}

// sealedLines are changesets after a parent: without a field that can be absent, with
// every field, with every kind of content and escape, and two of one append.
func sealedLines(t testing.TB, parent changeset.Header) []changeset.Changeset {
	t.Helper()
	var all []changeset.Changeset
	add := func(h changeset.Header, content string) {
		all = append(all, seal(t, parent, h, content))
		parent = all[len(all)-1].Header
	}
	add(changeset.Header{}, "")
	add(changeset.Header{
		ContentType: `application/json; charset="utf-8"`, CommandID: "cmd 1",
		RecordedAt: time.Date(2026, 11, 21, 0, 31, 7, 123456789, time.UTC),
		Metadata:   map[string]string{"trace": "00-4bf9", "a key": "a=b&c", "Z": ""},
	}, `{"type":"shipped","to":"Straße <5> & \"\\"}`)
	later := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	add(changeset.Header{AfterRevision: 10_000, RecordedAt: later, Part: changeset.Part{Number: 1, Of: 2}, CommandID: "k"}, "\x00\x1f\b\f\n\r\t\x7f\u0085\u2028\u2029/é\U0001f600\ufffd")
	add(changeset.Header{AfterRevision: 10_000, RecordedAt: later, Part: changeset.Part{Number: 2, Of: 2}}, "\xff\x00\xfe\xed")
	add(changeset.Header{AfterRevision: math.MaxUint64, RecordedAt: later, ContentType: "text/plain"}, strings.Repeat("0123456789 no escapes ", 5))
	return all
}

// linesOf returns the lines of changesets.
func linesOf(all []changeset.Changeset) string {
	var text []byte
	for _, c := range all {
		text = changeset.AppendLine(text, c)
	}
	return string(text)
}

// pack is an object of format 2, and what is in it.
type pack struct {
	name       string
	object     changeset.Changeset
	parent     changeset.Header
	changesets []changeset.Changeset
}

// packs are objects: the first of a new chain, one of lines and one alone after others,
// and one after a chain of format 1.
func packs(t testing.TB) []pack {
	t.Helper()
	first := changeset.Header{Ref: changeset.Ref{AggregateID: "order/4711"}}
	_, index := manyObjects(60)
	after := changeset.Header{Ref: changeset.Ref{AggregateID: "order/4711", Version: index.Next() - 1, ID: id(7)}, Digest: changeset.Digest{2}}
	alone := seal(t, after, changeset.Header{
		ContentType: "text/plain", CommandID: "cmd 1", Part: changeset.Part{Number: 1, Of: 2}, Metadata: map[string]string{"k": "a b"},
	}, "content of more than 1 MiB")
	return []pack{
		packOf(t, "first", first, changeset.ObjectIndex{}),
		packOf(t, "after others", after, index),
		packOf(t, "after format 1", before, changeset.ObjectIndexAt(42)),
		{"alone", changeset.Alone(alone, index, after), after, []changeset.Changeset{alone}},
		aloneCompressed(t, first),
	}
}

func packOf(t testing.TB, name string, parent changeset.Header, index changeset.ObjectIndex) pack {
	t.Helper()
	all := sealedLines(t, parent)
	last := all[len(all)-1].Header
	return pack{name, changeset.NewPack(id(1000), math.MaxUint64, index, parent, last, []byte(linesOf(all))), parent, all}
}

// aloneCompressed is an object of one changeset, whose body is not its content.
func aloneCompressed(t testing.TB, parent changeset.Header) pack {
	t.Helper()
	body := zstdFrame(1000, 1000)
	c, err := changeset.Seal(changeset.Changeset{
		Header: changeset.Header{
			Ref: changeset.Ref{AggregateID: parent.AggregateID, ID: id(0)}, ContentType: changeset.DefaultContentType,
			RecordedAt: time.Date(2026, 11, 21, 0, 31, 2, 0, time.UTC), Encoding: "zstd", BodySHA256: sha256.Sum256(body),
		},
		Content: []byte(strings.Repeat("a", 1000)), Body: body,
	}, parent)
	require.NoError(t, err)
	return pack{"alone and compressed", changeset.Alone(c, changeset.ObjectIndex{}, parent), parent, []changeset.Changeset{c}}
}

// storedPack is what a service would answer for an object of format 2.
func storedPack(t testing.TB, o changeset.Changeset, spelling changeset.KeyStyle) changeset.Stored {
	t.Helper()
	return stored(t, sample{changeset: o}, spelling)
}

// packedDigest is the specification's digest of format 2, field by field.
func packedDigest(parent changeset.Header, first bool, header string, content []byte) changeset.Digest {
	present := func(b []byte) []byte { return append(binary.BigEndian.AppendUint32([]byte{1}, uint32(len(b))), b...) }
	previous := []byte{0}
	if !first {
		previous = present(parent.Digest[:])
	}
	sum := sha256.Sum256(content)
	return sha256.Sum256(bytes.Join([][]byte{
		present([]byte("ropewalk/2")), present([]byte(parent.AggregateID)), previous, present([]byte(header)), present(sum[:]),
	}, nil))
}

// objectAt is the object of a number in these tests, of which each holds 1 to 5
// changesets after the objects before.
func objectAt(number, first uint64) changeset.Ref {
	count := number%5 + 1
	return changeset.Ref{AggregateID: "order/4711", Version: first + count - 1, ID: id(number), Count: uint16(count)}
}

// manyObjects returns that many objects, the oldest first, and the index of the next one.
func manyObjects(n int) (objects []changeset.Ref, ix changeset.ObjectIndex) {
	for number := range uint64(n) {
		objects = append(objects, objectAt(number, ix.Next()))
		ix = ix.Push(objects[number])
	}
	return objects, ix
}

// numbersIn returns the numbers of the objects that the index of an object holds, the
// oldest first, given how many objects are before it.
func numbersIn(objects uint64) (numbers []uint64) {
	for wheel := 4; wheel >= 0; wheel-- {
		numbers = append(numbers, numbersOnWheel(objects, wheel)...)
	}
	return numbers
}

// numbersOnWheel is the closed form of the specification.
func numbersOnWheel(objects uint64, wheel int) (numbers []uint64) {
	power := uint64(math.Pow(7, float64(wheel)))
	q := objects / power
	k := q % 7
	if wheel == 4 {
		k = min(3, q)
	}
	for j := uint64(1); j <= k; j++ {
		numbers = append(numbers, (q-k+j)*power-1)
	}
	return numbers
}

// packedIndex is the specification's packed form of the index of an object, given how
// many objects are before it, its first version, and the objects by their numbers.
func packedIndex(objects, next uint64, object func(number uint64) changeset.Ref) (b []byte) {
	if objects == 0 {
		return nil
	}
	for wheel := range 5 {
		numbers := numbersOnWheel(objects, wheel)
		b = append(b, byte(len(numbers)))
		for _, number := range numbers {
			o := object(number)
			b = binary.BigEndian.AppendUint32(b, uint32(next-1-o.Version))
			b = binary.BigEndian.AppendUint16(b, o.Count)
			b = append(b, o.ID[:]...)
		}
	}
	return b
}

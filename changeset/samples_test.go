package changeset_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
)

var update = flag.Bool("update", false, "write the golden files anew")

// requireGolden compares a text with the golden file of that name.
func requireGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "go test -update writes it anew; a format never changes, though")
}

// id is the ID that the changeset at a version has in these tests.
func id(version uint64) changeset.ID {
	ms := [8]byte{0x01, 0x99, 0x1f, 0x3c, 0x8a, 0x4e, 0x70, 0x00}
	made := changeset.ID{8: 0x80 | byte(version>>56)&0x3f}
	copy(made[:8], ms[:])
	for i := 9; i < 16; i++ {
		made[i] = byte(version >> (8 * (15 - i)))
	}
	return made
}

// model is the odometer of the specification with plain slices.
type model [4][]changeset.ID

// push is the specification's push, word for word.
func (ix *model) push(id changeset.ID) {
	for i := range 4 {
		ix[i] = append(ix[i], id)
		if i == 3 {
			ix[i] = ix[i][max(0, len(ix[i])-6):]
			return
		}
		if len(ix[i]) < 16 {
			return
		}
		ix[i] = nil
	}
}

// closed is the specification's closed form.
func closed(v uint64) model {
	var ix model
	for i := range 4 {
		q := v >> (4 * i)
		n := q & 15
		if i == 3 {
			n = min(6, q)
		}
		for j := uint64(1); j <= n; j++ {
			ix[i] = append(ix[i], id((q-n+j)<<(4*i)-1))
		}
	}
	return ix
}

// packed is the specification's packed form.
func (ix *model) packed() []byte {
	var b []byte
	for _, wheel := range ix {
		b = append(b, byte(len(wheel)))
		for _, id := range wheel {
			b = append(b, id[:]...)
		}
	}
	return b
}

// indexOf returns the index of any version.
func indexOf(t testing.TB, version uint64) changeset.Index {
	t.Helper()
	if version == 0 {
		return changeset.Index{}
	}
	ix := closed(version)
	parsed, err := changeset.ParseIndex(version, ix.packed())
	require.NoError(t, err)
	return parsed
}

// sample is a changeset whose digest is computed apart from the library, from
// texts that are written out by hand.
type sample struct {
	name                   string
	changeset              changeset.Changeset
	parent                 changeset.Digest
	recordedAt, part, user string
}

// samples cover every field present and absent, and every limit.
func samples(t testing.TB) []sample {
	t.Helper()
	first := changeset.Header{
		Ref:         changeset.Ref{AggregateID: "order-4711", ID: id(0)},
		ContentType: "application/octet-stream",
		RecordedAt:  time.Date(2026, 11, 21, 0, 31, 2, 0, time.UTC),
	}
	middle := changeset.Header{
		Ref: changeset.Ref{AggregateID: "Straße/№ 5", Version: 1000}, AfterRevision: 742,
		ContentType: "application/json; charset=utf-8",
		RecordedAt:  time.Date(2026, 11, 21, 1, 31, 7, 123456789, time.FixedZone("CET", 3600)),
		CommandID:   "cmd 1",
		Metadata:    map[string]string{"trace": "00-4bf9", "a key": "a=b&c", "Z": ""},
	}
	part := changeset.Header{
		Ref: changeset.Ref{AggregateID: "a", Version: 17}, AfterRevision: 9, ContentType: "text/plain",
		RecordedAt: time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC), CommandID: "k", Part: changeset.Part{Number: 2, Of: 3},
	}
	worst := changeset.Header{
		Ref:           changeset.Ref{AggregateID: strings.Repeat("é", 21) + "ab", Version: math.MaxUint64 - 4096},
		AfterRevision: math.MaxUint64, ContentType: strings.Repeat("t", 128),
		RecordedAt: time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC), CommandID: strings.Repeat(".", 21) + "c",
		Part: changeset.Part{Number: 256, Of: 256}, Metadata: map[string]string{strings.Repeat("k", 95): strings.Repeat("v", 96)},
	}
	compressed := first
	compressed.ContentType, compressed.Encoding = "text/plain", "zstd"
	return []sample{
		newSample(t, "version 0", first, "", sample{recordedAt: "2026-11-21T00:31:02.000000000Z"}),
		newSample(t, "in the middle", middle, `{"type":"shipped"}`, sample{
			recordedAt: "2026-11-21T00:31:07.123456789Z", user: "Z=&a%20key=a%3Db%26c&trace=00-4bf9",
		}),
		newSample(t, "part of a batch", part, "\x00", sample{recordedAt: "0001-01-01T00:00:00.000000001Z", part: "2/3"}),
		newSample(t, "worst case", worst, "w", sample{
			recordedAt: "9999-12-31T23:59:59.999999999Z", part: "256/256",
			user: strings.Repeat("k", 95) + "=" + strings.Repeat("v", 96),
		}),
		newSample(t, "compressed", compressed, string(zstdFrame(1000, 1000)), sample{recordedAt: "2026-11-21T00:31:02.000000000Z"}),
	}
}

func newSample(t testing.TB, name string, h changeset.Header, content string, s sample) sample {
	t.Helper()
	s.name = name
	if h.Version > 0 {
		h.ID, h.Parent, h.Ancestors = id(h.Version), id(h.Version-1), indexOf(t, h.Version)
		s.parent = sha256.Sum256([]byte("the parent"))
	}
	h.BodySize, h.BodySHA256 = int64(len(content)), sha256.Sum256([]byte(content))
	s.changeset = changeset.Changeset{Header: h, Body: []byte(content)}
	s.changeset.Digest = s.digest()
	return s
}

// digest is the specification's chain digest, field by field.
func (s sample) digest() changeset.Digest {
	h := s.changeset.Header
	present := func(b []byte) []byte {
		n := len(b)
		return append([]byte{1, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, b...)
	}
	ifAny := func(text string) []byte {
		if text == "" {
			return []byte{0}
		}
		return present([]byte(text))
	}
	number := func(n uint64) []byte { return present(binary.BigEndian.AppendUint64(nil, n)) }
	parent, previous, ancestors := []byte{0}, []byte{0}, []byte{0}
	if h.Version > 0 {
		ix := closed(h.Version)
		parentID := id(h.Version - 1)
		parent, previous, ancestors = present(parentID[:]), present(s.parent[:]), present(ix.packed())
	}
	sum := sha256.Sum256(s.changeset.Body)
	return sha256.Sum256(bytes.Join([][]byte{
		present([]byte("ropewalk/1")), present([]byte(h.AggregateID)), number(h.Version), present(h.ID[:]),
		parent, previous, number(h.AfterRevision), present([]byte(s.recordedAt)), ifAny(h.CommandID), ifAny(s.part),
		present([]byte(h.ContentType)),
		ifAny(h.Encoding),
		ifAny(s.user), ancestors, present(sum[:]),
	}, nil))
}

// zstdFrame is a frame made by hand (RFC 8878): it states one size, and holds
// runs of the letter a.
func zstdFrame(stated uint32, runs ...uint32) []byte {
	b := binary.LittleEndian.AppendUint32([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xa0}, stated) // a single segment, its size in 4 bytes
	for i, run := range runs {
		header := run<<3 | 1<<1
		if i == len(runs)-1 {
			header |= 1 // the last block
		}
		b = append(b, byte(header), byte(header>>8), byte(header>>16), 'a')
	}
	return b
}

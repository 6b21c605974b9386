package changeset_test

import (
	"bytes"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
)

// binarySamples are headers at versions around the turns of the wheels, besides the
// samples that have a binary form.
func binarySamples(t testing.TB) (headers []changeset.Header) {
	t.Helper()
	for _, s := range samples(t) {
		if _, ok := changeset.EncodeBinary(s.changeset.Header, true); ok {
			headers = append(headers, s.changeset.Header)
		}
	}
	require.Len(t, headers, 3)
	h := headers[0]
	for _, version := range []uint64{1, 15, 16, 17, 18, 31, 32, 255, 256, 257, 4095, 4096, 4111, 70000, math.MaxUint64 - 1} {
		h.Version, h.ID, h.Parent, h.Ancestors = version, id(version), id(version-1), indexOf(t, version)
		h.AfterRevision = version
		for i, contentType := range []string{"application/json", "application/x-ndjson", "x", "application/octet-stream"} {
			h.ContentType, h.Part = contentType, changeset.Part{}
			if i == 1 {
				h.Part = changeset.Part{Number: 1, Of: 256}
			}
			headers = append(headers, h)
		}
	}
	return headers
}

func storedAs(h changeset.Header) changeset.Stored {
	return changeset.Stored{Ref: h.Ref, Object: "mem://the-object", Size: h.BodySize}
}

// utc returns the header as a decoder returns it.
func utc(h changeset.Header) changeset.Header {
	h.RecordedAt = h.RecordedAt.UTC()
	return h
}

func TestBinary(t *testing.T) {
	for _, h := range binarySamples(t) {
		whole, ok := changeset.EncodeBinary(h, true)
		require.True(t, ok)
		got, err := changeset.DecodeBinary(storedAs(h), whole, "")
		require.NoError(t, err, h.Ref)
		require.Equal(t, utc(h), got)

		without, ok := changeset.EncodeBinary(h, false)
		require.True(t, ok)
		bases, shares := h.Bases()
		require.Equal(t, h.Version > 16 && h.Version%16 >= 2, shares, h.Ref)
		if !shares {
			require.Equal(t, whole, without, h.Ref)
			continue
		}
		for i, base := range bases {
			version := h.Version - h.Version%16 + uint64(i)
			require.Equal(t, changeset.Ref{AggregateID: h.AggregateID, Version: version, ID: id(version)}, base)
			require.True(t, base.IsBase())
		}
		got, err = changeset.DecodeBinary(storedAs(h), without, h.Ancestors.Upper())
		require.NoError(t, err, h.Ref)
		require.Equal(t, utc(h), got)
		found, ok := changeset.BinaryBases(h.Ref, without)
		require.True(t, ok)
		require.Equal(t, bases, found)
		_, ok = changeset.BinaryBases(h.Ref, whole)
		require.False(t, ok, "it is whole")
		_, err = changeset.DecodeBinary(storedAs(h), without, h.Ancestors.Upper()[1:])
		require.ErrorContains(t, err, fmt.Sprintf("which the changesets at versions %d and %d have", bases[0].Version, bases[1].Version))
	}
}

// TestUpper: what a base has is what the versions after it lack.
func TestUpper(t *testing.T) {
	h := samples(t)[0].changeset.Header
	for version := uint64(1); version < 5000; version++ {
		h.Version, h.ID, h.Parent, h.Ancestors = version, id(version), id(version-1), indexOf(t, version)
		require.Equal(t, version >= 16 && version%16 < 2, h.IsBase())
		if version < 16 {
			require.Empty(t, h.Ancestors.Upper())
			continue
		}
		for i := range uint64(2) {
			base := h
			base.Version = version - version%16 + i
			base.ID, base.Parent, base.Ancestors = id(base.Version), id(base.Version-1), indexOf(t, base.Version)
			b, ok := changeset.EncodeBinary(base, false)
			require.True(t, ok)
			upper, err := changeset.BinaryUpper(base.Ref, b)
			require.NoError(t, err)
			require.Equal(t, h.Ancestors.Upper(), upper)
			b[1]++
			_, err = changeset.BinaryUpper(base.Ref, b)
			require.Error(t, err)
		}
	}
}

// TestNoBinary: other headers have the text form alone.
func TestNoBinary(t *testing.T) {
	h := samples(t)[0].changeset.Header
	for name, change := range map[string]func(h *changeset.Header){
		"before 1678":     func(h *changeset.Header) { h.RecordedAt = time.Date(1677, 12, 31, 23, 0, 0, 0, time.UTC) },
		"after 2261":      func(h *changeset.Header) { h.RecordedAt = time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC) },
		"no ID":           func(h *changeset.Header) { h.ID = changeset.ID{} },
		"no content type": func(h *changeset.Header) { h.ContentType = "" },
	} {
		other := h
		change(&other)
		b, ok := changeset.EncodeBinary(other, true)
		require.False(t, ok, name)
		require.Nil(t, b, name)
	}
	for _, p := range packs(t) {
		_, ok := changeset.EncodeBinary(p.object.Header, true)
		require.False(t, ok)
	}
}

// TestDamagedBinary: no header decodes with one bit changed, a byte more or less, or at
// another place.
func TestDamagedBinary(t *testing.T) {
	for _, h := range binarySamples(t)[:8] {
		whole, _ := changeset.EncodeBinary(h, true)
		damaged := [][]byte{nil, whole[1:], whole[:len(whole)-1], append(bytes.Clone(whole), 0)}
		for i := range 8 * len(whole) {
			flipped := bytes.Clone(whole)
			flipped[i/8] ^= 1 << (i % 8)
			damaged = append(damaged, flipped)
		}
		for _, b := range damaged {
			requireNoHeader(t, storedAs(h), b)
		}
		for _, ref := range []changeset.Ref{
			{AggregateID: h.AggregateID + "x", Version: h.Version, ID: h.ID},
			{AggregateID: h.AggregateID, Version: h.Version + 1<<16, ID: h.ID},
			{AggregateID: h.AggregateID, Version: h.Version, ID: id(1 << 20)},
			{AggregateID: h.AggregateID, Version: h.Version, ID: h.ID, Count: 1},
		} {
			requireNoHeader(t, changeset.Stored{Ref: ref, Object: "mem://the-object", Size: h.BodySize}, whole)
		}
	}
}

// TestBinaryTakesOneForm: the check alone does not make a header of bytes that encode to
// others.
func TestBinaryTakesOneForm(t *testing.T) {
	for _, h := range binarySamples(t) {
		whole, _ := changeset.EncodeBinary(h, true)
		unsealed := whole[:len(whole)-4]
		more, unknown := append(bytes.Clone(unsealed), 0), bytes.Clone(unsealed)
		unknown[0] |= 1 << 7
		for _, b := range [][]byte{more, unknown, unsealed[:len(unsealed)-1]} {
			requireNoHeader(t, storedAs(h), changeset.SealBinary(h.Ref, b))
		}
	}
	h := binarySamples(t)[0]
	h.AfterRevision, h.CommandID, h.Metadata, h.ContentType, h.Part = 0, "", nil, changeset.DefaultContentType, changeset.Part{}
	whole, _ := changeset.EncodeBinary(h, true)
	unsealed := whole[:len(whole)-4]
	longer := append(bytes.Clone(unsealed[:len(unsealed)-1]), 0x80, 0) // two bytes for the revision 0
	requireNoHeader(t, storedAs(h), changeset.SealBinary(h.Ref, longer))
}

func requireNoHeader(t *testing.T, o changeset.Stored, b []byte) {
	t.Helper()
	got, err := changeset.DecodeBinary(o, b, "")
	var corrupt *changeset.CorruptError
	require.ErrorAs(t, err, &corrupt)
	require.Equal(t, o.Object, corrupt.Object)
	require.Zero(t, got)
}

// FuzzDecodeBinary gives each input the check that belongs to it. What decodes
// encodes to the same bytes, and has the header that its text form has.
func FuzzDecodeBinary(f *testing.F) {
	for _, h := range binarySamples(f) {
		for _, whole := range []bool{true, false} {
			b, _ := changeset.EncodeBinary(h, whole)
			f.Add(h.AggregateID, h.Version, h.ID[:], b[:len(b)-4], string(h.Ancestors.Upper()), h.BodySize)
		}
	}
	f.Fuzz(func(t *testing.T, aggregateID string, version uint64, changesetID, unsealed []byte, upper string, size int64) {
		o := changeset.Stored{Ref: changeset.Ref{AggregateID: aggregateID, Version: version}, Object: "mem://the-object", Size: size}
		copy(o.Ref.ID[:], changesetID)
		b := changeset.SealBinary(o.Ref, bytes.Clone(unsealed))
		h, err := changeset.DecodeBinary(o, b, changeset.Upper(upper))
		if err != nil {
			requireNotTaken(t, err, o.Object)
			require.Zero(t, h)
			return
		}
		_, needsBase := changeset.BinaryBases(o.Ref, b)
		again, ok := changeset.EncodeBinary(h, !needsBase)
		require.True(t, ok)
		require.Equal(t, b, again)
		row, err := changeset.EncodeRow(h)
		require.NoError(t, err)
		o.ContentType = h.ContentType
		fromText, err := changeset.DecodeRow(o, row)
		require.NoError(t, err)
		require.Equal(t, fromText, h)
	})
}

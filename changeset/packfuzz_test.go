package changeset_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
)

// requireSame demands that the scanner and the reference agree on a text.
func requireSame(t *testing.T, parent changeset.Header, text []byte) []changeset.Changeset {
	t.Helper()
	got, err := changeset.DecodeLines(parent, text)
	want, slow := changeset.DecodeLinesSlowly(parent, text)
	if err == nil || slow == nil {
		require.NoError(t, err, "the reference accepts %q", text)
		require.NoError(t, slow, "the scanner accepts %q", text)
		require.Equal(t, want, got)
		requireLines(t, text, got)
		return got
	}
	require.Nil(t, got)
	if errors.Is(slow, changeset.ErrUnsupportedFormat) {
		require.ErrorIs(t, err, changeset.ErrUnsupportedFormat)
	}
	if errors.Is(err, changeset.ErrUnsupportedFormat) {
		require.Contains(t, string(text), `"encoding":`)
		return nil
	}
	var corrupt *changeset.CorruptError
	require.ErrorAs(t, err, &corrupt)
	require.Equal(t, changeset.Ref{AggregateID: parent.AggregateID}, corrupt.Ref)
	return nil
}

// requireLines demands that the changesets are written as they were read, and that a
// caller who appends to content overwrites nothing.
func requireLines(t *testing.T, text []byte, all []changeset.Changeset) {
	t.Helper()
	var again []byte
	for _, c := range all {
		require.Equal(t, len(c.Content), cap(c.Content))
		require.NoError(t, c.VerifyBody())
		require.Equal(t, changeset.FormatPacked, c.Format())
		again = changeset.AppendLine(again, c)
	}
	require.Equal(t, string(text), string(again))
}

func FuzzLines(f *testing.F) {
	for _, text := range goodLines(f) {
		f.Add([]byte(text), uint64(0), false)
		f.Add([]byte(text), uint64(41), true)
	}
	for _, text := range badLines(f) {
		f.Add([]byte(text), uint64(41), true)
	}
	f.Fuzz(func(t *testing.T, text []byte, version uint64, follows bool) {
		parent := changeset.Header{Ref: changeset.Ref{AggregateID: "order/4711"}, Digest: changeset.Digest{1}}
		if follows {
			parent.Version, parent.ID = version, id(41)
		}
		requireSame(t, parent, text)
	})
}

func FuzzPack(f *testing.F) {
	for _, s := range packs(f) {
		o := storedPack(f, s.object, changeset.Hyphenated)
		f.Add(formatMetadata(o.Metadata), o.ContentType, s.object.Body)
		f.Add(formatMetadata(o.Metadata), o.ContentType, bytes.ReplaceAll(s.object.Body, []byte(`"content":`), []byte(`"zone":[1e3],"content":`)))
	}
	f.Fuzz(func(t *testing.T, metadata, contentType string, body []byte) {
		o := changeset.Stored{Metadata: parseMetadata(metadata), ContentType: contentType, Size: int64(len(body))}
		o.Ref = promised(o.Metadata)
		h, err := changeset.Decode(o, changeset.Hyphenated)
		if err != nil || h.Pack == nil {
			t.Skip()
		}
		object := changeset.Changeset{Header: h, Body: body}
		requireUnpacked(t, object)
		if want, err := changeset.DecodeLinesSlowly(h.ParentOf(), body); err == nil && h.Pack.Lines {
			object.Digest = want[len(want)-1].Digest // as if the body had been put with the metadata
			requireUnpacked(t, object)
		}
		if !h.Pack.Lines {
			object.Digest = object.ComputeDigest(h.Pack.ParentDigest)
			require.Len(t, requireUnpacked(t, object), 1)
		}
	})
}

// requireUnpacked demands of what Unpack accepts that it is what the object promises.
func requireUnpacked(t *testing.T, object changeset.Changeset) []changeset.Changeset {
	t.Helper()
	all, err := changeset.Unpack(object, object.Body)
	if err != nil {
		require.Nil(t, all)
		var corrupt *changeset.CorruptError
		if !errors.Is(err, changeset.ErrUnsupportedFormat) {
			require.ErrorAs(t, err, &corrupt)
			require.Equal(t, object.Ref, corrupt.Ref)
		}
		require.ErrorContains(t, err, object.Ref.String())
		return nil
	}
	require.Len(t, all, int(object.Count))
	require.Equal(t, object.First(), all[0].Version)
	require.Equal(t, object.Digest, all[len(all)-1].Digest)
	parent := object.ParentOf()
	for _, c := range all {
		require.False(t, c.IsPacked())
		require.Nil(t, c.Pack)
		require.NoError(t, c.Header.Verify(parent.Digest))
		parent = c.Header
	}
	if object.Pack.Lines {
		requireLines(t, object.Body, all)
	}
	return all
}

func FuzzObjectIndex(f *testing.F) {
	for _, n := range []int{0, 1, 6, 7, 8, 49, 343, 2401, 7203, 9604, 20_000} {
		_, ix := manyObjects(n)
		f.Add(ix.Objects(), ix.Next(), ix.Packed())
	}
	f.Add(uint64(1<<63), uint64(1<<63), bytes.Repeat([]byte{6}, 600))
	f.Fuzz(func(t *testing.T, objects, next uint64, packed []byte) {
		ix, err := changeset.ParseObjectIndex(objects, next, packed)
		if err != nil {
			require.Zero(t, ix)
			return
		}
		require.Equal(t, [2]uint64{objects, next}, [2]uint64{ix.Objects(), ix.Next()})
		require.True(t, bytes.Equal(packed, ix.Packed()))
		var held []uint64
		above := uint64(0)
		for number, e := range ix.All() {
			require.Less(t, number, objects)
			ref := e.Ref("a")
			require.True(t, ref.IsPacked() && ref.First() >= above && ref.First() <= ref.Version && ref.Version < next)
			nearest, found, ok := ix.Nearest(e.Version)
			require.True(t, ok && nearest == number && found == e)
			held, above = append(held, number), ref.Version+1
		}
		require.Equal(t, numbersIn(objects), held)
		if next < 1<<64-2 && objects < next {
			after := ix.Push(changeset.Ref{Version: next, ID: id(7), Count: 1})
			again, err := changeset.ParseObjectIndex(objects+1, next+1, after.Packed())
			require.NoError(t, err)
			require.Equal(t, after, again)
		}
	})
}

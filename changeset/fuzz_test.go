package changeset_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
)

// What decodes encodes to the same bytes; nothing panics.

func FuzzDecode(f *testing.F) {
	for _, spelling := range []changeset.KeyStyle{changeset.Hyphenated, changeset.Joined} {
		for _, s := range samples(f) {
			o := stored(f, s, spelling)
			f.Add(formatMetadata(o.Metadata), o.ContentType, o.Size, spelling == changeset.Joined)
		}
		for _, p := range packs(f) {
			o := storedPack(f, p.object, spelling)
			f.Add(formatMetadata(o.Metadata), o.ContentType, o.Size, spelling == changeset.Joined)
		}
	}
	f.Fuzz(func(t *testing.T, text, contentType string, size int64, noHyphens bool) {
		spelling := changeset.Hyphenated
		if noHyphens {
			spelling = changeset.Joined
		}
		o := changeset.Stored{Object: "the-object", Metadata: parseMetadata(text), ContentType: contentType, Size: size}
		o.Ref = promised(o.Metadata)
		h, err := changeset.Decode(o, spelling)
		if err != nil {
			requireNotTaken(t, err, o.Object)
			require.Zero(t, h)
			if corrupt := new(changeset.CorruptError); errors.As(err, &corrupt) && !strings.Contains(corrupt.Reason, "no valid format") {
				_, slowly := changeset.DecodeSlowly(o, spelling)
				require.Error(t, slowly)
			}
			return
		}
		slowly, err := changeset.DecodeSlowly(o, spelling)
		require.NoError(t, err)
		require.Equal(t, slowly, h)
		again, err := changeset.Encode(h, spelling)
		require.NoError(t, err)
		require.Equal(t, o.Metadata, again)
		require.Equal(t, contentType, h.ContentType)
		require.Equal(t, size, h.BodySize)
		require.Equal(t, h.ComputeDigest(changeset.Digest{1}), h.ComputeDigest(changeset.Digest{1}))
	})
}

// requireNotTaken demands of a decoder's error that it names the object, and
// is of one of the two kinds.
func requireNotTaken(t *testing.T, err error, object string) {
	t.Helper()
	var corrupt *changeset.CorruptError
	require.True(t, errors.As(err, &corrupt) || errors.Is(err, changeset.ErrUnsupportedFormat))
	require.ErrorContains(t, err, object)
}

func formatMetadata(m map[string]string) string {
	lines := make([]string, 0, len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		lines = append(lines, key+": "+m[key])
	}
	return strings.Join(lines, "\n")
}

func parseMetadata(text string) map[string]string {
	m := map[string]string{}
	for line := range strings.SplitSeq(text, "\n") {
		if key, value, ok := strings.Cut(line, ": "); ok {
			m[key] = value
		}
	}
	return m
}

// promised is the reference that the object's name would have, as far as the
// metadata has one.
func promised(m map[string]string) changeset.Ref {
	get := func(key string) string {
		if v, ok := m[key]; ok {
			return v
		}
		return m[strings.ReplaceAll(key, "-", "")]
	}
	aggregateID, _ := changeset.Unescape(get("aggregate-id"))
	version, _ := strconv.ParseUint(get("aggregate-version"), 10, 64)
	id, _ := changeset.ParseID(get("changeset-id") + get("object-id"))
	count, _ := strconv.ParseUint(get("changesets"), 10, 16)
	return changeset.Ref{AggregateID: aggregateID, Version: version, ID: id, Count: uint16(count)}
}

func FuzzParseIndex(f *testing.F) {
	for _, v := range []uint64{0, 1, 15, 16, 17, 256, 4096, 24_576, 1<<64 - 1} {
		f.Add(v, indexOf(f, v).Packed())
	}
	f.Fuzz(func(t *testing.T, version uint64, packed []byte) {
		ix, err := changeset.ParseIndex(version, packed)
		if err != nil {
			require.Zero(t, ix)
			return
		}
		require.Equal(t, version, ix.Version())
		require.True(t, slices.Equal(packed, ix.Packed()))
		var held []uint64
		for v, id := range ix.All() {
			held = append(held, v)
			nearest, found, ok := ix.Nearest(v)
			require.True(t, ok && nearest == v && found == id)
		}
		require.Equal(t, versionsIn(version), held)
		if version < 1<<64-1 {
			next := ix.Push(id(version))
			again, err := changeset.ParseIndex(version+1, next.Packed())
			require.NoError(t, err)
			require.Equal(t, next, again)
			require.Equal(t, id(version), next.Parent())
		}
	})
}

// fuzzText checks a parser of texts that fmt.Sprint, or the given function,
// writes back.
func fuzzText[T any](f *testing.F, parse func(string) (T, error), format func(T) string, seeds ...string) {
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := parse(text)
		if err != nil {
			require.Zero(t, v)
			return
		}
		require.Equal(t, text, format(v))
	})
}

func sprint[T any](v T) string { return fmt.Sprint(v) }

func FuzzParseRef(f *testing.F) {
	ref := changeset.Ref{AggregateID: "a@b", Version: 7, ID: id(7)}
	fuzzText(f, changeset.ParseRef, changeset.Ref.String, ref.String(), "order@07."+id(7).String(), "@7.", "a@18446744073709551615."+id(0).String())
}

func FuzzParseObjectName(f *testing.F) {
	ref := changeset.Ref{AggregateID: "../a b", Version: 7, ID: id(7)}
	fuzzText(f, changeset.ParseObjectName, changeset.Ref.ObjectName, ref.ObjectName(), "changesets//-", "changesets/%2E/1-"+id(7).String())
}

func FuzzParseID(f *testing.F) {
	fuzzText(f, changeset.ParseID, sprint, id(7).String(), "urn:uuid:"+id(7).String(), "{"+id(7).String()+"}", "00000000-0000-0000-0000-000000000000")
}

func FuzzParseDigest(f *testing.F) {
	fuzzText(f, changeset.ParseDigest, sprint, changeset.Digest{1, 2}.String(), changeset.Digest{255}.String()+"=", strings.Repeat("_", 43))
}

func FuzzParseTime(f *testing.F) {
	fuzzText(f, changeset.ParseTime, changeset.FormatTime, "2026-11-21T00:31:02.000000001Z", "0000-01-01T00:00:00.000000000Z", "9999-12-31T23:59:60.000000000Z", "2026-11-21T00:31:02,000000001Z")
}

func FuzzUnescape(f *testing.F) {
	fuzzText(f, changeset.Unescape, changeset.Escape, "", "abc", "%2E%2E", "%2e", "%", "%41", changeset.Escape("Straße"))
}

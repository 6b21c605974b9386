package changeset_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
)

// TestPacksRoundTrip holds that what is put is what is read: names, metadata in both
// spellings, rows, and the changesets of the body.
func TestPacksRoundTrip(t *testing.T) {
	for _, p := range packs(t) {
		ref, err := changeset.ParseObjectName(p.object.ObjectName())
		require.NoError(t, err, p.name)
		require.Equal(t, p.object.Ref, ref)
		for _, spelling := range []changeset.KeyStyle{changeset.Hyphenated, changeset.Joined} {
			h, err := changeset.Decode(storedPack(t, p.object, spelling), spelling)
			require.NoError(t, err, p.name)
			require.Equal(t, p.object.Header, h, p.name)
		}
		row, err := changeset.EncodeRow(p.object.Header)
		require.NoError(t, err, p.name)
		o := storedPack(t, p.object, changeset.Hyphenated)
		o.Metadata = nil
		h, err := changeset.DecodeRow(o, row)
		require.NoError(t, err, p.name)
		require.Equal(t, p.object.Header, h, p.name)

		require.Equal(t, p.parent.Ref, h.ParentOf().Ref, p.name)
		require.Equal(t, p.parent.Digest, h.ParentOf().Digest, p.name)
		if !h.Pack.Lines {
			require.NoError(t, changeset.Changeset{Header: h, Body: p.object.Body}.Verify(p.parent.Digest), p.name)
		}
		got, err := changeset.Unpack(changeset.Changeset{Header: h, Body: p.object.Body}, p.changesets[0].Content)
		if h.Pack.Lines {
			got, err = changeset.Unpack(changeset.Changeset{Header: h, Body: p.object.Body}, p.object.Body)
		}
		require.NoError(t, err, p.name)
		require.Equal(t, p.changesets, got, p.name)
	}
}

func TestNamesOfPacksTakeOneForm(t *testing.T) {
	good := changeset.Ref{AggregateID: "a.b", Version: 9, ID: id(7), Count: 3}.ObjectName()
	require.Equal(t, "changesets/a%2Eb/00000000000000000007-00000000000000000009-"+id(7).String(), good)
	for _, name := range []string{
		strings.Replace(good, "09-", "06-", 1), strings.Replace(good, "0000000009-", "9-", 1), strings.Replace(good, "09-", "09--", 1),
		strings.Replace(good, "0009-", "000x-", 1), strings.Replace(good, "00000000000000000009", "18446744073709551616", 1),
		strings.Replace(good, "00000000000000000009", "00000000000000065542", 1), strings.Replace(good, id(7).String(), "", 1),
	} {
		ref, err := changeset.ParseObjectName(name)
		require.Error(t, err, name)
		require.Zero(t, ref)
	}
	most := changeset.Ref{AggregateID: "a", Version: 7 + changeset.MaxCount - 1, ID: id(7), Count: changeset.MaxCount}
	require.EqualValues(t, 7, most.First())
	ref, err := changeset.ParseObjectName(most.ObjectName())
	require.NoError(t, err)
	require.Equal(t, most, ref)
	require.Equal(t, "a.b@7-9."+id(7).String(), changeset.Ref{AggregateID: "a.b", Version: 9, ID: id(7), Count: 3}.String())
}

func TestDecodeTakesTheCanonicalFormOfPacksOnly(t *testing.T) {
	all := packs(t)
	first, lines, alone := all[0], all[1], all[3]
	index := base64.RawURLEncoding.EncodeToString(lines.object.Pack.Index.Packed())
	for _, row := range []struct {
		p                  pack
		key, value, reason string
	}{
		{lines, "format", "1", "not the format"},
		{lines, "format", "02", "format"},
		{lines, "changesets", "", "changesets"},
		{lines, "changesets", "0", "changesets"},
		{lines, "changesets", "05", "changesets"},
		{lines, "changesets", "65536", "changesets"},
		{lines, "changesets", "18446744073709551616", "changesets"},
		{lines, "changesets", "4", "metadata belongs to"},
		{first, "changesets", "6", "cannot end at version 4"},
		{lines, "changesets", strconv.Itoa(1<<16 + int(lines.object.Count)), "changesets"},
		{lines, "objects", "61", "object index"},
		{lines, "objects", "59", "object index"},
		{lines, "objects", "060", "objects"},
		{lines, "objects", "18446744073709551615", "object index"},
		{lines, "objects", "", "objects"},
		{first, "objects", "1", "object index"},
		{first, "index", "AA", "object index"},
		{lines, "index", "", "object index"},
		{lines, "index", index + "A", "object index"},
		{lines, "index", index + "=", "index"},
		{lines, "index", index[:20] + "\n" + index[20:], "canonical"},
		{lines, "index", "_" + index[1:], "object index"},
		{lines, "ancestors", index, "canonical"},
		{lines, "changeset-id", id(1000).String(), "canonical"},
		{lines, "object-id", id(1001).String(), "metadata belongs to"},
		{lines, "object-id", strings.ToUpper(id(1000).String()), "object-id"},
		{lines, "parent-digest", "", "parent digest"},
		{first, "parent-digest", lines.object.Digest.String(), "parent digest"},
		{lines, "parent-changeset-id", "", "parent"},
		{first, "parent-changeset-id", id(3).String(), "parent"},
		{lines, "recorded-at", "2026-11-21T00:31:02.000000000Z", "one changeset"},
		{lines, "command-id", "c", "no header fields"},
		{lines, "append", "1/2", "no header fields"},
		{lines, "user", "a=1", "no header fields"},
		{alone, "recorded-at", "", "an object of lines"},
		{alone, "recorded-at", "0001-01-01T00:00:00.000000000Z", "one changeset, with its time"},
		{alone, "append", "0/0", "0/0"},
	} {
		o := storedPack(t, row.p.object, changeset.Hyphenated)
		if o.Metadata[row.key] = row.value; row.value == "" {
			delete(o.Metadata, row.key)
		}
		requireCorrupt(t, o, row.reason, "%s: %s: %s", row.p.name, row.key, row.value)
	}
	o := storedPack(t, lines.object, changeset.Hyphenated)
	o.ContentType = "text/plain"
	requireCorrupt(t, o, "an object of lines")
}

// TestEveryFlipOfAPackIsNoticed changes each byte of the metadata and of the body: one
// of the checks of a reader finds it.
func TestEveryFlipOfAPackIsNoticed(t *testing.T) {
	for _, p := range packs(t) {
		whole := storedPack(t, p.object, changeset.Hyphenated)
		with := func(old, key, value string) {
			o := whole
			o.Metadata = maps.Clone(whole.Metadata)
			delete(o.Metadata, old)
			o.Metadata[key] = value
			requireFlipped(t, p, o, p.object.Body, old, value)
		}
		for key, value := range whole.Metadata {
			for at := range key {
				other := []byte(key)
				other[at] ^= 1
				with(key, string(other), value)
			}
			flipEach([]byte(value), func(flipped []byte, _ int) { with(key, key, string(flipped)) })
		}
		flipEach(bytes.Clone(p.object.Body), func(flipped []byte, _ int) {
			requireFlipped(t, p, whole, flipped, "body", string(flipped))
		})
	}
}

// unproved are the fields of an object's metadata that no digest covers. A flip of them
// can pass where the names of the objects before still follow one another.
var unproved = map[string]bool{"index": true, "objects": true, "after-revision": true, "parent-changeset-id": true}

func requireFlipped(t *testing.T, p pack, o changeset.Stored, body []byte, key, flipped string) {
	h, err := changeset.Decode(o, changeset.Hyphenated)
	if err == nil {
		object := changeset.Changeset{Header: h, Body: body}
		content := body
		if !h.Pack.Lines {
			content = p.changesets[0].Content
		}
		if err = object.VerifyBody(); err == nil {
			_, err = changeset.Unpack(object, content)
		}
	}
	var corrupt *changeset.CorruptError
	switch {
	case err == nil && (!unproved[key] || h.Digest != p.object.Digest):
		t.Fatalf("%s: %s: %q passes", p.name, key, flipped)
	case err != nil && !errors.Is(err, changeset.ErrUnsupportedFormat) && (!errors.As(err, &corrupt) || corrupt.Ref != o.Ref):
		t.Fatalf("%s: %s: %q: %v does not name %s", p.name, key, flipped, err, o.Ref)
	}
}

func TestEncodeRefusesPacksThatDecodeWould(t *testing.T) {
	p := packs(t)[1]
	for reason, change := range map[string]func(*changeset.Header){
		"object index is of an object at": func(h *changeset.Header) { h.Pack.Index = changeset.ObjectIndexAt(h.First() - 1) },
		"parent digest and version":       func(h *changeset.Header) { h.Pack.ParentDigest = changeset.Digest{} },
		"and its format do not agree":     func(h *changeset.Header) { h.Pack = nil },
		"parent and version":              func(h *changeset.Header) { h.Parent = changeset.ID{} },
		"cannot end at version":           func(h *changeset.Header) { h.Version = 3 },
		"an object of lines has no":       func(h *changeset.Header) { h.CommandID = "c" },
		"one changeset, with its time":    func(h *changeset.Header) { h.Pack.Lines = false },
	} {
		h, own := p.object.Header, *p.object.Pack
		h.Pack = &own
		change(&h)
		_, err := changeset.Encode(h, changeset.Hyphenated)
		require.ErrorContains(t, err, reason)
		_, err = changeset.EncodeRow(h)
		require.ErrorContains(t, err, reason)
	}
}

func TestUnpackRefusesWhatDoesNotFit(t *testing.T) {
	p := packs(t)[1]
	for reason, change := range map[string]func(*changeset.Changeset, *[]byte){
		"its last changeset is":               func(_ *changeset.Changeset, b *[]byte) { *b = (*b)[:bytes.LastIndexByte((*b)[:len(*b)-1], '\n')+1] },
		"its lines do not lead to its digest": func(o *changeset.Changeset, _ *[]byte) { o.Digest[0]++ },
		"after the object":                    func(o *changeset.Changeset, _ *[]byte) { o.AfterRevision = 0 },
		"there are no lines":                  func(_ *changeset.Changeset, b *[]byte) { *b = nil },
		"it has version":                      func(o *changeset.Changeset, _ *[]byte) { o.Count++ },
		"line of version":                     func(_ *changeset.Changeset, b *[]byte) { *b = append(*b, '{') },
		"lines do not lead to its digest":     func(o *changeset.Changeset, _ *[]byte) { o.AggregateID += "x" },
		"do not lead to its digest":           func(o *changeset.Changeset, _ *[]byte) { o.Pack.ParentDigest[0]++ },
		"invalid aggregate ID":                func(o *changeset.Changeset, _ *[]byte) { o.AggregateID = "" },
		"digest does not match the header":    func(o *changeset.Changeset, _ *[]byte) { o.Pack.Lines = false; o.Count = 1 },
	} {
		object, body := p.object, bytes.Clone(p.object.Body)
		own := *object.Pack
		object.Pack = &own
		change(&object, &body)
		_, err := changeset.Unpack(object, body)
		requireReason(t, err, object.Ref, reason)
	}
}

// TestPackedMetadataFitsTheServices computes the longest metadata for every number of
// objects, as a service may count it: each key with its prefix.
func TestPackedMetadataFitsTheServices(t *testing.T) {
	const high = 1<<64 - 1<<32
	index, largest := changeset.ObjectIndexAt(high), 0
	for range 20_001 {
		largest = max(largest, sizeInS3(t, worstLines(index)), sizeInS3(t, worstAlone(index)))
		index = index.Push(fullObject(index.Next()))
	}
	require.Equal(t, 1834, largest)

	objects := uint64(1e19)/2401*2401 + 2400 // 20 digits, and all wheels full
	packed := packedIndex(objects, high, func(number uint64) changeset.Ref { return fullObject(high - (objects-number)*changeset.MaxCount) })
	require.Len(t, packed, changeset.MaxObjectIndexSize)
	index, err := changeset.ParseObjectIndex(objects, high, packed)
	require.NoError(t, err)
	require.Equal(t, 1849, max(sizeInS3(t, worstLines(index)), sizeInS3(t, worstAlone(index))))
}

// fullObject is an object of as many changesets as can be.
func fullObject(first uint64) changeset.Ref {
	return changeset.Ref{Version: first + changeset.MaxCount - 1, ID: id(first), Count: changeset.MaxCount}
}

func sizeInS3(t *testing.T, h changeset.Header) (sum int) {
	metadata, err := changeset.Encode(h, changeset.Hyphenated)
	if err != nil {
		require.NoError(t, err)
	}
	metadata["encoding"] = "8 bytes."
	for key, value := range metadata {
		sum += len("x-amz-meta-") + len(key) + len(value)
	}
	return sum
}

// worstLines is the header of an object of lines with values as long as they can be.
func worstLines(index changeset.ObjectIndex) changeset.Header {
	return changeset.Header{
		Ref:    changeset.Ref{AggregateID: strings.Repeat("é", 21) + "ab", Version: index.Next() + changeset.MaxCount - 1, ID: id(1), Count: changeset.MaxCount},
		Parent: id(2), AfterRevision: 1<<64 - 1, ContentType: changeset.ContentTypeLines, Encoding: "zstd",
		Digest: changeset.Digest{1}, Pack: &changeset.Pack{Lines: true, Index: index, ParentDigest: changeset.Digest{2}},
	}
}

// worstAlone is the same for an object of one changeset.
func worstAlone(index changeset.ObjectIndex) changeset.Header {
	h := worstLines(index)
	h.Version, h.Count, h.Pack.Lines = index.Next(), 1, false
	h.RecordedAt, h.CommandID = time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC), strings.Repeat(".", 21)+"c"
	h.Part = changeset.Part{Number: 256, Of: 256}
	h.Metadata = map[string]string{strings.Repeat("k", 95): strings.Repeat("v", 96)}
	return h
}

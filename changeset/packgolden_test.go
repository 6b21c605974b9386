package changeset_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
)

// TestGoldenPacks pins objects of format 2: names, metadata in both spellings, rows and
// lines.
func TestGoldenPacks(t *testing.T) {
	var b strings.Builder
	for _, p := range packs(t) {
		o := p.object
		fmt.Fprintf(&b, "--- %s\n%s\n%s, %d bytes\n", p.name, o.ObjectName(), o.ContentType, o.BodySize)
		for _, spelling := range []changeset.KeyStyle{changeset.Hyphenated, changeset.Joined} {
			metadata, err := changeset.Encode(o.Header, spelling)
			require.NoError(t, err)
			for _, key := range slices.Sorted(maps.Keys(metadata)) {
				fmt.Fprintf(&b, "%s: %s\n", key, metadata[key])
			}
		}
		row, err := changeset.EncodeRow(o.Header)
		require.NoError(t, err)
		fmt.Fprintf(&b, "%s\n%x %x %x\n", row.Metadata, row.Ancestors, row.BodySHA256, row.Digest)
		if o.Pack.Lines {
			b.Write(o.Body)
		}
	}
	requireGolden(t, "packs", b.String())
}

// TestPacksAreWhatWasPut decodes metadata and rows of objects, parses their names, and
// unpacks them.
func TestPacksAreWhatWasPut(t *testing.T) {
	for _, p := range packs(t) {
		o := p.object
		for _, spelling := range []changeset.KeyStyle{changeset.Hyphenated, changeset.Joined} {
			h, err := changeset.Decode(storedPack(t, o, spelling), spelling)
			require.NoError(t, err, p.name)
			require.Equal(t, o.Header.Alone().Digest, h.Digest)
			require.Equal(t, o.Ref, h.Ref)
			require.Equal(t, o.Pack, h.Pack)
			require.Equal(t, p.parent.ID, h.ParentOf().ID)
			require.Equal(t, p.parent.Digest, h.ParentOf().Digest)
		}
		row, err := changeset.EncodeRow(o.Header)
		require.NoError(t, err)
		_, err = changeset.DecodeRow(changeset.Stored{Ref: o.Ref, ContentType: o.ContentType, Size: o.BodySize}, row)
		require.NoError(t, err)
		name, err := changeset.ParseObjectName(o.ObjectName())
		require.NoError(t, err)
		require.Equal(t, o.Ref, name)
		all, err := changeset.Unpack(o, o.Content)
		require.NoError(t, err)
		require.Equal(t, p.changesets, all, p.name)
		parent := p.parent
		for _, c := range all {
			text, _, _ := strings.Cut(string(changeset.AppendLine(nil, c)), `,"content`+map[bool]string{true: `-base64":`, false: `":`}[!utf8.Valid(c.Content)])
			if c.Encoding == "" {
				require.Equal(t, packedDigest(parent, c.Version == 0, text, c.Content), c.Digest, p.name)
			}
			parent = c.Header
		}
	}
}

// provedOutside are the keys whose values nothing inside an object proves. The objects
// beside it and the head do.
var provedOutside = []string{"index", "objects", "after-revision", "parent-changeset-id"}

// TestEveryFlipOfAPackIsNoticed flips each byte of each value of the metadata: the
// object no longer decodes, or does not lead to its digest.
func TestEveryFlipOfAPackIsNoticed(t *testing.T) {
	for _, p := range packs(t) {
		intact := storedPack(t, p.object, changeset.Hyphenated)
		for key, value := range intact.Metadata {
			for i := range len(value) {
				o := intact
				o.Metadata = maps.Clone(intact.Metadata)
				flipped := []byte(value)
				flipped[i] ^= 1
				o.Metadata[key] = string(flipped)
				h, err := changeset.Decode(o, changeset.Hyphenated)
				if err != nil {
					continue
				}
				c := changeset.Changeset{Header: h, Body: p.object.Body}
				_, err = changeset.Unpack(c, p.object.Content)
				proved := err == nil && c.VerifyBody() == nil
				if !slices.Contains(provedOutside, key) {
					require.False(t, proved, "%s: %s at %d", p.name, key, i)
				}
			}
		}
	}
}

package changeset_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
)

// TestGoldenLines freezes the bodies of packs, with the digest of each line as the
// specification computes it.
func TestGoldenLines(t *testing.T) {
	var b strings.Builder
	for _, p := range packs(t) {
		if !p.object.Pack.Lines {
			continue
		}
		fmt.Fprintf(&b, "# %s\n%s", p.name, p.object.Body)
		parent := p.parent
		for i, line := range strings.SplitAfter(strings.TrimSuffix(string(p.object.Body), "\n"), "\n") {
			c := p.changesets[i]
			header := line[:strings.LastIndex(line, `,"content`)]
			digest := packedDigest(parent, c.Version == 0, header, c.Content)
			require.Equal(t, digest, c.Digest, p.name)
			fmt.Fprintf(&b, "digest %s\n", digest)
			parent = c.Header
		}
	}
	requireGolden(t, "packed-lines", b.String())
}

func TestGoldenPackedMetadata(t *testing.T) {
	for spelling, name := range map[changeset.KeyStyle]string{changeset.Hyphenated: "packed-metadata", changeset.Joined: "packed-metadata-no-hyphens"} {
		var b strings.Builder
		for _, p := range packs(t) {
			metadata := storedPack(t, p.object, spelling).Metadata
			fmt.Fprintf(&b, "# %s: %s, content type %s, %d bytes\n", p.name, p.object.ObjectName(), p.object.ContentType, p.object.BodySize)
			for _, key := range slices.Sorted(maps.Keys(metadata)) {
				fmt.Fprintf(&b, "%s: %s\n", key, metadata[key])
			}
			b.WriteString("\n")
		}
		requireGolden(t, name, b.String())
	}
}

func TestGoldenPackedRows(t *testing.T) {
	var b strings.Builder
	for _, p := range packs(t) {
		row, err := changeset.EncodeRow(p.object.Header)
		require.NoError(t, err)
		fmt.Fprintf(&b, "# %s\n%s\nindex %x\nsha256 %x\ndigest %x\n", p.name, row.Metadata, row.Ancestors, row.BodySHA256, row.Digest)
	}
	requireGolden(t, "packed-rows", b.String())
}

// TestAloneIsDigestedAsALine holds the digest of an object that is one changeset: of the
// header that its line would have, and of the body as it is stored.
func TestAloneIsDigestedAsALine(t *testing.T) {
	p := packs(t)[4]
	header := `{"after-revision":0,"encoding":"zstd","id":"` + id(0).String() + `","recorded-at":"2026-11-21T00:31:02.000000000Z","version":0`
	require.Equal(t, packedDigest(p.parent, true, header, p.object.Body), p.object.Digest)
}

package changeset_test

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
)

func TestGoldenMetadata(t *testing.T) {
	for spelling, name := range map[changeset.KeyStyle]string{changeset.Hyphenated: "metadata", changeset.Joined: "metadata-no-hyphens"} {
		var b strings.Builder
		for _, s := range samples(t) {
			metadata, err := changeset.Encode(s.changeset.Header, spelling)
			require.NoError(t, err)
			fmt.Fprintf(&b, "# %s: content type %s, %d bytes\n", s.name, s.changeset.ContentType, s.changeset.BodySize)
			for _, key := range slices.Sorted(maps.Keys(metadata)) {
				fmt.Fprintf(&b, "%s: %s\n", key, metadata[key])
			}
			b.WriteString("\n")
		}
		requireGolden(t, name, b.String())
	}
}

// The samples' digests are computed apart from the library.
func TestGoldenDigest(t *testing.T) {
	var b strings.Builder
	for _, s := range samples(t) {
		require.Equal(t, s.digest(), s.changeset.ComputeDigest(s.parent), s.name)
		require.NoError(t, s.changeset.Verify(s.parent), s.name)
		fmt.Fprintf(&b, "%s: %s\n", s.name, s.digest())
	}
	requireGolden(t, "digest", b.String())
}

func TestGoldenIndex(t *testing.T) {
	var b strings.Builder
	for _, s := range samples(t) {
		packed := s.changeset.Ancestors.Packed()
		fmt.Fprintf(&b, "# %s: %d bytes\n", s.name, len(packed))
		for len(packed) > 0 {
			n := int(packed[0])
			fmt.Fprintf(&b, "%02x\n", n)
			for i := range n {
				fmt.Fprintf(&b, "   %s\n", hex.EncodeToString(packed[1+16*i:][:16]))
			}
			packed = packed[1+16*n:]
		}
		b.WriteString("\n")
	}
	requireGolden(t, "index", b.String())
}

// A service allows 2,048 bytes of user metadata, and some count the prefix of
// each key. Encodings have 8 bytes at most.
func TestWorstCaseFitsTheServices(t *testing.T) {
	const prefix = "x-amz-meta-"
	s := samples(t)[3]
	require.Len(t, s.changeset.Ancestors.Packed(), changeset.MaxIndexSize)
	metadata, err := changeset.Encode(s.changeset.Header, changeset.Hyphenated)
	require.NoError(t, err)
	limits := map[string]int{
		"aggregate-id": changeset.MaxAggregateID, "aggregate-version": 20, "after-revision": 20,
		"command-id": changeset.MaxCommandID, "append": len("256/256"), "user": changeset.MaxMetadata, "ancestors": 1094,
	}
	for key, limit := range limits {
		require.Len(t, metadata[key], limit, key)
	}
	metadata["encoding"] = "8 bytes."
	sum := 0
	for key, value := range metadata {
		sum += len(prefix) + len(key) + len(value)
	}
	require.Len(t, metadata, 14)
	require.Equal(t, 2024, sum)
	require.LessOrEqual(t, sum, 2048)
}

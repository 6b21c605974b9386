package changeset_test

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
)

// field is a row of the digest that DESIGN.md works out byte by byte.
type field struct{ name, value, hashed string }

func workedDigest(t *testing.T) []field {
	t.Helper()
	design, err := os.ReadFile("../DESIGN.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(design), "One digest byte by byte")
	require.True(t, found)
	var fields []field
	row := regexp.MustCompile("(?m)^\\| (.*?) ?\\| `?(.+?)`? \\| `?(.+?)`? \\|$")
	for _, cells := range row.FindAllStringSubmatch(section, 18) {
		fields = append(fields, field{strings.Trim(cells[1], "`"), cells[2], cells[3]})
	}
	require.Len(t, fields, 18)
	require.Equal(t, "field", fields[0].name)
	require.Equal(t, "---", fields[1].name)
	return fields[2:]
}

// TestWorkedDigest computes the digest of DESIGN.md twice: from the bytes that
// the table shows, and with the library from the values that it shows.
func TestWorkedDigest(t *testing.T) {
	fields := workedDigest(t)
	last := fields[len(fields)-1]
	require.Equal(t, "digest", last.name)
	var hashed []byte
	metadata, given := map[string]string{"format": "1"}, map[string]string{}
	for _, f := range fields[:len(fields)-1] {
		raw, err := hex.DecodeString(strings.ReplaceAll(f.hashed, " ", ""))
		require.NoError(t, err, f.name)
		hashed = append(hashed, raw...)
		if f.value != "absent" {
			given[f.name] = f.value
		} else {
			require.Equal(t, "00", f.hashed, f.name)
		}
	}
	require.Equal(t, last.value, changeset.Digest(sha256.Sum256(hashed)).String())
	require.Equal(t, last.hashed, "the SHA-256 of these 283 bytes")
	require.Len(t, hashed, 283)

	contentType, parent := given["the content type"], given["the previous digest"]
	for _, name := range []string{"", "the content type", "the previous digest"} {
		require.Contains(t, given, name)
		delete(given, name)
	}
	maps.Copy(metadata, given)
	metadata["aggregate-id"] = changeset.Escape(given["aggregate-id"])
	metadata["digest"] = last.value
	verifyWorked(t, metadata, contentType, parent)
}

// verifyWorked decodes the changeset with this metadata and verifies it.
func verifyWorked(t *testing.T, metadata map[string]string, contentType, parent string) {
	t.Helper()
	id, err := changeset.ParseID(metadata["changeset-id"])
	require.NoError(t, err)
	content := `{"type":"paid"}`
	stored := changeset.Stored{
		Ref: changeset.Ref{AggregateID: "order/4711", Version: 1, ID: id}, Object: "object",
		Metadata: metadata, ContentType: contentType, Size: int64(len(content)),
	}
	h, err := changeset.Decode(stored, changeset.Hyphenated)
	require.NoError(t, err, slices.Sorted(maps.Keys(metadata)))
	before, err := changeset.ParseDigest(parent)
	require.NoError(t, err)
	require.Equal(t, changeset.Digest(sha256.Sum256(nil)), before, "of nothing, as the text says")
	require.Equal(t, map[string]string{"note": "", "tenant": "acme/eu"}, h.Metadata)
	require.NoError(t, changeset.Changeset{Header: h, Body: []byte(content)}.Verify(before))
}

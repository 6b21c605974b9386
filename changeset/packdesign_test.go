package changeset_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
)

// TestWorkedPackedDigest computes the digest of format 2 that DESIGN.md shows twice:
// from the bytes in its table, and with the library from the line before it.
func TestWorkedPackedDigest(t *testing.T) {
	design, err := os.ReadFile("../DESIGN.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(design), "### Packed chains (format 2)")
	require.True(t, found)
	line := regexp.MustCompile("(?m)^```\n(\\{.*\\})\n```$").FindStringSubmatch(section)
	require.NotNil(t, line)
	_, section, found = strings.Cut(section, "A packed digest byte by byte")
	require.True(t, found)
	rows := regexp.MustCompile("(?m)^\\| .*? ?\\| `?(.+?)`? \\| `?(.+?)`? \\|$").FindAllStringSubmatch(section, 8)
	require.Len(t, rows, 8)
	var hashed []byte
	for _, row := range rows[2:7] {
		raw, err := hex.DecodeString(strings.ReplaceAll(row[2], " ", ""))
		require.NoError(t, err)
		hashed = append(hashed, raw...)
	}
	require.Len(t, hashed, 297)
	require.Equal(t, "the SHA-256 of these 297 bytes", rows[7][2])
	want := rows[7][1]
	require.Equal(t, want, changeset.Digest(sha256.Sum256(hashed)).String())

	id, err := changeset.ParseID("01991f3c-8a4e-7c1b-9d0e-5b1c6a7f2e10")
	require.NoError(t, err)
	parent := changeset.Header{Ref: changeset.Ref{AggregateID: "order/4711", ID: id}, Digest: sha256.Sum256(nil)}
	all, err := changeset.DecodeLines(parent, []byte(line[1]+"\n"))
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, want, all[0].Digest.String())
	require.Equal(t, line[1]+"\n", string(changeset.AppendLine(nil, all[0])))
	require.Equal(t, `{"type":"paid"}`, string(all[0].Content))
}

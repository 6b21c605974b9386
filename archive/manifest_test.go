package archive

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/feed"
)

func requireCorrupt(t *testing.T, err error, text string) {
	t.Helper()
	var corrupt *ropewalk.CorruptError
	require.ErrorAs(t, err, &corrupt)
	require.ErrorContains(t, err, text)
}

// The bytes that are stored, and what they say. DESIGN.md describes them.
func TestGoldenManifest(t *testing.T) {
	position, err := feed.ParsePosition("c.00c0ffee00c0ffee.17.AZkfPIpOfBudDlscan8uEA.3.41")
	require.NoError(t, err)
	previous := hash([]byte("the manifest before"))
	file := hash([]byte("the content of the file"))
	want := &manifest{
		preamble: preamble{Format: 1, Number: 42, Previous: &previous, Position: position, Lines: 4},
		add: []File{{
			Name: fileName(folder(Row{RecordedAt: time.Date(2026, 11, 28, 23, 59, 59, 0, time.UTC), Type: "order.created"}), 42, file), Batch: 42,
			Rows: 3, Bytes: 1234, SHA256: file, First: "<order & delivery>", Last: "order/4711",
		}},
		remove: []string{"day=2026-11-27/type=created/000000000007-0123456789abcdef0123456789abcdef.parquet"},
		erased: []string{"order-8"},
		purged: []string{"order-9"},
	}
	golden, err := os.ReadFile(filepath.Join("testdata", "manifest.ndjson"))
	require.NoError(t, err)
	content, err := want.encode()
	require.NoError(t, err)
	require.Equal(t, string(golden), string(content))
	got, err := decodeManifest(golden)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// DESIGN.md shows the golden manifest.
func TestManifestOfDesign(t *testing.T) {
	golden, err := os.ReadFile(filepath.Join("testdata", "manifest.ndjson"))
	require.NoError(t, err)
	design, err := os.ReadFile("../DESIGN.md")
	require.NoError(t, err)
	require.Contains(t, string(design), string(golden))
}

// A manifest of a later format is not taken for a damaged one.
func TestLaterFormat(t *testing.T) {
	_, err := decodeManifest([]byte(`{"format":2,"numbers":[1]}` + "\n"))
	require.ErrorIs(t, err, ropewalk.ErrUnsupportedFormat)
}

package feed

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
)

// The bytes that are stored, and what they say. DESIGN.md describes them.

func golden(t *testing.T, name string) []byte {
	content, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return content
}

func idOf(t *testing.T, last string) changeset.ID {
	id, err := changeset.ParseID("01991f3c-8a4e-7c1b-9d0e-5b1c6a7f2e" + last)
	require.NoError(t, err)
	return id
}

func stored(content []byte) changeset.Changeset { return changeset.Changeset{Content: content} }

func goldenBatch(t *testing.T) batch {
	snapshot := idOf(t, "05")
	return batch{
		preamble{
			Format: 1, Source: "dynamodb-streams", Cursor: json.RawMessage(`{"stream":"a","shards":{"1":"49"}}`),
			Unread: []string{"order-9"}, Snapshot: &snapshot,
		},
		[]advance{
			{head.Advance{AggregateID: "order/4711", Last: 2, ID: idOf(t, "10")}, 0},
			{head.Advance{AggregateID: "order/4711", First: 3, Last: 3, ID: idOf(t, "11"), Before: idOf(t, "10")}, 0},
			{head.Advance{AggregateID: "<Bestellung & Lieferung>", Last: 0, ID: idOf(t, "12")}, 4294967295},
			{head.Advance{AggregateID: "order-8", First: 8, Last: 7, ID: idOf(t, "13"), Erased: true}, 0},
		},
	}
}

func TestGoldenBatch(t *testing.T) {
	want := goldenBatch(t)
	content, err := want.encode()
	require.NoError(t, err)
	require.Equal(t, string(golden(t, "batch.ndjson")), string(content))
	got, err := decodeBatch(stored(golden(t, "batch.ndjson")))
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// While a sweep is under way, the cursor is null.
func TestGoldenSweepingBatch(t *testing.T) {
	want := batch{preamble: preamble{Format: 1, Source: "listing"}}
	content, err := want.encode()
	require.NoError(t, err)
	require.Equal(t, string(golden(t, "sweeping.ndjson")), string(content))
	got, err := decodeBatch(stored(content))
	require.NoError(t, err)
	require.Nil(t, got.cursorOf("listing"))
	require.Empty(t, got.advances)
}

func TestGoldenRegistrations(t *testing.T) {
	for name, want := range map[string]registration{
		"registration.json": {Format: 1, Generation: "00c0ffee00c0ffee", Source: "dynamodb-streams"},
		"dropped.json":      {Format: 1, Generation: noGeneration, Dropped: "00c0ffee00c0ffee"},
	} {
		content, err := json.Marshal(want)
		require.NoError(t, err)
		require.Equal(t, strings.TrimSpace(string(golden(t, name))), string(content))
		got, err := parseRegistration(stored(golden(t, name)))
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestGoldenBucket(t *testing.T) {
	p := &progress{}
	p.set(keyOf("order/4711"), fed{3, partOf(idOf(t, "11")), 0})
	first := keyOf("order/4711")[0]
	p.set(key{first, 0xff, 15: 0xee}, fed{erasedVersion, 0x6a7f2e13, 0xfedcba98})
	content := golden(t, "bucket")
	require.Equal(t, content, p[first].encode())
	got, ok := decodePart(content, first)
	require.True(t, ok)
	require.Equal(t, p[first].sorted, got.sorted)
	f, known := got.get(keyOf("order/4711"))
	require.True(t, known)
	require.Equal(t, fed{3, 0x6a7f2e11, 0}, f)
}

func TestGoldenManifest(t *testing.T) {
	bucketID, previous, sum := idOf(t, "20"), idOf(t, "05"), changeset.Digest{1, 2, 3}
	want := manifest{
		Format: 1, Version: 4097, ID: idOf(t, "21"), Digest: changeset.Digest{31: 9}, Previous: &previous,
		Buckets: make([]bucket, buckets), Waypoints: []changeset.ID{idOf(t, "01"), idOf(t, "02")},
	}
	want.Buckets[7] = bucket{&bucketID, 2, &sum}
	content, err := json.Marshal(want)
	require.NoError(t, err)
	require.Equal(t, strings.TrimSpace(string(golden(t, "manifest.json"))), string(content))
	f := newTestFeed(t)
	id, _, err := f.state.putObject(t.Context(), golden(t, "manifest.json"), "application/json")
	require.NoError(t, err)
	got, err := f.state.readManifest(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestGoldenPositions(t *testing.T) {
	for text, want := range map[string]Position{
		"": {},
		"c.00c0ffee00c0ffee.17.AZkfPIpOfBudDlscan8uEA.3.41": {generation: "00c0ffee00c0ffee", at: 17, id: idOf(t, "10"), line: 3, version: 41},
		"l.00c0ffee00c0ffee.17.0102030405060708.41":         {generation: "00c0ffee00c0ffee", at: 17, mark: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}, version: 41},
	} {
		require.Equal(t, text, want.String())
		got, err := ParsePosition(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

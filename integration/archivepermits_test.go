//go:build integration

package integration_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/archive"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/feed"
	"ropewalk/internal/permits"
)

// DuckDB reads every row of an archive as the chains have it.
func TestDuckDBReadsAnArchiveOfPermits(t *testing.T) {
	t.Parallel()
	a := &analytics{T: t, folder: t.TempDir(), db: memstore.New()}
	a.store = ropewalk.New(a.db, a.db, nil)
	lines, err := permits.Log(400)
	require.NoError(t, err)
	for _, l := range lines {
		a.append(l.Aggregate, changeset.Draft{Content: l.Text, ContentType: aggregate.ContentType})
	}
	_, err = archive.Open(archive.NewFolder(a.path("orders-archive")), &archive.Options{BatchRows: len(lines)/3 + 1}).Run(t.Context(), feed.Open(a.store, nil))
	require.NoError(t, err)

	s := statements{Run: []string{statementsOf(t, "../docs/analytics.md").Run[0], `
		SELECT aggregate, version, index, changeset_id, digest, content_type, type, event_id,
			epoch_us(time) AS time, epoch_us(recorded_at) AS recorded_at,
			CAST(data AS VARCHAR) AS data, CAST(envelope AS VARCHAR) AS envelope, CAST(metadata AS VARCHAR) AS metadata
		FROM events ORDER BY aggregate, version, index`}}
	var want []archive.Row
	for c := range a.changesets() {
		for row := range archive.RowsOf(c, feed.Position{}) {
			want = append(want, row)
		}
	}
	got := s.ask(t, a.folder)[0]
	require.Len(t, got, len(lines))
	byPlace := map[string]map[string]any{}
	for _, row := range got {
		byPlace[fmt.Sprint(row["aggregate"], "@", row["version"], ".", row["index"])] = row
	}
	for _, row := range want {
		require.Equal(t, map[string]any{
			"aggregate": row.Aggregate, "version": float64(row.Version), "index": float64(row.Index),
			"changeset_id": row.ChangesetID.String(), "digest": row.Digest.String(), "content_type": row.ContentType,
			"type": row.Type, "event_id": nil, "time": float64(row.Time.UnixMicro()), "recorded_at": float64(row.RecordedAt.UnixMicro()),
			"data": row.Data, "envelope": row.Envelope, "metadata": nil,
		}, byPlace[fmt.Sprint(row.Aggregate, "@", row.Version, ".", row.Index)])
	}
	for proof, err := range archive.Open(archive.NewFolder(a.path("orders-archive")), nil).Verify(t.Context(), a.store) {
		require.NoError(t, err)
		require.Empty(t, proof.Findings)
	}
}

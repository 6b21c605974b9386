package archive

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/feed"
)

const golden = "testdata/format-1.parquet"

// goldenRows are the rows of the golden file.
func goldenRows(t *testing.T) []Row {
	position, err := feed.ParsePosition("l.2d6ed212914c4414.8577.a38f446634e6b61a.5")
	require.NoError(t, err)
	id, err := changeset.ParseID("01a22257-87fe-796a-a1b1-a79aec140481")
	require.NoError(t, err)
	base := Row{
		Aggregate: "order-7", Version: 3, Position: position, RecordedAt: time.Date(2026, 11, 28, 13, 28, 11, 518605000, time.UTC),
		ChangesetID: id, Digest: changeset.Digest{1, 2, 3}, ContentType: "application/x-ndjson",
	}
	event, other, binary := base, base, base
	event.Type, event.EventID, event.Time = "line-added", "e1", time.Date(1969, 12, 31, 23, 59, 59, 999999000, time.UTC)
	event.Data, event.Metadata = `{"Item": "rope"}`, `{"correlation":"91c2"}`
	event.Envelope = `{"type":"line-added","id":"e1","data":null,"meta":{"correlation":"91c2"}}` + "\n"
	other.Index, other.Data = 1, "{}\n"
	binary.Aggregate, binary.Version, binary.Position, binary.ContentType, binary.Content = "ärger", 0, feed.Position{}, "image/png", []byte{0, 255}
	return []Row{event, other, binary}
}

// Files of format 1 stay readable. The file has what the first version wrote for the rows.
func TestFilesOfFormat1(t *testing.T) {
	file, err := os.ReadFile(golden)
	require.NoError(t, err)
	var rows []Row
	for row, err := range Read(bytes.NewReader(file), int64(len(file))) {
		require.NoError(t, err)
		rows = append(rows, row)
	}
	require.Equal(t, goldenRows(t), rows)
}

// The columns and their types are part of the format.
func TestColumnsOfFormat1(t *testing.T) {
	require.Equal(t, `message {
	required binary aggregate (STRING);
	required int64 version (INT(64,true));
	required int32 index (INT(32,true));
	optional binary position (STRING);
	optional binary type (STRING);
	optional int64 time (TIMESTAMP(isAdjustedToUTC=true,unit=MICROS));
	required int64 recorded_at (TIMESTAMP(isAdjustedToUTC=true,unit=MICROS));
	optional binary data (JSON);
	optional binary metadata (JSON);
	optional binary event_id (STRING);
	required binary changeset_id (STRING);
	required binary digest (STRING);
	required binary content_type (STRING);
	optional binary envelope (JSON);
	optional binary content;
}`, schema.String())
}

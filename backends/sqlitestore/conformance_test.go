package sqlitestore

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/backendtest"
	"ropewalk/changeset"
	"ropewalk/head"
)

func TestConformance(t *testing.T) {
	h := harness(filepath.Join(t.TempDir(), "ropewalk.db"))
	t.Run("changesets", func(t *testing.T) { backendtest.TestChangesets(t, h) })
	t.Run("heads", func(t *testing.T) { backendtest.TestHeads(t, h) })
	t.Run("combined", func(t *testing.T) { backendtest.TestCombined(t, h) })
	t.Run("transactor", func(t *testing.T) { backendtest.TestTransactor(t, h) })
	t.Run("log", func(t *testing.T) {
		backendtest.TestLog(t, harness(filepath.Join(t.TempDir(), "ropewalk.db")))
	})
}

func harness(path string) backendtest.Harness {
	return backendtest.Harness{
		Changesets: func(t testing.TB) changeset.Store { return openAt(t, path, nil) },
		Heads:      func(t testing.TB) head.Store { return openAt(t, path, nil) },
		Racers:     8, // the checks of reads during races keep all processors busy
		Listed:     2*pageSize + 5,
		InjectUnknownField: func(t testing.TB, aggregateID string) {
			tamper(t, path, `UPDATE heads SET record = substr(record, 1, length(record)-1) || ',"zone":"north"}'
				WHERE aggregate_id = ?`, changeset.Escape(aggregateID))
		},
		CorruptHead: func(t testing.TB, aggregateID string) func() {
			tamper(t, path, "UPDATE heads SET record = 'x' || record WHERE aggregate_id = ?", changeset.Escape(aggregateID))
			return func() {
				tamper(t, path, "UPDATE heads SET record = substr(record, 2) WHERE aggregate_id = ?", changeset.Escape(aggregateID))
			}
		},
		CorruptObject: func(t testing.TB, ref changeset.Ref) {
			aggregateID, object := key(ref)
			tamper(t, path, "UPDATE changesets SET header = substr(header, 2) WHERE aggregate_id = ? AND object = ?", aggregateID, object)
		},
		PutForeign: func(t testing.TB, name string) {
			aggregateID, object, _ := strings.Cut(strings.TrimPrefix(name, changeset.Folder), "/")
			tamper(t, path, insertForeign, aggregateID, []byte(object))
		},
	}
}

// insertForeign inserts a row that is not a changeset.
const insertForeign = "INSERT INTO changesets VALUES (?, ?, x'', NULL, NULL, NULL, NULL, NULL, '', x'')"

// tamper changes one row of a database, bypassing the store.
func tamper(t testing.TB, path, statement string, args ...any) {
	t.Helper()
	db, err := openDB(path, DefaultBusyTimeout, nil)
	require.NoError(t, err)
	result, err := db.ExecContext(t.Context(), statement, args...)
	require.NoError(t, err)
	n, err := result.RowsAffected()
	require.NoError(t, err)
	require.Equal(t, int64(1), n, statement)
	require.NoError(t, db.Close())
}

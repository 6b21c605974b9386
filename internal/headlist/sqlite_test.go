package headlist_test

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"
)

// damage replaces two records in a SQLite file.
func damage(t *testing.T, path string) {
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	for id, record := range map[string]string{"a": notJSON, "c": newer} {
		result, err := db.ExecContext(t.Context(), `UPDATE heads SET record = ? WHERE aggregate_id = ?`, record, id)
		require.NoError(t, err)
		n, err := result.RowsAffected()
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
	}
	require.NoError(t, db.Close())
}

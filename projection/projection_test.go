package projection_test

import (
	"path/filepath"
	"testing"
	"testing/synctest"

	_ "modernc.org/sqlite"

	"ropewalk/internal/projectiontests"
	"ropewalk/projection"
)

// sqlite is a file of SQLite.
func sqlite(t testing.TB) (driver, dsn string) {
	return "sqlite", "file:" + filepath.Join(t.TempDir(), "model.db") + "?_pragma=journal_mode(wal)&_pragma=synchronous(off)&_pragma=busy_timeout(100)"
}

var database = projectiontests.Database{
	Dialect: projection.SQLite, Open: sqlite,
	Bubble: func(t *testing.T, test func(t *testing.T)) { synctest.Test(t, test) },
}

func TestOnSQLite(t *testing.T) { projectiontests.Test(t, database) }

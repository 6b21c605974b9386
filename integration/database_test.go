//go:build integration

package integration_test

import (
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"
)

// database is what opens a database that no other test uses, in this process or
// in another one.
type database struct{ Driver, DSN string }

func (d database) open(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open(d.Driver, d.DSN)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// newPostgres returns a schema of its own, which the test's end removes.
func newPostgres(t testing.TB) database {
	t.Helper()
	server := database{"pgx", databaseVariable(t, "ROPEWALK_TEST_POSTGRES")}
	address, err := url.Parse(server.DSN)
	require.NoError(t, err)
	name := databaseName()
	execute(t, server, "CREATE SCHEMA "+name)
	t.Cleanup(func() { execute(t, server, "DROP SCHEMA "+name+" CASCADE") })
	query := address.Query()
	query.Set("search_path", name)
	address.RawQuery = query.Encode()
	return database{"pgx", address.String()}
}

// newMySQL returns a database of its own, which the test's end removes.
func newMySQL(t testing.TB) database {
	t.Helper()
	server := database{"mysql", databaseVariable(t, "ROPEWALK_TEST_MYSQL")}
	config, err := mysql.ParseDSN(server.DSN)
	require.NoError(t, err)
	name := databaseName()
	execute(t, server, "CREATE DATABASE "+name+" CHARACTER SET utf8mb4")
	t.Cleanup(func() { execute(t, server, "DROP DATABASE "+name) })
	config.DBName = name
	return database{"mysql", config.FormatDSN()}
}

func databaseVariable(t testing.TB, variable string) string {
	t.Helper()
	value := os.Getenv(variable)
	if value == "" {
		t.Fatalf("%s is not set: it must name a database server; make test starts one and sets it", variable)
	}
	return value
}

func databaseName() string { return "ropewalk_" + strings.ReplaceAll(uuid.NewString(), "-", "") }

// servers are the databases that make and remove the others: one for each server, and
// never closed.
var servers sync.Map

func execute(t testing.TB, d database, statement string) {
	t.Helper()
	db, err := sql.Open(d.Driver, d.DSN)
	require.NoError(t, err)
	first, _ := servers.LoadOrStore(d, db)
	_, err = first.(*sql.DB).Exec(statement)
	require.NoError(t, err)
}

// newSQLiteFile returns a file of its own.
func newSQLiteFile(t testing.TB) database {
	t.Helper()
	return database{"sqlite", "file:" + filepath.Join(t.TempDir(), "model.db") + "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)"}
}

// databases are the places for read models.
var databases = map[string]func(testing.TB) database{"sqlite": newSQLiteFile, "postgres": newPostgres, "mysql": newMySQL}

// Each test has a database of its own.
func TestDatabasesAreSeparate(t *testing.T) {
	for name, fresh := range databases {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				db := fresh(t).open(t)
				_, err := db.Exec("CREATE TABLE t (n BIGINT PRIMARY KEY)")
				require.NoError(t, err)
			}
		})
	}
}

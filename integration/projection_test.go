//go:build integration

package integration_test

import (
	"testing"

	"ropewalk/internal/projectiontests"
	"ropewalk/projection"
)

// The suite of package projection runs on real servers. MariaDB stands for MySQL.
func TestProjectionOnPostgreSQL(t *testing.T) { testProjection(t, projection.PostgreSQL, newPostgres) }

func TestProjectionOnMySQL(t *testing.T) { testProjection(t, projection.MySQL, newMySQL) }

func testProjection(t *testing.T, dialect projection.Dialect, fresh func(testing.TB) database) {
	t.Parallel()
	projectiontests.Test(t, projectiontests.Database{Dialect: dialect, Open: func(t testing.TB) (driver, dsn string) {
		d := fresh(t)
		return d.Driver, d.DSN
	}})
}

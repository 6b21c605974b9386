package gc_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/sqlitestore"
	"ropewalk/faults"
	"ropewalk/internal/gctest"
)

func TestInMemory(t *testing.T) {
	p, _ := inMemory(t)
	gctest.Test(t, gctest.Storage{Changesets: p.changesets, Heads: p.heads})
}

func TestInSQLite(t *testing.T) {
	db, err := sqlitestore.Open(filepath.Join(t.TempDir(), "ropewalk.db"), nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	gctest.Test(t, gctest.Storage{Changesets: db, Heads: faults.TwoSteps(db)})
}

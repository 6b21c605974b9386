package collect_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/sqlitestore"
	"ropewalk/faults"
	"ropewalk/internal/collecttest"
)

func TestInMemory(t *testing.T) {
	p, _ := inMemory(t)
	collecttest.Test(t, collecttest.Storage{Changesets: p.changesets, Heads: p.heads})
}

func TestInSQLite(t *testing.T) {
	db, err := sqlitestore.Open(filepath.Join(t.TempDir(), "ropewalk.db"), nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	collecttest.Test(t, collecttest.Storage{Changesets: db, Heads: faults.TwoSteps(db)})
}

package ropewalk_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"ropewalk"
	"ropewalk/backends/sqlitestore"
	"ropewalk/changeset"
)

// TestBusyDatabaseIsTheCause: another program holds the lock of the database for
// longer than an append takes. The error names the lock, whichever time is up
// first, and no deadline that the caller has not set.
func TestBusyDatabaseIsTheCause(t *testing.T) {
	for name, settle := range map[string]time.Duration{
		"both": sqlitestore.DefaultBusyTimeout, "append first": time.Second, "store first": time.Minute,
	} {
		path := filepath.Join(t.TempDir(), "ropewalk.db")
		synctest.Test(t, func(t *testing.T) {
			db, err := sqlitestore.Open(path, nil)
			require.NoError(t, err)
			defer db.Close()
			other, err := sql.Open("sqlite", path)
			require.NoError(t, err)
			defer other.Close()
			other.SetMaxOpenConns(1)
			_, err = other.ExecContext(t.Context(), "BEGIN IMMEDIATE")
			require.NoError(t, err)

			chain := ropewalk.New(db, db, &ropewalk.Options{SettleTimeout: settle}).Chain("order-1")
			_, err = chain.Create(t.Context(), changeset.Draft{Content: []byte("one")})
			require.ErrorIs(t, err, sqlitestore.ErrBusy, name)
			require.NotErrorIs(t, err, context.DeadlineExceeded, name)

			ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
			defer cancel()
			_, err = chain.Create(ctx, changeset.Draft{Content: []byte("one")})
			require.ErrorIs(t, err, sqlitestore.ErrBusy, name)
			require.ErrorIs(t, err, context.DeadlineExceeded, name)
			_, err = other.ExecContext(t.Context(), "ROLLBACK")
			require.NoError(t, err)
		})
	}
}

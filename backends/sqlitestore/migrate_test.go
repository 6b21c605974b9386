package sqlitestore

import (
	"context"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// golden returns a copy of a file of schema 2, which an older version has written.
func golden(t *testing.T) string { return goldenOf(t, schemaWithoutLog) }

// goldenOf returns a copy of the file that the last version with a schema has written.
func goldenOf(t *testing.T, schema int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ropewalk.db")
	copyFile(t, fmt.Sprintf("testdata/schema-%d.sqlite", schema), path)
	return path
}

func schemaOf(t *testing.T, path string) (version int) {
	t.Helper()
	conn := raw(t, path)
	require.NoError(t, conn.QueryRowContext(t.Context(), "PRAGMA user_version").Scan(&version))
	require.NoError(t, conn.Close())
	return version
}

// without gives a store of this version the tables of the version without a log.
func without(t *testing.T, path string) { older(t, path, schemaWithoutLog) }

// requireMigrated demands what the golden file holds, with its log.
func requireMigrated(t *testing.T, s *Store) {
	t.Helper()
	var got []string
	for _, e := range entries(t, s) {
		a := e.Advance
		require.Zero(t, a.Before)
		got = append(got, fmt.Sprintf("%s %d-%d %v", a.AggregateID, a.First, a.Last, a.Erased))
		h, err := s.Load(t.Context(), a.AggregateID)
		require.NoError(t, err)
		require.Equal(t, h.ID, a.ID)
	}
	require.Equal(t, []string{"order-3 0-1 true", "order-4 0-0 false", "order/é 0-0 false", "order-2 0-1 false", "order-1 0-2 false"}, got)
	require.NoError(t, s.VerifyLog(t.Context()))
	findings, err := s.Check(t.Context())
	require.NoError(t, err)
	require.Empty(t, findings)
	for _, id := range []string{"order-1", "order-2", "order-4", "order/é", "$feed", "$subscription-mail"} {
		h, err := s.Load(t.Context(), id)
		require.NoError(t, err)
		requireChain(t, s, h, head.Head{})
	}
}

func TestOpenMigrates(t *testing.T) {
	for _, options := range []*Options{nil, {MustExist: true}} {
		path := golden(t)
		require.Equal(t, schemaWithoutLog, schemaOf(t, path))
		s := openAt(t, path, options)
		require.Equal(t, schemaVersion, schemaOf(t, path))
		requireMigrated(t, s)
		end, err := s.LogEnd(t.Context())
		require.NoError(t, err)

		again := openAt(t, path, options)
		require.NoError(t, again.Provision(t.Context()))
		require.NoError(t, Migrate(t.Context(), path, nil))
		same, err := again.LogEnd(t.Context())
		require.NoError(t, err)
		require.Equal(t, end, same, "it was migrated twice")

		h, err := s.Load(t.Context(), "order-1")
		require.NoError(t, err)
		appendTo(t, s, h, "order-1", "after the migration")
		for page, err := range s.Entries(t.Context(), end, false) {
			require.NoError(t, err)
			require.Equal(t, h.Version+1, page[1].Advance.First)
			require.Equal(t, h.ID, page[1].Advance.Before)
		}
		require.NoError(t, s.VerifyLog(t.Context()))
	}
}

func TestMigrate(t *testing.T) {
	path := golden(t)
	require.NoError(t, Migrate(t.Context(), path, nil))
	require.Equal(t, schemaVersion, schemaOf(t, path))
	requireMigrated(t, openAt(t, path, nil))

	missing := filepath.Join(t.TempDir(), "missing.db")
	require.ErrorIs(t, Migrate(t.Context(), missing, nil), fs.ErrNotExist)
	write(t, missing, "")
	require.ErrorIs(t, Migrate(t.Context(), missing, nil), ErrNotRopewalk)
	info, err := os.Stat(missing)
	require.NoError(t, err)
	require.Zero(t, info.Size(), "a store was made of an empty file")
}

// TestMigrationsDiffer: a file that is migrated twice, from a backup, has two logs.
func TestMigrationsDiffer(t *testing.T) {
	generations := map[string]bool{}
	for range 3 {
		end, err := openAt(t, golden(t), nil).LogEnd(t.Context())
		require.NoError(t, err)
		require.False(t, generations[end.Generation])
		generations[end.Generation] = true
	}
}

// TestOldFilesAreCheckedAndRestored: only Open and Migrate change an old file.
func TestOldFilesAreCheckedAndRestored(t *testing.T) {
	path := golden(t)
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	findings, err := CheckFile(t.Context(), path)
	require.NoError(t, err)
	require.Empty(t, findings)
	target := filepath.Join(t.TempDir(), "restored.db")
	_, err = Restore(t.Context(), path, target)
	require.NoError(t, err)
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.Equal(t, schemaWithoutLog, schemaOf(t, target))
	requireMigrated(t, openAt(t, target, nil))

	raw(t, path).run(t, "CREATE TABLE log (a)")
	requireFinding(t, path, "log is foreign")
	_, err = Open(path, nil)
	require.ErrorAs(t, err, new(*changeset.CorruptError))
	require.Equal(t, schemaWithoutLog, schemaOf(t, path))
}

// TestMigrationOfADamagedHead names the head and changes nothing.
func TestMigrationOfADamagedHead(t *testing.T) {
	for _, change := range []string{"record = record || ' '", "record = 'x'", "digest = x''"} {
		path := golden(t)
		tamper(t, path, "UPDATE heads SET "+change+" WHERE aggregate_id = 'order-2'")
		_, err := Open(path, nil)
		requireCorrupt(t, err, "sqlite:"+path+"#heads/order-2")
		requireCorrupt(t, Migrate(t.Context(), path, nil), "sqlite:"+path+"#heads/order-2")
		require.Equal(t, schemaWithoutLog, schemaOf(t, path))
		findings, err := CheckFile(t.Context(), path)
		require.NoError(t, err)
		require.Empty(t, findings, "a half log is there")

		tamper(t, path, "DELETE FROM heads WHERE aggregate_id = 'order-2'")
		require.Len(t, entries(t, openAt(t, path, nil)), 4)
	}
}

func TestMigrationWaitsAndGivesUp(t *testing.T) {
	path := golden(t)
	other := raw(t, path)
	other.run(t, "BEGIN IMMEDIATE")
	options := &Options{BusyTimeout: 20 * time.Millisecond}
	require.ErrorIs(t, Migrate(t.Context(), path, options), ErrBusy)
	_, err := Open(path, options)
	require.ErrorIs(t, err, ErrBusy)
	other.run(t, "ROLLBACK")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, Migrate(ctx, path, nil), context.Canceled)
	require.Equal(t, schemaWithoutLog, schemaOf(t, path))
	require.NoError(t, Migrate(t.Context(), path, options))
}

// TestOlderSchemaStopsWriters puts an older database in the place of the store's,
// in the same file.
func TestOlderSchemaStopsWriters(t *testing.T) {
	s := open(t)
	h := appendTo(t, s, head.Head{}, "order-1", "one")
	without(t, s.path)
	_, err := tryAppend(s, h, "order-1", "two")
	requireRefused(t, err, false)
	require.ErrorIs(t, err, changeset.ErrUnsupportedFormat)
	require.ErrorContains(t, err, "open it again")
	h = appendTo(t, openAt(t, s.path, nil), h, "order-1", "two")
	appendTo(t, s, h, "order-1", "three")
	requireLogOf(t, s)
}

// TestMigrationOfLargeVersions: a version needs all its 64 bits.
func TestMigrationOfLargeVersions(t *testing.T) {
	const version = math.MaxUint64 - 1<<12 // whose index is full
	var packed []byte
	for _, n := range []byte{15, 15, 15, 6} {
		packed = append(packed, n)
		for range n {
			id := changeset.NewID()
			packed = append(packed, id[:]...)
		}
	}
	index, err := changeset.ParseIndex(version, packed)
	require.NoError(t, err)
	s := open(t)
	_, h := extend(t, head.Head{}, "order-1", "one")
	h.Version, h.ID, h.Ancestors = version-1, index.Parent(), index
	_, err = s.Swap(t.Context(), head.Head{}, link.Tombstone(h))
	require.NoError(t, err)
	want := entries(t, s)[0].Advance
	require.Equal(t, uint64(version-1), want.Last)
	require.NoError(t, s.Close())
	without(t, s.path)
	require.Equal(t, want, entries(t, openAt(t, s.path, nil))[0].Advance)
}

// oldWithMany returns a file of schema 2 with many heads.
func oldWithMany(t *testing.T, heads int) string {
	t.Helper()
	s := open(t)
	h := appendTo(t, s, head.Head{}, "order-0", "one")
	require.NoError(t, s.Close())
	without(t, s.path)
	conn := raw(t, s.path)
	conn.run(t, fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO heads SELECT 'order-' || i, replace(record, '"order-0"', '"order-' || i || '"'), ancestors, digest FROM heads, n`, heads-1),
		"PRAGMA wal_checkpoint(TRUNCATE)")
	require.NoError(t, conn.Close())
	require.True(t, h.Exists())
	return s.path
}

// TestProcessesMigrate lets processes open the same old file at once.
func TestProcessesMigrate(t *testing.T) {
	path := oldWithMany(t, 500)
	processes := make([]*process, 6)
	for i := range processes {
		processes[i] = start(t, "provisioner", path)
		require.True(t, processes[i].stdout.Scan(), "not ready")
	}
	for _, p := range processes {
		require.NoError(t, p.stdin.Close())
	}
	for _, p := range processes {
		require.Empty(t, p.lines())
		require.NoError(t, p.Wait())
	}
	s := openAt(t, path, &Options{MustExist: true})
	require.Len(t, entries(t, s), 500+len(processes))
	requireLogOf(t, s)
}

// TestMigrationIsKilled kills a migration again and again at random moments: the
// file has no log, or a whole one.
func TestMigrationIsKilled(t *testing.T) {
	const heads = 1000
	times := 20
	if testing.Short() {
		times = 4
	}
	path := oldWithMany(t, heads)
	copied := filepath.Join(t.TempDir(), "copy.db")
	outcomes := map[int]int{}
	for n := 0; n < times || n < 10*times && outcomes[schemaWithoutLog] == 0; n++ { // a fast one escapes
		copyFile(t, path, copied)
		for _, name := range []string{walOf(copied), shmOf(copied)} {
			_ = os.Remove(name)
		}
		p := start(t, "migrator", copied)
		require.True(t, p.stdout.Scan(), "not ready")
		require.NoError(t, p.stdin.Close())
		time.Sleep(rand.N(time.Duration(1+n%times) * 8 * time.Millisecond))
		_ = p.Process.Kill()
		p.lines()
		_ = p.Wait()
		findings, err := CheckFile(t.Context(), copied)
		require.NoError(t, err)
		require.Empty(t, findings)
		version := schemaOf(t, copied)
		outcomes[version]++
		s := openAt(t, copied, nil)
		require.Len(t, entries(t, s), heads)
		requireLogOf(t, s)
		require.NoError(t, s.Close())
	}
	t.Log(outcomes)
	require.NotZero(t, outcomes[schemaWithoutLog], "no migration was killed")
}

// migrateOnCue migrates a file.
func migrateOnCue(path string) error {
	fmt.Println("ready")
	awaitCue()
	return Migrate(context.Background(), path, nil)
}

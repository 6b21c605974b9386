package sqlitestore

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
)

func TestOpenCreates(t *testing.T) {
	for _, name := range []string{"ropewalk.db", "with space.db", "100%25?mode=memory#x.db", ":memory:", "ünïcode.db"} {
		path := filepath.Join(t.TempDir(), name)
		s := openAt(t, path, nil)
		h := appendTo(t, s, head.Head{}, "order-1", "one")
		require.FileExists(t, path)
		again := openAt(t, path, &Options{MustExist: true})
		loaded, err := again.Load(t.Context(), "order-1")
		require.NoError(t, err)
		require.Equal(t, h, loaded)
		require.True(t, s.Holds(again))
		require.Equal(t, "sqlite:"+path+"#"+h.ObjectName(), s.Locate(h.Ref))
		require.Equal(t, "sqlite:"+path+"#heads/order-1", s.LocateHead("order-1"))
	}
}

// TestCommitsAreSynced holds the connection that writes to the settings that
// durability rests on.
func TestCommitsAreSynced(t *testing.T) {
	s := open(t)
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "journal_size_limit": "67108864"} {
		var got string
		require.NoError(t, s.session.conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got))
		require.Equal(t, want, got, pragma)
	}
}

func TestOpenOfARelativePathOutlivesChdir(t *testing.T) {
	t.Chdir(t.TempDir())
	s := openAt(t, "ropewalk.db", nil)
	t.Chdir(t.TempDir())
	h := appendTo(t, s, head.Head{}, "order-1", "one")
	_, err := s.Load(t.Context(), "order-1")
	require.NoError(t, err)
	require.NoFileExists(t, "ropewalk.db")

	// Another store with the same relative path in the new folder.
	other := openAt(t, "ropewalk.db", nil)
	require.NoError(t, os.Chmod("ropewalk.db", 0o604))
	findings, err := s.Check(t.Context())
	require.NoError(t, err)
	require.Empty(t, findings, "the check looked at the other file")
	require.NoError(t, s.Provision(t.Context()))
	require.NoError(t, s.Backup(t.Context(), "copy.db"))
	copied := openAt(t, "copy.db", &Options{MustExist: true})
	loaded, err := copied.Load(t.Context(), "order-1")
	require.NoError(t, err)
	require.Equal(t, h, loaded, "the backup is of the other file")
	require.False(t, s.Holds(other))
	require.True(t, filepath.IsAbs(s.path))
}

func TestOnlyTheOwnerMayUseTheFiles(t *testing.T) {
	s := open(t)
	appendTo(t, s, head.Head{}, "order-1", "one")
	for _, name := range []string{s.path, s.path + "-wal", s.path + "-shm"} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode().Perm(), name)
	}
	require.NoError(t, s.Close())
	require.NoFileExists(t, s.path+"-wal", "the closed file is not complete")
}

func TestOpenMustExist(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ropewalk.db")
	_, err := Open(path, &Options{MustExist: true})
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.EqualError(t, err, path+" does not exist")
	require.NoFileExists(t, path)

	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, err = Open(path, &Options{MustExist: true})
	require.ErrorIs(t, err, ErrNotRopewalk)
	require.ErrorContains(t, err, "empty")
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Empty(t, content)
	openAt(t, path, nil)
}

func TestOpenFails(t *testing.T) {
	dir := t.TempDir()
	for _, opts := range []*Options{nil, {MustExist: true}} {
		folder := filepath.Join(dir, "missing")
		_, err := Open(filepath.Join(folder, "ropewalk.db"), opts)
		require.ErrorIs(t, err, fs.ErrNotExist)
		require.EqualError(t, err, "folder "+folder+" does not exist")

		target, link := filepath.Join(dir, "gone.db"), filepath.Join(t.TempDir(), "link.db")
		require.NoError(t, os.Symlink(target, link))
		_, err = Open(link, opts)
		require.ErrorIs(t, err, fs.ErrNotExist)
		require.EqualError(t, err, link+" is a symbolic link to "+target+", which does not exist")
		require.NoFileExists(t, target)
	}
	_, err := Open(dir, nil)
	require.ErrorIs(t, err, ErrNotRopewalk)
	_, err = Open("", nil)
	require.Error(t, err)
}

// TestOpenLeavesOthersAlone opens files that are not ours, or no longer ours.
func TestOpenLeavesOthersAlone(t *testing.T) {
	ofVersion := func(version int) string {
		return fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, version)
	}
	for name, other := range map[string]struct {
		make func(path string)
		want error
	}{
		"text":          {func(path string) { write(t, path, "This is a letter to my aunt, and it is long enough.") }, ErrNotRopewalk},
		"another table": {func(path string) { write(t, path, ""); raw(t, path).run(t, "CREATE TABLE t (a)") }, ErrNotRopewalk},
		"another id":    {func(path string) { write(t, path, ""); raw(t, path).run(t, "PRAGMA application_id = 7") }, ErrNotRopewalk},
		"no version": {func(path string) {
			write(t, path, "")
			raw(t, path).run(t, fmt.Sprintf("PRAGMA application_id = %d", applicationID))
		}, ErrNotRopewalk},
		"a newer version":  {func(path string) { write(t, path, ""); raw(t, path).run(t, ofVersion(schemaVersion+1)) }, changeset.ErrUnsupportedFormat},
		"an older version": {func(path string) { write(t, path, ""); raw(t, path).run(t, ofVersion(schemaWithoutLog-1)) }, changeset.ErrUnsupportedFormat},
	} {
		for _, opts := range []*Options{nil, {MustExist: true}} {
			path := filepath.Join(t.TempDir(), "other.db")
			other.make(path)
			before, err := os.ReadFile(path)
			require.NoError(t, err)
			_, err = Open(path, opts)
			require.ErrorIs(t, err, other.want, name)
			require.ErrorContains(t, err, path)
			after, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, before, after, name)
			findings, err := CheckFile(t.Context(), path)
			require.NoError(t, err)
			require.Len(t, findings, 1, name)
		}
	}
}

func write(t testing.TB, path, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

// TestOpenOfABusyDatabase opens a file that another program keeps to itself.
func TestOpenOfABusyDatabase(t *testing.T) {
	s := open(t)
	require.NoError(t, s.Close())
	raw(t, s.path).run(t, "PRAGMA locking_mode = EXCLUSIVE", "BEGIN IMMEDIATE")
	for _, opts := range []Options{{BusyTimeout: time.Millisecond}, {BusyTimeout: 50 * time.Millisecond, MustExist: true}} {
		began := time.Now()
		_, err := Open(s.path, &opts)
		require.ErrorIs(t, err, ErrBusy)
		require.GreaterOrEqual(t, time.Since(began), opts.BusyTimeout)
	}
}

// TestNewerSchemaStopsWriters lets a newer version change the file while the
// store is open.
func TestNewerSchemaStopsWriters(t *testing.T) {
	s := open(t)
	h := appendTo(t, s, head.Head{}, "order-1", "one")
	raw(t, s.path).run(t, fmt.Sprintf("PRAGMA user_version = %d", schemaVersion+1))
	changesets, next := extend(t, h, "order-1", "two")
	require.ErrorIs(t, s.Put(t.Context(), changesets[0]), changeset.ErrUnsupportedFormat)
	_, err := s.Commit(t.Context(), changesets, h, next)
	var refused *head.NotAppliedError
	require.ErrorAs(t, err, &refused)
	require.False(t, refused.Retryable)
	require.ErrorIs(t, err, changeset.ErrUnsupportedFormat)
	require.ErrorIs(t, s.Provision(t.Context()), changeset.ErrUnsupportedFormat)
}

func TestProvisionIsIdempotent(t *testing.T) {
	s := open(t)
	h := appendTo(t, s, head.Head{}, "order-1", "one")
	for range 2 {
		require.NoError(t, s.Provision(t.Context()))
	}
	loaded, err := s.Load(t.Context(), "order-1")
	require.NoError(t, err)
	require.Equal(t, h, loaded)
}

func TestHoldsNoOtherFile(t *testing.T) {
	s, other := open(t), open(t)
	require.True(t, s.Holds(s))
	require.False(t, s.Holds(other))
	link := filepath.Join(t.TempDir(), "link.db")
	require.NoError(t, os.Symlink(s.path, link))
	require.True(t, s.Holds(openAt(t, link, nil)))
}

func TestClosed(t *testing.T) {
	s := open(t)
	h := appendTo(t, s, head.Head{}, "order-1", "one")
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())

	changesets, next := extend(t, h, "order-1", "two")
	_, err := s.Commit(t.Context(), changesets, h, next)
	var refused *head.NotAppliedError
	require.ErrorAs(t, err, &refused)
	require.False(t, refused.Retryable)
	require.ErrorIs(t, err, fs.ErrClosed)
	_, err = s.Load(t.Context(), "order-1")
	require.ErrorIs(t, err, fs.ErrClosed)
	_, err = s.Get(t.Context(), h.Ref, nil)
	require.ErrorIs(t, err, fs.ErrClosed)
	require.ErrorIs(t, s.Put(t.Context(), changesets[0]), fs.ErrClosed)
	require.ErrorIs(t, s.Delete(t.Context(), h.Ref), fs.ErrClosed)
	for _, err := range s.List(t.Context(), "") {
		require.ErrorIs(t, err, fs.ErrClosed)
	}
}

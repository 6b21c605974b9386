package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/commitlog"
	"ropewalk/internal/link"
)

// entries returns the whole log.
func entries(t testing.TB, s *Store) (all []head.LogEntry) {
	t.Helper()
	for page, err := range s.Entries(t.Context(), head.LogPosition{}, false) {
		require.NoError(t, err)
		require.LessOrEqual(t, len(page), commitlog.Page)
		all = append(all, page...)
	}
	return all
}

// requireLogOf demands a sound log of whole histories that end in the heads of
// the store.
func requireLogOf(t testing.TB, s *Store) {
	t.Helper()
	require.NoError(t, s.VerifyLog(t.Context()))
	logged := map[string]head.Advance{}
	for _, e := range entries(t, s) {
		last, known := logged[e.Advance.AggregateID]
		require.Equal(t, known, e.Advance.First > 0, "%+v", e)
		if known {
			require.Equal(t, last.Last+1, e.Advance.First)
			require.Equal(t, last.ID, e.Advance.Before)
		}
		logged[e.Advance.AggregateID] = e.Advance
	}
	heads := 0
	for h, err := range s.List(t.Context(), "") {
		require.NoError(t, err)
		require.Equal(t, h.ID, logged[h.AggregateID].ID)
		require.Equal(t, h.Version, logged[h.AggregateID].Last)
		heads++
	}
	require.Len(t, logged, heads)
}

// TestLogOfAGroupCommit: a conflict and a failure write no row, and the rows of the
// others follow each other.
func TestLogOfAGroupCommit(t *testing.T) {
	s := open(t)
	first, next1 := extend(t, head.Head{}, "order-1", "one")
	rival, rivalNext := extend(t, head.Head{}, "order-1", "rival")
	bad, badNext := extend(t, head.Head{}, "order-2", "one")
	last, lastNext := extend(t, head.Head{}, "order-3", "one")
	write := writing(t, s, bad, head.Head{}, badNext)
	outcomes := together(t, s,
		writing(t, s, first, head.Head{}, next1),
		writing(t, s, rival, head.Head{}, rivalNext),
		func() error { return errors.Join(write(), errors.New("invalid")) },
		writing(t, s, last, head.Head{}, lastNext))
	require.NoError(t, outcomes[0])
	require.Error(t, outcomes[1])
	require.Error(t, outcomes[2])
	require.NoError(t, outcomes[3])
	require.Len(t, entries(t, s), 2)
	requireLogOf(t, s)
}

// TestLogOfManyStores lets stores of one file take turns.
func TestLogOfManyStores(t *testing.T) {
	s := open(t)
	other := openAt(t, s.path, nil)
	var h head.Head
	for i := range 20 {
		h = appendTo(t, []*Store{s, other, s}[i%3], h, "order-1", "one", "two")
	}
	require.Len(t, entries(t, s), 20)
	requireLogOf(t, other)
}

// TestKnownEndOfTheLogIsNotRead appends while the end of the log cannot be read:
// a store that has written the newest row knows it.
func TestKnownEndOfTheLogIsNotRead(t *testing.T) {
	s := open(t)
	h := appendTo(t, s, head.Head{}, "order-1", "one")
	require.NoError(t, s.session.log.newest.Close())
	for range 3 {
		h = appendTo(t, s, h, "order-1", "more")
	}
	requireLogOf(t, s)
	appendTo(t, openAt(t, s.path, nil), h, "order-1", "by another")
	_, err := tryAppend(s, head.Head{}, "order-2", "one")
	require.Error(t, err, "it wrote after a row that it had not read")
}

// TestLoopPinsNoWAL folds the WAL into the file, and truncates it, while a loop over
// the log works. An open statement would prevent it.
func TestLoopPinsNoWAL(t *testing.T) {
	s := open(t)
	h := head.Head{}
	for range commitlog.Page + 10 {
		h = appendTo(t, s, h, "order-1", "one")
	}
	conn := raw(t, s.path)
	pages := 0
	for page, err := range s.Entries(t.Context(), head.LogPosition{}, true) {
		require.NoError(t, err)
		var busy, logged, folded int
		require.NoError(t, conn.QueryRowContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &logged, &folded))
		require.Zero(t, busy, "something is open after page %d", pages)
		info, err := os.Stat(walOf(s.path))
		require.NoError(t, err)
		require.Zero(t, info.Size())
		h = appendTo(t, s, h, "order-1", "while it works")
		if pages++; len(page) == 0 || pages == 5 {
			break
		}
	}
	require.Equal(t, 5, pages)
}

// TestFollowerLooksBeforeItReads commits by another connection when a follower that
// has read everything looks at the state. A follower that read before it looked
// would wait, in the state that the commit has made.
func TestFollowerLooksBeforeItReads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ropewalk.db")
	synctest.Test(t, func(t *testing.T) {
		s, other := openAt(t, path, nil), openAt(t, path, nil)
		h := appendTo(t, other, head.Head{}, "order-1", "one")
		looks := 0
		s.watch.check = func() error {
			if looks++; looks == 2 {
				appendTo(t, other, h, "order-1", "two")
			}
			return nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		var got []head.LogEntry
		for page, err := range s.Entries(ctx, head.LogPosition{}, true) {
			require.NoError(t, err, "it missed a commit")
			if got = append(got, page...); len(got) == 2 {
				break
			}
		}
		require.GreaterOrEqual(t, looks, 2)
	})
}

// TestFollowersWake measures in virtual time how soon a follower notices commits.
func TestFollowersWake(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ropewalk.db")
	synctest.Test(t, func(t *testing.T) {
		s, other := openAt(t, path, nil), openAt(t, path, nil)
		noticed := make(chan time.Time, 1)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			for page, err := range s.Entries(ctx, head.LogPosition{}, true) {
				if err != nil {
					ended <- err
				} else if len(page) > 0 {
					noticed <- time.Now()
				}
			}
		}()
		time.Sleep(pollInterval/2 + time.Second)
		began := time.Now()
		h := appendTo(t, s, head.Head{}, "order-1", "one")
		require.Equal(t, began, <-noticed, "a commit of its own store")
		time.Sleep(time.Second)
		began = time.Now()
		appendTo(t, other, h, "order-1", "two")
		require.LessOrEqual(t, (<-noticed).Sub(began), pollInterval)
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}

// TestCloseEndsFollowers closes the store while followers wait, and from the loop
// of one.
func TestCloseEndsFollowers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ropewalk.db")
	synctest.Test(t, func(t *testing.T) {
		s := openAt(t, path, nil)
		appendTo(t, s, head.Head{}, "order-1", "one")
		following := async(func() (err error) {
			for _, err = range s.Entries(t.Context(), head.LogPosition{}, true) {
			}
			return err
		})
		time.Sleep(time.Second)
		synctest.Wait()
		var last error
		for _, err := range s.Entries(t.Context(), head.LogPosition{}, true) {
			last = err
			require.NoError(t, s.Close())
		}
		require.ErrorIs(t, last, fs.ErrClosed)
		require.NotErrorIs(t, last, ErrReplaced)
		require.NoFileExists(t, walOf(path), "a connection is open")
		ended := <-following
		require.ErrorIs(t, ended.err, fs.ErrClosed)
		require.NotErrorIs(t, ended.err, ErrReplaced)
		require.LessOrEqual(t, ended.took, time.Second)
		for _, err := range s.Entries(t.Context(), head.LogPosition{}, false) {
			require.ErrorIs(t, err, fs.ErrClosed)
		}
		_, err := s.LogEnd(t.Context())
		require.ErrorIs(t, err, fs.ErrClosed)
		require.ErrorIs(t, s.VerifyLog(t.Context()), fs.ErrClosed)
	})
}

// TestFollowerOfAReplacedFile: the commits that it waits for go elsewhere.
func TestFollowerOfAReplacedFile(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "ropewalk.db"), nil)
	require.NoError(t, err)
	defer s.Close()
	var last error
	for page, err := range s.Entries(t.Context(), head.LogPosition{}, true) {
		if last = err; err == nil {
			require.Empty(t, page)
			require.NoError(t, os.Rename(s.path, s.path+".old"))
		}
	}
	require.ErrorIs(t, last, ErrReplaced)
}

// TestStateOfANewConnection: a connection that has to be opened again counts from
// a number of its own.
func TestStateOfANewConnection(t *testing.T) {
	s := open(t)
	before, err := s.watch.state(t.Context())
	require.NoError(t, err)
	again, err := s.watch.state(t.Context())
	require.NoError(t, err)
	require.Equal(t, before, again)
	require.NoError(t, s.watch.conn.Close())
	_, err = s.watch.state(t.Context())
	require.Error(t, err)
	after, err := s.watch.state(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, before, after)
}

// TestLogOfARestoredStore: a position after the backup is not in the log that goes
// on from the backup, although its row is there again.
func TestLogOfARestoredStore(t *testing.T) {
	s := open(t)
	h := appendTo(t, s, head.Head{}, "order-1", "one")
	kept, err := s.LogEnd(t.Context())
	require.NoError(t, err)
	backup := filepath.Join(t.TempDir(), "backup.db")
	require.NoError(t, s.Backup(t.Context(), backup))
	appendTo(t, s, h, "order-1", "lost")
	lost, err := s.LogEnd(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.Close())
	_, err = Restore(t.Context(), backup, s.path)
	require.NoError(t, err)

	s = openAt(t, s.path, &Options{MustExist: true})
	requirePosition := func(p head.LogPosition, want error) {
		t.Helper()
		for _, err := range s.Entries(t.Context(), p, false) {
			require.ErrorIs(t, err, want)
		}
	}
	requirePosition(lost, head.ErrOtherLog)
	requirePosition(kept, nil)
	appendTo(t, s, h, "order-1", "instead")
	end, err := s.LogEnd(t.Context())
	require.NoError(t, err)
	require.Equal(t, lost.Row, end.Row)
	require.Equal(t, lost.Generation, end.Generation)
	requirePosition(lost, head.ErrOtherLog)
	requirePosition(kept, nil)
	requireLogOf(t, s)
}

// TestFollowerOfARestoredLog: the rows change while a follower waits, as SQLite's
// own restore does it, without another file.
func TestFollowerOfARestoredLog(t *testing.T) {
	s := open(t)
	appendTo(t, s, head.Head{}, "order-1", "one")
	var last error
	for page, err := range s.Entries(t.Context(), head.LogPosition{}, true) {
		last = err
		switch {
		case len(page) > 0:
			require.Equal(t, "order-1", page[0].Advance.AggregateID, "a follower went on in another history")
		case err == nil:
			raw(t, s.path).run(t, "DELETE FROM log WHERE position = 1", "DELETE FROM heads", "DELETE FROM changesets")
			h := appendTo(t, s, head.Head{}, "order-2", "another")
			appendTo(t, s, h, "order-2", "and more")
		}
	}
	require.ErrorIs(t, last, head.ErrOtherLog)
}

func TestLogOfManyPages(t *testing.T) {
	s := open(t)
	var h head.Head
	for n := range 2*commitlog.Page + 1 {
		h = appendTo(t, s, h, "order-1", "x")
		if n%50 == 0 {
			_, err := s.Swap(t.Context(), h, link.Fence(h))
			require.NoError(t, err)
			h, err = s.Load(t.Context(), "order-1")
			require.NoError(t, err)
		}
	}
	all := entries(t, s)
	require.Len(t, all, 2*commitlog.Page+1)
	for i, e := range all {
		require.Equal(t, uint64(i+1), e.Position.Row)
		require.Equal(t, uint64(i), e.Advance.Last)
	}
	requireLogOf(t, s)
}

// TestTamperedLog changes row 2 of a log of three rows and demands that every read finds
// the damage, at that row.
func TestTamperedLog(t *testing.T) {
	for name, change := range map[string]string{
		"aggregate":      "aggregate_id = 'order-2'",
		"no aggregate":   "aggregate_id = 'order%'",
		"first":          "first = first + 1",
		"last":           "last = last + 1",
		"a negative":     "last = -1",
		"changeset":      "changeset_id = randomblob(16)",
		"no changeset":   "changeset_id = x''",
		"half an ID":     "changeset_id = randomblob(8)",
		"before":         "before = randomblob(16)",
		"nothing before": "before = x''",
		"erased":         "erased = 1",
		"erased twice":   "erased = 2",
		"mark":           "mark = randomblob(8)",
		"half a mark":    "mark = randomblob(4)",
		"hash":           "hash = randomblob(32)",
		"no hash":        "hash = x''",
	} {
		s := open(t)
		appendTo(t, s, appendTo(t, s, appendTo(t, s, head.Head{}, "order-1", "one"), "order-1", "two"), "order-1", "three")
		all := entries(t, s)
		tamper(t, s.path, "UPDATE log SET "+change+" WHERE position = 2")
		requireDamagedRow(t, s, 2, name)
		for _, err := range s.Entries(t.Context(), all[1].Position, false) {
			if !errors.Is(err, head.ErrOtherLog) { // another mark
				requireCorrupt(t, err, s.locate("log/2"))
			}
		}
	}
}

// requireDamagedRow demands that all who read the row say so.
func requireDamagedRow(t *testing.T, s *Store, row int, what string) {
	t.Helper()
	object := s.locate(fmt.Sprintf("log/%d", row))
	err := s.VerifyLog(t.Context())
	require.Error(t, err, what)
	requireCorrupt(t, err, object)
	var last error
	for _, last = range s.Entries(t.Context(), head.LogPosition{}, false) {
	}
	requireCorrupt(t, last, object)
	requireFinding(t, s.path, object)
}

// TestRemovedRowsOfTheLog: a gap is found, also at the beginning.
func TestRemovedRowsOfTheLog(t *testing.T) {
	for row, damaged := range map[int]int{0: 0, 1: 1, 2: 2} {
		s := open(t)
		appendTo(t, s, appendTo(t, s, appendTo(t, s, head.Head{}, "order-1", "one"), "order-1", "two"), "order-1", "three")
		tamper(t, s.path, "DELETE FROM log WHERE position = ?", row)
		requireDamagedRow(t, s, damaged, "a missing row")
		require.ErrorContains(t, s.VerifyLog(t.Context()), "missing")
	}
}

// TestLogThatCannotBeContinued: a commit is refused if the end of the log cannot be
// read, and changes nothing.
func TestLogThatCannotBeContinued(t *testing.T) {
	for _, change := range []string{"DELETE FROM log", "UPDATE log SET hash = x'' WHERE position = 1", "DROP TABLE log"} {
		s := open(t)
		h := appendTo(t, s, head.Head{}, "order-1", "one")
		raw(t, s.path).run(t, change)
		_, err := tryAppend(s, h, "order-1", "two")
		requireRefused(t, err, false)
		require.ErrorAs(t, err, new(*changeset.CorruptError), change)
		_, err = s.Swap(t.Context(), h, link.Fence(h))
		if change != "DROP TABLE log" {
			require.NoError(t, err, "a fence needs no row")
		}
		loaded, err := s.Load(t.Context(), "order-1")
		require.NoError(t, err)
		require.Equal(t, h.Ref, loaded.Ref)
	}
}

// TestAnyValueInTheLog puts values of each type into each column of a table that
// accepts them. Every read ends, with an error that names the row or with none.
func TestAnyValueInTheLog(t *testing.T) {
	s := open(t)
	appendTo(t, s, appendTo(t, s, head.Head{}, "order-1", "one"), "order-1", "two")
	raw(t, s.path).run(t, "CREATE TABLE loose AS SELECT * FROM log", "DROP TABLE log",
		"CREATE TABLE log (position, aggregate_id, first, last, changeset_id, before, erased, mark, hash)", "INSERT INTO log SELECT * FROM loose", "DROP TABLE loose")
	require.NoError(t, s.VerifyLog(t.Context()))
	for _, column := range []string{"position", "aggregate_id", "first", "last", "changeset_id", "before", "erased", "mark", "hash"} {
		for _, value := range []string{"NULL", "7", "-1", "0.5", "''", "x''", "'text'", "x'ff00'", "zeroblob(40)", "9223372036854775807", "1e999"} {
			heal := damage(t, s.path, "log", column+" = "+value)
			what := column + " = " + value
			err := s.VerifyLog(t.Context())
			if column == "position" && (value == "NULL" || value == "-1") {
				require.NoError(t, err) // the rows are cut off
			} else {
				require.ErrorAs(t, err, new(*changeset.CorruptError), what)
			}
			_, err = s.LogEnd(t.Context())
			if err != nil {
				require.ErrorAs(t, err, new(*changeset.CorruptError), what)
			}
			for _, err := range s.Entries(t.Context(), head.LogPosition{}, false) {
				require.ErrorAs(t, err, new(*changeset.CorruptError), what)
			}
			heal()
		}
	}
}

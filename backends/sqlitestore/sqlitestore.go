// Package sqlitestore keeps changesets and heads in one SQLite file: the
// embedded default, which needs no service, no network and no cgo.
//
//	store, err := sqlitestore.Open("ropewalk.db", nil)
//	if err != nil {
//		return err
//	}
//	defer store.Close()
//
// One [Store] serves both interfaces, [changeset.Store] and [head.Combined], so that
// an append is one transaction: its changesets and its swap of the head, both
// or neither. Appends that meet in one process share a transaction and its
// sync to the disk (group commit): the conflict of one changes nothing for the
// others, and the failure of one lets them begin again without it.
//
// # Durability and concurrency
//
// The database is in WAL mode with synchronous=FULL: a nil error means that
// the operating system has written it to the disk. Many processes may use one
// file at once. Readers never wait for writers; one process writes at a time,
// the others wait at most [Options.BusyTimeout] and then fail with [ErrBusy].
// The file must be on a local disk, since WAL needs memory that all processes
// share; network file systems do not have it.
//
// The end of a caller's context withdraws a call that still waits for its
// transaction, as if it had never been made. Once the transaction has begun,
// the call waits for its outcome, which is then known.
//
// A program must not open the database file by other means than SQLite while
// a Store of it is open in the same process: closing such a file descriptor
// drops SQLite's locks (a rule of POSIX).
//
// # The file
//
// The file, and the -wal and -shm files that SQLite keeps beside it while it
// is open, are for their owner only (mode 0600). They hold three tables:
//
//	changesets(aggregate_id, object, header, fields, ancestors, content_sha256, digest,
//	    content_type, last_modified, content)
//	heads(aggregate_id, record, ancestors, digest)
//	log(position, aggregate_id, first, last, changeset_id, before, erased, mark, hash)
//
// where aggregate_id is percent-encoded, object the version and the changeset
// ID in bytes, header the rest of the header in bytes, and record the
// head's JSON. So these are the contents of an aggregate, in order:
//
//	SELECT hex(substr(object, 1, 8)), content FROM changesets
//	WHERE aggregate_id = 'order-1' ORDER BY object
//
// Of 16 versions of a chain, the rows of the first two have a part of the ancestor index that they
// have in common ([changeset.Upper]). Other rows need one of the two: [Store.Delete] sees to that.
//
// The table log has a row for each commit, in the order of the commits, written in the
// commit's transaction ([head.Log]). Row 0 names the log. Each row's hash covers the row
// and the hash of the row before: see [Store.VerifyLog].
//
// Files of older versions have no table log, or larger rows in the table changesets. Open
// brings them up to date in one transaction, during which no process can write: about
// two seconds for 100,000 heads, and seven for 100,000 changesets. The file does not become
// smaller, but has room for as many changesets again; VACUUM INTO makes a small copy.
// [Migrate] does so ahead of time. Programs of an older version cannot use the file afterwards. If
// they have it open, they can read heads and contents, but no changesets, and write nothing.
//
// Each transaction checks that the three files are still the files with their
// names, and is refused with [ErrReplaced] if one was removed or replaced. The
// check costs three calls of stat.
//
// # Backup
//
// [Store.Backup] writes one consistent file while the store is in use, and
// [Restore] puts it back. A person does the same with the commands ropewalk
// backup and ropewalk restore, or makes a backup with the sqlite3 shell:
//
//	umask 077; sqlite3 ropewalk.db "VACUUM INTO 'copy.db'"
//
// A copy of the database file alone is no backup while a program has it open:
// the newest changesets may be in the -wal file only. And a backup must not be
// copied over a file whose -wal file is still there. SQLite would replay that
// file over the backup. [Open] refuses with [ErrForeignWAL] if it can see that
// the two files do not belong together: it can if this package made the store
// and the backup.
package sqlitestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
	"time"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/commitlog"
)

// DefaultBusyTimeout is how long a call waits for other processes unless
// [Options.BusyTimeout] says otherwise.
const DefaultBusyTimeout = 10 * time.Second

// Options adjusts a [Store]. The zero value is ready for use.
type Options struct {
	// MustExist makes Open fail where the database is missing, instead of creating it.
	MustExist bool
	// BusyTimeout is the longest that a call waits for other processes to
	// release the database before it fails with [ErrBusy]. 0 and less mean
	// [DefaultBusyTimeout].
	BusyTimeout time.Duration
}

func (o *Options) withDefaults() Options {
	out := *cmp.Or(o, &Options{})
	out.BusyTimeout = cmp.Or(max(out.BusyTimeout, 0), DefaultBusyTimeout)
	return out
}

// Store keeps changesets and heads in one SQLite file. It is safe for
// concurrent use. A Store must be closed.
type Store struct {
	name   string // the path that Open was given, for people
	path   string // absolute, so that a change of the working directory does not matter
	busy   time.Duration
	closed atomic.Bool
	files  files
	reader *reader
	watch  *watch
	bell   commitlog.Bell // rings after each commit by this Store, and at its end
	// writer commits, through session: what runs in its transactions uses session.
	writer  *writer
	session *session
}

var (
	_ changeset.Store       = (*Store)(nil)
	_ changeset.Lister      = (*Store)(nil)
	_ changeset.Deleter     = (*Store)(nil)
	_ changeset.Locator     = (*Store)(nil)
	_ changeset.ManyGetter  = (*Store)(nil)
	_ changeset.RangeGetter = (*Store)(nil)
	_ changeset.Scanner     = (*Store)(nil)
	_ head.Combined         = (*Store)(nil)
	_ head.Locator          = (*Store)(nil)
	_ head.Log              = (*Store)(nil)
)

// Open opens the store in the file at path, and creates file and tables where
// they are missing, unless the options say [Options.MustExist]; nil options
// are the defaults. It brings a file of an older version up to date, as [Migrate]
// does. It waits for other processes at most the busy timeout.
//
// A relative path is relative to the working directory of this moment.
//
// Its errors:
//   - [*MissingError], which matches [fs.ErrNotExist]: the database must exist
//     and does not, or its folder does not exist.
//   - [ErrNotRopewalk]: the file is something else, and was left as it is.
//   - [changeset.ErrUnsupportedFormat]: another version has made the file.
//   - [*changeset.CorruptError]: the file is damaged. With [ErrForeignWAL], it
//     was restored beside the -wal file of another database.
//   - [ErrBusy]: other processes hold the database.
//   - [ErrUnavailable]: the file system denies access, is full, or fails.
func Open(path string, options *Options) (*Store, error) {
	o := options.withDefaults()
	absolute, info, err := findFile(path, o.MustExist)
	if err != nil {
		return nil, err
	}
	s := &Store{name: path, path: absolute, busy: o.BusyTimeout}
	if err := s.open(info, o.MustExist); err != nil {
		return nil, errors.Join(failure(s.name, false, err), s.Close())
	}
	return s, nil
}

func (s *Store) open(info fs.FileInfo, mustExist bool) error {
	target, err := resolve(s.path)
	if err != nil {
		return err
	}
	if err := checkWAL(context.Background(), s.path, target); err != nil {
		return err
	}
	if s.session, err = openSession(s.path, s.busy, mustExist); err != nil {
		return err
	}
	s.writer = &writer{transactions: s.session, busy: s.busy}
	if s.files, err = openFiles(s.path, target, info); err != nil {
		return err
	}
	s.session.files = s.files
	if s.watch, err = openWatch(s.path, s.busy, s.checkOpen); err != nil {
		return err
	}
	s.reader, err = openReader(s.path, s.busy, s.files.check)
	return err
}

// checkOpen returns an error if the store is closed, or its files were replaced.
// The end of the store removes files too.
func (s *Store) checkOpen() error {
	err := s.files.check()
	if s.closed.Load() {
		return errClosed
	}
	return err
}

// Close waits for the transaction in progress, refuses the calls that wait
// for the next one, and closes the file. Later calls fail with an error that matches
// [fs.ErrClosed]. An error that matches [ErrReplaced] means that the file is no
// longer at its path. Close may be called more than once.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	// The last connection that closes folds the WAL into the file: the writer's.
	err := errors.Join(s.reader.close(), s.watch.close(), s.writer.close())
	s.bell.Ring() // ends the followers
	return failure(s.name, false, err)
}

// Locate returns the changeset's name as "sqlite:PATH#changesets/AGGREGATE/OBJECT".
func (s *Store) Locate(ref changeset.Ref) string { return s.locate(ref.ObjectName()) }

// LocateHead returns the record's name as "sqlite:PATH#heads/AGGREGATE".
func (s *Store) LocateHead(aggregateID string) string { return s.locate(head.ObjectName(aggregateID)) }

func (s *Store) locate(name string) string { return locate(s.name, name) }

// locate names what a database holds, for people.
func locate(file, name string) string { return fmt.Sprintf("sqlite:%s#%s", file, name) }

// Holds reports whether changesets is a Store of the same file.
func (s *Store) Holds(changesets changeset.Store) bool {
	other, ok := changesets.(*Store)
	return ok && os.SameFile(s.files[0].info, other.files[0].info)
}

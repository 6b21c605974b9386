package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"

	"ropewalk/changeset"
)

// SQLite replays a -wal file over any database that it finds beside it. If a
// backup is copied over a store whose program was killed, the -wal file of that
// store undoes the restore, or damages the file.
//
// SQLite itself cannot notice: nothing in a -wal file names its database. So
// each new store, and each backup, gets a random stamp in its first page, in the
// place of the schema cookie, whose value SQLite only compares with its earlier
// values. A -wal file repeats the first page whenever the database grows. Where
// the stamp that SQLite reads through the -wal file differs from the stamp in the
// file, the two do not belong together.

// stampTolerance is how much the stamp of one file may differ: SQLite adds 1
// whenever the schema changes, and when the file is vacuumed.
const stampTolerance = 1 << 16

// newStamp returns a random stamp, far above the cookies of files without one.
func newStamp() int32 { return 1<<24 + rand.Int32N(1<<30) }

// checkWAL returns an error that matches [ErrForeignWAL] if the -wal file belongs to
// another database than the file at path, which it leaves as it is.
func checkWAL(ctx context.Context, path, target string) error {
	info, err := os.Stat(walOf(target))
	if err != nil || info.Size() == 0 {
		return nil // nothing to replay
	}
	own, err := stamp(ctx, path, "immutable") // reads the file alone
	if err != nil {
		return nil // a checkpoint may be under way
	}
	replayed, err := stamp(ctx, path, "")
	if err != nil || max(own, replayed)-min(own, replayed) <= stampTolerance {
		return nil
	}
	return foreignWAL{&changeset.CorruptError{Object: "sqlite:" + path, Reason: fmt.Sprintf(
		"%s belongs to another database: the file was restored without removing it. Nothing was changed; while no program uses the file, remove %s and %s",
		walOf(target), walOf(target), shmOf(target))}}
}

// foreignWAL is a [*changeset.CorruptError] that matches [ErrForeignWAL].
type foreignWAL struct{ *changeset.CorruptError }

func (e foreignWAL) Unwrap() error { return e.CorruptError }

func (e foreignWAL) Is(target error) bool { return target == ErrForeignWAL }

// stamp reads the stamp of a file, and writes nothing, not even when it closes.
func stamp(ctx context.Context, path, option string) (stamp int64, err error) {
	query := url.Values{"mode": {"ro"}, "_pragma": {"writable_schema(1)"}}
	if option != "" {
		query.Set(option, "1")
	}
	db, err := openURI(path, nil, query)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	err = db.QueryRowContext(ctx, selectStamp).Scan(&stamp)
	return stamp, err
}

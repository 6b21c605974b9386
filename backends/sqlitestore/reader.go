package sqlitestore

import (
	"database/sql"
	"runtime"
	"time"
)

// reader is the pool of connections that read. Each statement is a transaction
// of its own, so that no reader keeps the WAL from being folded into the file.
type reader struct {
	db *sql.DB

	header, base, text, whole, content, many, versions, packs, objects, scan, aggregates, nextObject, head, heads, log, logEnd *sql.Stmt
}

// openReader opens the pool. check runs before each connection is opened, so
// that no connection opens another file than the others.
func openReader(path string, busy time.Duration, check func() error) (*reader, error) {
	db, err := openDB(path, busy, check, queryOnly)
	if err != nil {
		return nil, err
	}
	connections := max(4, runtime.GOMAXPROCS(0))
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	r := &reader{db: db}
	return r, prepare(db, r.queries())
}

// queries returns the text of each statement.
func (r *reader) queries() map[**sql.Stmt]string {
	return map[**sql.Stmt]string{
		&r.header:     selectHeader,
		&r.base:       selectBase,
		&r.text:       selectText,
		&r.whole:      selectWhole,
		&r.content:    selectContent,
		&r.many:       selectMany,
		&r.versions:   selectVersions,
		&r.packs:      selectPacks,
		&r.objects:    selectObjects,
		&r.scan:       selectScan,
		&r.aggregates: selectAggregates,
		&r.nextObject: selectNextObject,
		&r.head:       selectHead,
		&r.heads:      selectHeads,
		&r.log:        selectLog,
		&r.logEnd:     selectLogEnd,
	}
}

func (r *reader) close() error {
	if r == nil {
		return nil
	}
	return r.db.Close()
}

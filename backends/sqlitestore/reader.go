package sqlitestore

import (
	"database/sql"
	"runtime"
	"time"
)

// reader is the pool of connections that read. Each statement is a transaction
// of its own, so that nobody keeps the WAL from being folded into the file.
type reader struct {
	db *sql.DB

	header, content, many, objects, nextObject, head, heads *sql.Stmt
}

func openReader(path string, busy time.Duration) (*reader, error) {
	db, err := openDB(path, busy, "query_only(1)")
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
		&r.header: `SELECT ` + headerColumns + `, length(content), last_modified
			FROM changesets WHERE aggregate_id = ? AND object = ?`,
		&r.content: "SELECT content FROM changesets WHERE aggregate_id = ? AND object = ?",
		&r.many:    selectMany,
		&r.objects: `SELECT object, length(content), last_modified
			FROM changesets WHERE aggregate_id = ? AND object > ? ORDER BY object LIMIT ?`,
		&r.nextObject: `SELECT aggregate_id, object FROM changesets
			WHERE (aggregate_id, object) > (?, ?) ORDER BY aggregate_id, object LIMIT 1`,
		&r.head:  selectHead,
		&r.heads: "SELECT record, ancestors, digest, aggregate_id FROM heads WHERE aggregate_id > ? ORDER BY aggregate_id LIMIT ?",
	}
}

func (r *reader) close() error {
	if r == nil {
		return nil
	}
	return r.db.Close()
}

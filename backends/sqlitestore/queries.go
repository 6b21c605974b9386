package sqlitestore

import "fmt"

const (
	// applicationID marks the file as ours: "rope" in ASCII.
	applicationID = 0x726f7065
	// schemaVersion is the version of the tables below, kept in user_version.
	schemaVersion = 4
	// schemaWithoutLog is the last version without the table log. Version 1 was
	// never released.
	schemaWithoutLog = 2
	// schemaOfTexts is the last version whose changesets have no column header.
	schemaOfTexts = 3
)

// The tables. Content is the last column, so that SQLite finds all other
// columns without it. Columns hold bytes where they can: each append writes a
// page of the table and a page of its index, and smaller rows share pages.
//
// A changeset whose header has a binary form has it in header, and NULL in the five
// columns after it, which take a byte each. All other rows have NULL in header and
// the text form in the five columns: objects of packed chains, whose object has
// the first version in 8 bytes before the rest, and rows that a migration
// found damaged. The column fields was metadata before: a program of an older version that
// has the file open must not take its NULL for damage, and gets an error of SQLite's.
const (
	createChangesets = `CREATE TABLE changesets (
  aggregate_id   TEXT NOT NULL, -- percent-encoded
  object         BLOB NOT NULL, -- the version in 8 bytes, big-endian, and the changeset ID in 16
  header         BLOB,          -- in its binary form; the next five columns are NULL
  fields         TEXT,          -- or in its text form, a JSON object of strings: all that is not in other columns
  ancestors      BLOB,
  content_sha256 BLOB,
  digest         BLOB,
  content_type   TEXT,
  last_modified  ANY NOT NULL,  -- nanoseconds since 1970; or RFC 3339, UTC
  content        BLOB NOT NULL,
  PRIMARY KEY (aggregate_id, object)
) STRICT`
	// createTexts is createChangesets of schemaOfTexts.
	createTexts = `CREATE TABLE changesets (
  aggregate_id   TEXT NOT NULL, -- percent-encoded
  object         BLOB NOT NULL, -- the version in 8 bytes, big-endian, and the changeset ID in 16
  metadata       TEXT NOT NULL, -- a JSON object of strings: all that is not in other columns
  ancestors      BLOB NOT NULL,
  content_sha256 BLOB NOT NULL,
  digest         BLOB NOT NULL,
  content_type   TEXT NOT NULL,
  last_modified  TEXT NOT NULL, -- RFC 3339, UTC
  content        BLOB NOT NULL,
  PRIMARY KEY (aggregate_id, object)
) STRICT`
	createHeads = `CREATE TABLE heads (
  aggregate_id TEXT NOT NULL PRIMARY KEY, -- percent-encoded
  record       TEXT NOT NULL,             -- a JSON object: all that is not in other columns
  ancestors    BLOB NOT NULL,
  digest       BLOB NOT NULL
) STRICT, WITHOUT ROWID`
	createLog = `CREATE TABLE log (
  position     INTEGER PRIMARY KEY,    -- from 1; row 0 names the log by its mark
  aggregate_id TEXT NOT NULL,          -- percent-encoded
  first        INTEGER NOT NULL,       -- 64 bits; SQLite takes the highest bit for a sign
  last         INTEGER NOT NULL,       -- likewise
  changeset_id BLOB NOT NULL,          -- of the changeset at last
  before       BLOB NOT NULL,          -- the ID of the changeset before first, or empty
  erased       INTEGER NOT NULL,       -- 0 or 1
  mark         BLOB NOT NULL,          -- eight random bytes
  hash         BLOB NOT NULL           -- SHA-256 of the hash of the row before, and this row
) STRICT`
)

// Our tables refuse NULL, but the tables of a damaged or foreign file may not.
// The queries replace NULL by a value that no column can have, so that one
// damaged row is an error about that row.
const (
	// textColumns hold the text form of a header.
	textColumns  = "fields, ancestors, content_sha256, digest, content_type"
	readText     = "coalesce(fields, ''), ancestors, content_sha256, digest, coalesce(content_type, '')"
	readSize     = "coalesce(length(content), -1)"
	readModified = "coalesce(last_modified, '')"
	readHead     = "coalesce(record, ''), ancestors, digest"
)

// Queries of the readers.
const (
	// selectHeader does not read the text form, which few rows have.
	selectHeader = `SELECT header, ` + baseFrom + `?3` + baseTo + `, ` + readSize + `, ` + readModified + `
		FROM changesets c WHERE aggregate_id = ?1 AND object = ?2`
	selectText    = `SELECT ` + readText + ` FROM changesets WHERE aggregate_id = ? AND object = ?`
	selectContent = "SELECT content FROM changesets WHERE aggregate_id = ? AND object = ?"
	// The header of the base of a row c lies between: its object begins with a version that
	// the caller gives, and ends in the ID that follows the flags of the row's header.
	baseFrom = `(SELECT header FROM changesets WHERE aggregate_id = c.aggregate_id AND object = CAST(`
	baseTo   = ` || substr(c.header, 2, 16) AS BLOB))`
	// readWhole is a changeset in few columns, since each column takes time. In the binary
	// form the text is NULL, and the bytes are the object. In the text form the text is
	// the fields and the content type, which have no line ends, and the bytes are the digests,
	// the object and the ancestors; they are NULL if a digest does not have its 32 bytes. The
	// last column is the content, or its size if that is above the limit.
	readWhole = `c.header, fields || char(10) || content_type,
		iif(c.header IS NOT NULL, object, iif(length(content_sha256) = 32 AND length(digest) = 32, CAST(content_sha256 || digest || object || ancestors AS BLOB), NULL)),
		iif(length(content) <= ?1, content, length(content))`
	selectWhole = `SELECT 0, ` + baseFrom + `?4` + baseTo + `, ` + readWhole + `
		FROM changesets c WHERE aggregate_id = ?2 AND object = ?3`
	// selectMany reads the rows that a JSON array names, by aggregate and, in hex, object and
	// version of the base. The place in the array comes first.
	selectMany = `SELECT key, ` + baseFrom + `unhex(value ->> 2)` + baseTo + `, ` + readWhole + `
		FROM json_each(?2) CROSS JOIN changesets c WHERE aggregate_id = value ->> 0 AND object = unhex(value ->> 1)`
	// selectVersions reads the changesets of format 1 from one object to another one, without
	// the text form, which few rows have. Each expression takes time. The limit is a constant,
	// because SQLite prepares a statement again for another limit.
	selectVersions = `SELECT object, header, iif(length(content) <= ?1, content, length(content))
		FROM changesets WHERE aggregate_id = ?2 AND object BETWEEN ?3 AND ?4 ORDER BY object LIMIT 1024`
	// selectPacks reads the packs from one object to another one.
	selectPacks = `SELECT 0, NULL, ` + readWhole + `
		FROM changesets c WHERE aggregate_id = ?2 AND object BETWEEN ?3 AND ?4 AND length(object) = length(?3) ORDER BY object LIMIT 1024`
	selectObjects = `SELECT object, ` + readSize + `, ` + readModified + `
		FROM changesets WHERE aggregate_id = ? AND object > ? ORDER BY object LIMIT ?`
	selectNextObject = "SELECT object FROM changesets WHERE aggregate_id = ? AND object > ? ORDER BY object LIMIT 1"
	selectHead       = "SELECT " + readHead + " FROM heads WHERE aggregate_id = ?"
	selectHeads      = "SELECT " + readHead + ", aggregate_id FROM heads WHERE aggregate_id > ? ORDER BY aggregate_id LIMIT ?"
	// selectHeadsOf reads the heads of the aggregates in a JSON array, each with its place there.
	selectHeadsOf = "SELECT key, " + readHead + " FROM json_each(?) CROSS JOIN heads WHERE aggregate_id = value"
	selectLog     = "SELECT " + logColumns + " FROM log WHERE position >= ? ORDER BY position LIMIT ?"
	selectLogEnd  = "SELECT " + logColumns + " FROM log WHERE position = (SELECT max(position) FROM log)"
	selectChanges = "PRAGMA data_version"
	// logColumns are the columns of a row of the log.
	logColumns = "position, aggregate_id, first, last, changeset_id, before, erased, mark, hash"
)

// Statements of the writer.
const (
	beginImmediate  = "BEGIN IMMEDIATE"
	commitWork      = "COMMIT"
	rollbackWork    = "ROLLBACK"
	selectVersion   = "PRAGMA user_version"
	insertChangeset = `INSERT INTO changesets (aggregate_id, object, header, last_modified, content)
		VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
	insertText = `INSERT INTO changesets (aggregate_id, object, ` + textColumns + `, last_modified, content)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
	selectBase = "SELECT header FROM changesets WHERE aggregate_id = ? AND object = ?"
	// selectSharers reads the rows that may share the upper wheels of a base.
	selectSharers   = "SELECT object, header FROM changesets WHERE aggregate_id = ? AND object > ? AND object <= ? AND header IS NOT NULL"
	updateHeader    = "UPDATE changesets SET header = ? WHERE aggregate_id = ? AND object = ?"
	deleteChangeset = "DELETE FROM changesets WHERE aggregate_id = ? AND object = ?"
	insertHead      = "INSERT INTO heads (record, ancestors, digest, aggregate_id) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
	updateHead      = "UPDATE heads SET record = ?, ancestors = ?, digest = ? WHERE aggregate_id = ? AND record = ? AND digest = ?"
	insertLog       = "INSERT INTO log (" + logColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

// Statements about the file.
const (
	selectIdentity = `SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
		FROM pragma_application_id, pragma_user_version`
	selectSchema = `SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema
		WHERE name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY rowid`
	selectStamp    = "PRAGMA schema_version"
	beginExclusive = "BEGIN EXCLUSIVE"
	turnOnWAL      = "PRAGMA journal_mode = WAL"
	quickCheck     = "PRAGMA quick_check(10)"
	vacuumInto     = "VACUUM INTO ?"
)

// setStamp sets the schema cookie, a number in the first page of the file.
func setStamp(stamp int32) string { return fmt.Sprintf("PRAGMA schema_version = %d", stamp) }

// createFirst makes a store without a log of an empty database, within a
// transaction.
func createFirst(stamp int32) string {
	return fmt.Sprintf("%s; %s; PRAGMA application_id = %d; %s", createChangesets, createHeads, applicationID, setStamp(stamp))
}

// setSchema says, within a transaction, that the tables are the tables above.
var setSchema = fmt.Sprintf("PRAGMA user_version = %d", schemaVersion)

// Statements of the migration from schemaOfTexts.
const (
	hasHeaders  = "SELECT count(*) > 0 FROM pragma_table_info('changesets') WHERE name = 'header'"
	renameTexts = "ALTER TABLE changesets RENAME TO changesets_of_texts"
	selectTexts = `SELECT rowid, aggregate_id, object, coalesce(metadata, ''), ancestors, content_sha256, digest, coalesce(content_type, ''), last_modified, length(content)
		FROM changesets_of_texts ORDER BY aggregate_id, object`
	copyBinary = `INSERT INTO changesets (aggregate_id, object, header, last_modified, content)
		SELECT aggregate_id, object, ?, ?, content FROM changesets_of_texts WHERE rowid = ?`
	copyText = `INSERT INTO changesets (aggregate_id, object, ` + textColumns + `, last_modified, content)
		SELECT aggregate_id, object, metadata, ancestors, content_sha256, digest, content_type, last_modified, content FROM changesets_of_texts WHERE rowid = ?`
	dropTexts = "DROP TABLE changesets_of_texts"
)

// selectOldHeads reads all heads in the order of their newest changesets. A record that
// is no JSON comes first, and is found to be damaged.
const selectOldHeads = "SELECT " + readHead + `, aggregate_id FROM heads
	ORDER BY iif(json_valid(record), record ->> 'updated-at', ''), aggregate_id`

// Pragmas of connections.
const (
	queryOnly = "query_only(1)"
	fullSync  = "synchronous(full)"
	// checkpoints folds the WAL into the file at 16 MiB, four times SQLite's
	// default: pages that many appends touch are copied once, and fewer syncs of
	// the file delay the writers.
	checkpoints = "wal_autocheckpoint(4000)"
	walLimit    = "journal_size_limit(67108864)"
	// lockingExclusive lets a connection lock the file for itself alone.
	lockingExclusive = "locking_mode(exclusive)"
)

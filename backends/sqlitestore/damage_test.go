package sqlitestore

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// requireCorrupt demands an error that names the object.
func requireCorrupt(t *testing.T, err error, object string) {
	t.Helper()
	var corrupt *changeset.CorruptError
	require.ErrorAs(t, err, &corrupt)
	require.Equal(t, object, corrupt.Object)
}

// damage changes order-1's rows in a table, until they are healed.
func damage(t *testing.T, path, table, change string) (heal func()) {
	t.Helper()
	conn := raw(t, path)
	conn.run(t, "CREATE TEMP TABLE saved AS SELECT * FROM main."+table,
		"UPDATE main."+table+" SET "+change+" WHERE aggregate_id = 'order-1'")
	return func() {
		conn.run(t, "DELETE FROM main."+table, "INSERT INTO main."+table+" SELECT * FROM saved", "DROP TABLE saved")
	}
}

// TestTamperedRowsAreCorrupt changes rows of the text form.
func TestTamperedRowsAreCorrupt(t *testing.T) {
	s := open(t)
	stored := appendTo(t, s, head.Head{}, "order-1", "one")
	other := appendTo(t, s, head.Head{}, "order-2", "two")
	asTexts(t, s.path)
	for name, change := range map[string]string{
		"no JSON":           `fields = substr(fields, 2)`,
		"no object":         `fields = '["a"]'`,
		"null":              `fields = 'null'`,
		"a space more":      `fields = fields || ' '`,
		"a repeated key":    `fields = '{"format":"1",' || substr(fields, 2)`,
		"an unknown key":    `fields = json_set(fields, '$.zone', 'north')`,
		"a number":          `fields = json_set(fields, '$.format', 1)`,
		"another's":         `fields = (SELECT fields FROM changesets WHERE aggregate_id = 'order-2')`,
		"no digest":         `digest = x''`,
		"a byte of digest":  `digest = zeroblob(33)`,
		"half a SHA-256":    `content_sha256 = substr(content_sha256, 1, 16)`,
		"an ancestor":       `ancestors = zeroblob(20)`,
		"a content type":    `content_type = 'a' || char(10)`,
		"no content type":   `content_type = ''`,
		"a time":            `last_modified = 'yesterday'`,
		"another time form": `last_modified = replace(last_modified, 'Z', '+00:00')`,
	} {
		requireDamaged(t, s, name, change, stored.Ref, other.Ref)
	}
}

// requireDamaged changes the row of a changeset, and requires that the changeset is corrupt
// until the row is healed, and that the other changeset never is. The name of the change is
// for messages.
func requireDamaged(t *testing.T, s *Store, name, change string, stored, other changeset.Ref) {
	t.Helper()
	heal := damage(t, s.path, "changesets", change)
	_, err := s.Stat(t.Context(), stored)
	requireCorrupt(t, err, s.Locate(stored))
	if !strings.HasPrefix(change, "last_modified") { // which Get does not read
		_, err = s.Get(t.Context(), stored, nil)
		requireCorrupt(t, err, s.Locate(stored))
	}
	_, err = s.Get(t.Context(), other, nil)
	require.NoError(t, err, name)
	heal()
	_, err = s.Get(t.Context(), stored, nil)
	require.NoError(t, err, name)
}

// TestTamperedHeadersAreCorrupt changes rows of the binary form. Each bit counts.
func TestTamperedHeadersAreCorrupt(t *testing.T) {
	s := open(t)
	stored := appendTo(t, s, head.Head{}, "order-1", "one")
	other := appendTo(t, s, head.Head{}, "order-2", "two")
	changes := []string{
		"header = x''", "header = NULL", "header = substr(header, 2)", "header = CAST(header || x'00' AS BLOB)",
		"header = (SELECT header FROM changesets WHERE aggregate_id = 'order-2')",
		"last_modified = 'yesterday'", "last_modified = 0.5", "last_modified = x'00'",
	}
	header := headerOf(t, s.path, stored.Ref)
	for i := range 8 * len(header) {
		flipped := bytes.Clone(header)
		flipped[i/8] ^= 1 << (i % 8)
		changes = append(changes, fmt.Sprintf("header = x'%x'", flipped))
	}
	for _, change := range changes {
		requireDamaged(t, s, change, change, stored.Ref, other.Ref)
	}
}

// headerOf returns the binary form of a row, nil if the row has the text form.
func headerOf(t *testing.T, path string, ref changeset.Ref) (header []byte) {
	t.Helper()
	conn := raw(t, path)
	aggregateID, object := key(ref)
	require.NoError(t, conn.QueryRowContext(t.Context(), "SELECT header FROM changesets WHERE aggregate_id = ? AND object = ?", aggregateID, object).Scan(&header))
	require.NoError(t, conn.Close())
	return header
}

func TestTamperedContentIsReadAsItIs(t *testing.T) {
	s := open(t)
	stored := appendTo(t, s, head.Head{}, "order-1", "one")
	for _, content := range []string{"x'6f6e65ff'", "x'6f6e'", "x''", "x'6f6e66'"} {
		tamper(t, s.path, "UPDATE changesets SET content = "+content)
		c, err := s.Get(t.Context(), stored.Ref, nil)
		require.NoError(t, err)
		require.ErrorAs(t, c.VerifyBody(), new(*changeset.CorruptError), content)
	}
}

func TestNewerFormatIsUnsupported(t *testing.T) {
	s := open(t)
	stored := appendTo(t, s, head.Head{}, "order-1", "one")
	asTexts(t, s.path)
	tamper(t, s.path, `UPDATE changesets SET fields = json_set(fields, '$.format', '3')`)
	_, err := s.Stat(t.Context(), stored.Ref)
	require.ErrorIs(t, err, changeset.ErrUnsupportedFormat)
	require.ErrorContains(t, err, s.Locate(stored.Ref))
}

// A time that cannot be read does not hide the other objects, and does not make
// its own look old.
func TestTamperedTimeInAListing(t *testing.T) {
	s := open(t)
	stored := appendTo(t, s, head.Head{}, "order-1", "one", "two", "three")
	tamper(t, s.path, "UPDATE changesets SET last_modified = '' WHERE substr(object, 8, 1) = x'01'")
	var listed int
	for o, err := range s.Objects(t.Context(), "order-1") {
		require.NoError(t, err)
		require.WithinDuration(t, time.Now(), o.LastModified, time.Hour)
		if listed++; o.Version == 1 {
			_, err := s.Stat(t.Context(), o.Ref)
			requireCorrupt(t, err, s.Locate(o.Ref))
		}
	}
	require.EqualValues(t, stored.Version+1, listed)
}

func TestTamperedHeadIsCorrupt(t *testing.T) {
	s := open(t)
	h := appendTo(t, s, head.Head{}, "order-1", "one")
	for _, change := range []string{
		"record = record || ' '", "digest = x''", "digest = zeroblob(31)", "ancestors = x''", "ancestors = zeroblob(20)",
		"record = '{\"ancestors\":\"AQ\",' || substr(record, 2)",
	} {
		heal := damage(t, s.path, "heads", change)
		_, err := s.Load(t.Context(), "order-1")
		requireCorrupt(t, err, s.LocateHead("order-1"))
		for h, err := range s.List(t.Context(), "") {
			require.Zero(t, h, change)
			requireCorrupt(t, err, s.LocateHead("order-1"))
		}
		heal()
	}
	tamper(t, s.path, "UPDATE heads SET record = record || ' '")
	_, err := s.Swap(t.Context(), h, link.Fence(h))
	requireRefused(t, err, false)
	requireCorrupt(t, err, s.LocateHead("order-1"))
	tamper(t, s.path, "UPDATE heads SET record = rtrim(record), aggregate_id = 'order.1'")
	for _, err := range s.List(t.Context(), "") {
		requireCorrupt(t, err, "sqlite:"+s.path+"#heads/order.1")
	}
}

// TestDamagedPages destroys the pages that hold nothing but content: Stat does
// not read them, and Get says which object is lost.
func TestDamagedPages(t *testing.T) {
	s := open(t)
	h := appendTo(t, s, head.Head{}, "order-1", strings.Repeat("x", 1<<20))
	require.NoError(t, s.Close())
	overwrite(t, s.path, 20*4096, 200*4096)

	s = openAt(t, s.path, &Options{MustExist: true})
	info, err := s.Stat(t.Context(), h.Ref)
	require.NoError(t, err)
	require.Equal(t, int64(1<<20), info.BodySize)
	_, err = s.Get(t.Context(), h.Ref, nil)
	requireCorrupt(t, err, s.Locate(h.Ref))
}

// loosen replaces a table by one that accepts any value in any column, as a
// damaged or foreign file may have.
func loosen(t *testing.T, path string) {
	t.Helper()
	raw(t, path).run(t,
		"CREATE TABLE loose AS SELECT * FROM changesets", "DROP TABLE changesets",
		"CREATE TABLE changesets (aggregate_id, object, header, fields, ancestors, content_sha256, digest, content_type, last_modified, content)",
		"CREATE UNIQUE INDEX c ON changesets (aggregate_id, object)",
		"INSERT INTO changesets SELECT * FROM loose", "DROP TABLE loose",
		"CREATE TABLE loose AS SELECT * FROM heads", "DROP TABLE heads",
		"CREATE TABLE heads (aggregate_id, record, ancestors, digest)", "CREATE UNIQUE INDEX h ON heads (aggregate_id)",
		"INSERT INTO heads SELECT * FROM loose", "DROP TABLE loose")
}

// TestAnyValueInAnyColumn puts values of each type into each column, NULL among
// them. Every read ends, and finds the object sound, missing or corrupt.
func TestAnyValueInAnyColumn(t *testing.T) {
	values := []string{"NULL", "7", "-1", "0.5", "''", "x''", "'text'", "x'ff00'", "zeroblob(40)", "9223372036854775807", "1e999"}
	columns := map[string][]string{
		"changesets": {"aggregate_id", "object", "header", "fields", "ancestors", "content_sha256", "digest", "content_type", "last_modified", "content"},
		"heads":      {"aggregate_id", "record", "ancestors", "digest"},
	}
	s := open(t)
	h := appendTo(t, s, head.Head{}, "order-1", "one")
	appendTo(t, s, head.Head{}, "order-2", "two")
	loosen(t, s.path)
	for table, names := range columns {
		for _, column := range names {
			for _, value := range values {
				heal := damage(t, s.path, table, column+" = "+value)
				requireOutcomes(t, s, h, table+"."+column+" = "+value)
				heal()
			}
		}
	}
	c, err := s.Get(t.Context(), h.Ref, nil)
	require.NoError(t, err)
	require.Equal(t, "one", string(c.Body))
}

// TestNULLHidesNoOtherRow: a row that lost its size or its time is listed, and so
// are the rows after it.
func TestNULLHidesNoOtherRow(t *testing.T) {
	for _, column := range []string{"content", "last_modified", "header"} {
		s := open(t)
		h := appendTo(t, s, head.Head{}, "order-1", "one", "two", "three")
		loosen(t, s.path)
		tamper(t, s.path, "UPDATE changesets SET "+column+" = NULL WHERE substr(object, 8, 1) = x'01'")
		var versions []uint64
		for o, err := range s.Objects(t.Context(), "order-1") {
			require.NoError(t, err, column)
			versions = append(versions, o.Version)
		}
		require.Equal(t, []uint64{0, 1, 2}, versions, column)
		_, err := s.Get(t.Context(), h.Ref, nil)
		require.NoError(t, err)
	}
}

// requireOutcomes reads in every way.
func requireOutcomes(t *testing.T, s *Store, h head.Head, what string) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil && !errors.Is(err, changeset.ErrNotFound) {
			require.ErrorAs(t, err, new(*changeset.CorruptError), what)
		}
	}
	_, err := s.Stat(t.Context(), h.Ref)
	check(err)
	_, err = s.Get(t.Context(), h.Ref, nil)
	check(err)
	_, err = s.GetMany(t.Context(), []changeset.Ref{h.Ref}, nil)
	check(err)
	_, err = s.Load(t.Context(), "order-1")
	check(err)
	_, err = s.Swap(t.Context(), h, link.Fence(h))
	if _, conflict := errors.AsType[*head.ConflictError](err); err != nil && !conflict {
		check(err)
	}
	n := 0
	for _, err := range s.Objects(t.Context(), "order-1") {
		check(err)
		n++
	}
	for _, err := range s.Aggregates(t.Context(), "") {
		check(err)
		n++
	}
	for _, err := range s.List(t.Context(), "") {
		check(err)
		n++
	}
	require.Less(t, n, 10, "%s: a listing repeats itself", what)
}

// TestDamageHasOneKind: every call that meets damage, or foreign tables, returns
// a CorruptError.
func TestDamageHasOneKind(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, path string){
		"pages": func(t *testing.T, path string) { overwrite(t, path, 4096, 5*4096) },
		"tables": func(t *testing.T, path string) {
			raw(t, path).run(t, "DROP TABLE heads", "DROP TABLE changesets")
		},
	} {
		s := open(t)
		h := appendTo(t, s, head.Head{}, "order-1", strings.Repeat("x", 1000))
		appendTo(t, s, head.Head{}, "order-2", "two")
		require.NoError(t, s.Close())
		s = openAt(t, s.path, nil)
		harm(t, s.path)
		s.reader.db.SetMaxIdleConns(0)
		changesets, next := extend(t, h, "order-1", "two")
		_, load := s.Load(t.Context(), "order-1")
		_, get := s.Get(t.Context(), h.Ref, nil)
		_, stat := s.Stat(t.Context(), h.Ref)
		_, many := s.GetMany(t.Context(), []changeset.Ref{h.Ref}, nil)
		_, commit := s.Commit(t.Context(), changesets, h, next)
		_, refused := errors.AsType[*head.NotAppliedError](commit)
		require.True(t, refused, name)
		all := []error{load, get, stat, many, commit, s.Put(t.Context(), changesets[0])}
		for _, err := range s.Objects(t.Context(), "order-1") {
			all = append(all, err)
		}
		for _, err := range s.Aggregates(t.Context(), "") {
			all = append(all, err)
		}
		for _, err := range s.List(t.Context(), "") {
			all = append(all, err)
		}
		if name == "pages" {
			all = append(all, s.Backup(t.Context(), s.path+".copy"))
		}
		for i, err := range all {
			require.ErrorAs(t, err, new(*changeset.CorruptError), "%s: call %d: %v", name, i, err)
		}
		findings, err := s.Check(t.Context())
		require.NoError(t, err)
		require.NotEmpty(t, findings)
	}
}

package sqlitestore

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/head"
)

// requireFinding demands exactly one finding, with the words.
func requireFinding(t *testing.T, path, words string) {
	t.Helper()
	findings, err := CheckFile(t.Context(), path)
	require.NoError(t, err)
	require.Len(t, findings, 1)
	require.Contains(t, findings[0], words)
}

func TestCheckFindsNothing(t *testing.T) {
	s := open(t)
	appendTo(t, s, head.Head{}, "order-1", "one")
	findings, err := s.Check(t.Context())
	require.NoError(t, err)
	require.Empty(t, findings)
	require.NoError(t, s.Close())
	findings, err = CheckFile(t.Context(), s.path)
	require.NoError(t, err)
	require.Empty(t, findings)
}

func TestCheckFindsModes(t *testing.T) {
	s := open(t)
	appendTo(t, s, head.Head{}, "order-1", "one")
	require.NoError(t, os.Chmod(s.path+"-wal", 0o640))
	requireFinding(t, s.path, "-wal has mode 0640")
	require.NoError(t, os.Chmod(s.path+"-wal", 0o600))
	require.NoError(t, os.Chmod(s.path, 0o604))
	requireFinding(t, s.path, "chmod 600")
}

// TestCheckAcceptsJournalModes: the next Open turns on WAL mode in a file that is
// not in it, such as a backup.
func TestCheckAcceptsJournalModes(t *testing.T) {
	s := open(t)
	require.NoError(t, s.Close())
	conn := raw(t, s.path)
	conn.run(t, "PRAGMA journal_mode = DELETE")
	require.NoError(t, conn.Close())
	findings, err := CheckFile(t.Context(), s.path)
	require.NoError(t, err)
	require.Empty(t, findings)
	var mode string
	s = openAt(t, s.path, &Options{MustExist: true})
	require.NoError(t, raw(t, s.path).QueryRowContext(t.Context(), "PRAGMA journal_mode").Scan(&mode))
	require.Equal(t, "wal", mode)
}

// TestCheckFindsForeignSchema: a part of the schema that the store did not create
// may change the stored content.
func TestCheckFindsForeignSchema(t *testing.T) {
	for statement, words := range map[string]string{
		"ALTER TABLE heads ADD COLUMN note TEXT":      "the table heads is not as ropewalk creates it",
		"ALTER TABLE changesets ADD COLUMN note BLOB": "the table changesets is not as ropewalk creates it",
		"CREATE UNIQUE INDEX i ON heads (digest)":     "index i of heads is foreign",
		"CREATE VIEW v AS SELECT * FROM heads":        "view v of v is foreign",
		"CREATE TABLE other (a)":                      "table other of other is foreign",
		"CREATE TRIGGER g AFTER INSERT ON changesets BEGIN UPDATE changesets SET content = x'00'; END": "trigger g of changesets is foreign",
		"DROP TABLE changesets": "the table changesets is missing",
	} {
		s := open(t)
		raw(t, s.path).run(t, statement)
		requireFinding(t, s.path, words)
	}
}

func TestCheckFindsMissingTable(t *testing.T) {
	s := open(t)
	raw(t, s.path).run(t, "DROP TABLE heads")
	requireFinding(t, s.path, "heads is missing")
}

func TestCheckFindsDamage(t *testing.T) {
	s := open(t)
	appendTo(t, s, head.Head{}, "order-1", strings.Repeat("x", 100_000))
	require.NoError(t, s.Close())
	overwrite(t, s.path, 4*4096, 6*4096)
	findings, err := CheckFile(t.Context(), s.path)
	require.NoError(t, err)
	require.NotEmpty(t, findings)
}

func TestCheckOfNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ropewalk.db")
	_, err := CheckFile(t.Context(), path)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoFileExists(t, path)
	write(t, path, "")
	requireFinding(t, path, "empty")
}

// overwrite puts bytes of 0xff into a closed database.
func overwrite(t *testing.T, path string, offset int64, n int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte(strings.Repeat("\xff", n)), offset)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

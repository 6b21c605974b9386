package sqlitestore

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
)

// requireRangeAsGet demands of GetRange what Get returns of these references, which are
// all in the range, without the contents above 64 KiB.
func requireRangeAsGet(t *testing.T, s *Store, refs []changeset.Ref, first, last uint64, msg string) {
	t.Helper()
	want := []changeset.Changeset{}
	for _, ref := range refs {
		if c, err := s.Get(t.Context(), ref, nil); err == nil && first <= ref.Version && ref.Version <= last && c.BodySize <= inline {
			want = append(want, c)
		}
	}
	got, err := s.GetRange(t.Context(), "order-1", first, last, nil)
	require.NoError(t, err, msg)
	require.Equal(t, want, got, msg)
}

// objectsOf returns the references of an aggregate, orphans among them, in the order of
// their versions.
func objectsOf(t *testing.T, s *Store) (refs []changeset.Ref) {
	t.Helper()
	for o, err := range s.Objects(t.Context(), "order-1") {
		require.NoError(t, err)
		refs = append(refs, o.Ref)
	}
	return refs
}

// TestRange: the rows of a range are found with the bases before it, beside orphans, and
// beside rows that are damaged.
func TestRange(t *testing.T) {
	s := open(t)
	chainOf(t, s, 40, 1)
	refs := objectsOf(t, s)
	require.Len(t, refs, 80)
	for first := range uint64(40) {
		for _, last := range []uint64{first, first + 1, first + 20, 39} {
			requireRangeAsGet(t, s, refs, first, last, fmt.Sprint(first, " to ", last))
		}
	}
	for _, where := range []string{"= x'10'", "= x'11'", "IN (x'10', x'11')", "= x'12'"} {
		for _, change := range []string{
			"header = CAST('x' || header AS BLOB)", "header = NULL", "header = x''", "content = x''", "content = zeroblob(70000)",
			"object = CAST(object || x'00' AS BLOB)", "object = substr(object, 1, 20)",
		} {
			conn := raw(t, s.path)
			conn.run(t, "CREATE TABLE kept AS SELECT * FROM changesets", "UPDATE changesets SET "+change+" WHERE substr(object, 8, 1) "+where+" AND rowid % 2")
			for _, first := range []uint64{0, 16, 17, 18, 19, 32} {
				requireRangeAsGet(t, s, refs, first, 39, fmt.Sprint(change, where, first))
			}
			conn.run(t, "DELETE FROM changesets", "INSERT INTO changesets SELECT * FROM kept", "DROP TABLE kept")
			require.NoError(t, conn.Close())
		}
	}
}

// TestRangeOfManyOrphans: a range has a bound, so that orphans do not fill the memory.
func TestRangeOfManyOrphans(t *testing.T) {
	s := open(t)
	chainOf(t, s, 3, 0)
	raw(t, s.path).run(t, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
		INSERT INTO changesets SELECT aggregate_id, CAST(substr(object, 1, 8) || randomblob(16) AS BLOB), header, fields, ancestors, content_sha256, digest, content_type, last_modified, content
		FROM (SELECT * FROM changesets WHERE substr(object, 8, 1) = x'00'), n`)
	got, err := s.GetRange(t.Context(), "order-1", 0, 2, nil)
	require.NoError(t, err)
	require.LessOrEqual(t, len(got), 1024)
}

// TestContentsOfARange: the contents do not share memory.
func TestContentsOfARange(t *testing.T) {
	s := open(t)
	chainOf(t, s, 30, 0)
	all, err := s.GetRange(t.Context(), "order-1", 0, 29, nil)
	require.NoError(t, err)
	require.Len(t, all, 30)
	for i := range all {
		clear(all[i].Body[:cap(all[i].Body)])
		for _, c := range all[i+1:] {
			require.NoError(t, c.VerifyBody())
		}
	}
	require.False(t, slices.ContainsFunc(all, func(c changeset.Changeset) bool { return len(bytes.Trim(c.Body, "\x00")) > 0 }))
}

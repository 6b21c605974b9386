package sqlitestore

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
)

// requireManyAsGet demands of GetMany what Get returns of each changeset, and nothing of
// the changesets of which Get returns an error.
func requireManyAsGet(t *testing.T, s *Store, refs []changeset.Ref, msg string) {
	t.Helper()
	want := []changeset.Changeset{}
	for _, ref := range refs {
		if c, err := s.Get(t.Context(), ref, nil); err == nil {
			want = append(want, c)
		}
	}
	got, err := s.GetMany(t.Context(), refs, nil)
	require.NoError(t, err, msg)
	slices.SortFunc(got, func(a, b changeset.Changeset) int {
		return slices.Index(refs, a.Ref) - slices.Index(refs, b.Ref)
	})
	require.Equal(t, want, got, msg)
}

// chainOf returns the references of a chain of n changesets, beside which each version
// has orphans.
func chainOf(t *testing.T, s *Store, n, orphans int) (refs []changeset.Ref) {
	t.Helper()
	var h head.Head
	for i := range n {
		for range orphans {
			others, _ := extend(t, h, "order-1", "orphan")
			require.NoError(t, s.Put(t.Context(), others[0]))
		}
		h = appendTo(t, s, h, "order-1", fmt.Sprint("content ", i))
		refs = append(refs, h.Ref)
	}
	return refs
}

// TestManyOfARange: the rows of a range are found by their objects, in any order, with
// gaps, and beside orphans and rows of the other format.
func TestManyOfARange(t *testing.T) {
	s := open(t)
	refs := chainOf(t, s, 20, 1)
	packs, h := packTo(t, s, head.Head{}, "order-2", "one", "two")
	more, _ := packTo(t, s, h, "order-2", "three")
	requireManyAsGet(t, s, refs, "all")
	slices.Reverse(refs)
	requireManyAsGet(t, s, refs, "backward")
	requireManyAsGet(t, s, slices.Concat(refs[2:7], refs[8:10]), "with a gap")
	missing := refs[3]
	missing.ID = changeset.NewID()
	requireManyAsGet(t, s, append(slices.Clone(refs[:3]), missing, refs[4], refs[5]), "one is missing")
	requireManyAsGet(t, s, append(slices.Clone(refs), packs[0].Ref, more[0].Ref), "two aggregates and formats")
	raw(t, s.path).run(t, "UPDATE changesets SET aggregate_id = 'order-1' WHERE aggregate_id = 'order-2'")
	requireManyAsGet(t, s, refs, "rows of the other format in the range")
}

// TestManyBesideOrphans: a range with more orphans than one query reads leaves out no
// changeset.
func TestManyBesideOrphans(t *testing.T) {
	s := open(t)
	refs := chainOf(t, s, 8, 1)
	raw(t, s.path).run(t, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
		INSERT INTO changesets SELECT aggregate_id, CAST(substr(object, 1, 8) || randomblob(16) AS BLOB), header, fields, ancestors, content_sha256, digest, content_type, last_modified, content
		FROM (SELECT * FROM changesets WHERE substr(object, 8, 1) = x'02' LIMIT 1), n`)
	requireManyAsGet(t, s, refs, "2000 orphans")
}

// TestManyOfTamperedRows: GetMany leaves out what Get finds damaged, also if the columns
// side by side have the bytes of the original.
func TestManyOfTamperedRows(t *testing.T) {
	s := open(t)
	refs := chainOf(t, s, 6, 0)
	asTexts(t, s.path)
	for _, change := range []string{
		"content_sha256 = CAST(content_sha256 || substr(digest, 1, 1) AS BLOB), digest = substr(digest, 2)",
		"digest = CAST(digest || coalesce(substr(ancestors, 1, 1), x'') AS BLOB), ancestors = coalesce(substr(ancestors, 2), x'')",
		"fields = fields || char(10) || content_type, content_type = ''",
		"fields = substr(fields, 1, 20), content_type = substr(fields, 21) || char(10) || content_type",
		"content = x''", "content = zeroblob(70000)", "fields = ''", "ancestors = zeroblob(900)",
	} {
		heal := damage(t, s.path, "changesets", change)
		requireManyAsGet(t, s, refs, change)
		requireManyAsGet(t, s, refs[:2], change)
		heal()
	}
	requireManyAsGet(t, s, refs, "healed")
}

// TestContentsAreTheirOwners: the contents of many changesets do not share memory, as
// the driver makes a slice for each value.
func TestContentsAreTheirOwners(t *testing.T) {
	s := open(t)
	refs := chainOf(t, s, 30, 0)
	all, err := s.GetMany(t.Context(), refs, nil)
	require.NoError(t, err)
	for i := range all {
		clear(all[i].Body[:cap(all[i].Body)])
		for _, c := range all[i+1:] {
			require.NoError(t, c.VerifyBody())
		}
	}
	again, err := s.GetMany(t.Context(), refs, nil)
	require.NoError(t, err)
	for _, c := range again {
		require.NoError(t, c.VerifyBody())
	}
}

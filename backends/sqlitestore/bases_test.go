package sqlitestore

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
)

// chainIn commits a chain of n changesets, one by one, and returns them.
func chainIn(t *testing.T, s *Store, h head.Head, n int) (all []changeset.Changeset, last head.Head) {
	t.Helper()
	for i := range n {
		changesets, next := extend(t, h, "order-1", fmt.Sprint("content ", i))
		var err error
		h, err = s.Commit(t.Context(), changesets, h, next)
		require.NoError(t, err)
		all = append(all, changesets...)
	}
	return all, h
}

// requireStored demands the changesets, by each way to read them.
func requireStored(t *testing.T, s *Store, all []changeset.Changeset) {
	t.Helper()
	refs := make([]changeset.Ref, len(all))
	for i, c := range all {
		refs[i] = c.Ref
		got, err := s.Get(t.Context(), c.Ref, nil)
		require.NoError(t, err)
		require.Equal(t, c, got)
		info, err := s.Stat(t.Context(), c.Ref)
		require.NoError(t, err)
		require.Equal(t, c.Header, info.Header)
	}
	for from := range refs {
		got, err := s.GetMany(t.Context(), refs[from:], nil)
		require.NoError(t, err)
		require.ElementsMatch(t, all[from:], got, "from version %d", refs[from].Version)
	}
}

// shares reports whether the row of a changeset needs the row of a base.
func shares(t *testing.T, s *Store, ref changeset.Ref) bool {
	t.Helper()
	_, ok := changeset.BinaryBases(ref, headerOf(t, s.path, ref))
	return ok
}

// TestRowsShareTheirBases: all rows after version 16 share, also a base that another store has written.
func TestRowsShareTheirBases(t *testing.T) {
	s := open(t)
	all, h := chainIn(t, s, head.Head{}, 20)
	more, h := chainIn(t, openAt(t, s.path, nil), h, 10)
	all = append(all, more...)
	more, _ = chainIn(t, s, h, 10)
	all = append(all, more...)
	for _, c := range all {
		require.Equal(t, c.Version > 16 && c.Version%16 >= 2, shares(t, s, c.Ref), c.Version)
	}
	requireStored(t, s, all)
}

// TestRowsWithoutABaseAreWhole: a base that is missing, damaged or another one is not
// relied on, and neither is a base that was rolled back.
func TestRowsWithoutABaseAreWhole(t *testing.T) {
	elsewhere := open(t)
	all, _ := chainIn(t, elsewhere, head.Head{}, 20)
	for name, prepare := range map[string]func(s *Store){
		"missing": func(*Store) {},
		"alone":   func(s *Store) { require.NoError(t, s.Put(t.Context(), all[16])) },
		"the second alone": func(s *Store) {
			require.NoError(t, s.Put(t.Context(), all[17]))
		},
		"damaged": func(s *Store) {
			require.NoError(t, s.Put(t.Context(), all[16]))
			tamper(t, s.path, "UPDATE changesets SET header = substr(header, 2)")
			require.NoError(t, s.Put(t.Context(), all[17]))
		},
		"in the text form": func(s *Store) {
			require.NoError(t, s.Put(t.Context(), all[16]))
			asTexts(t, s.path)
			require.NoError(t, s.Put(t.Context(), all[17]))
		},
		"rolled back": func(s *Store) {
			require.NoError(t, s.transaction(func() error {
				r, err := newRow(all[16])
				require.NoError(t, err)
				require.NoError(t, s.session.insertRow(r))
				r, err = newRow(all[17])
				require.NoError(t, err)
				require.NoError(t, s.session.insertRow(r))
				return nil
			}, true))
		},
	} {
		s := open(t)
		prepare(s)
		require.NoError(t, s.Put(t.Context(), all[18]))
		require.False(t, shares(t, s, all[18].Ref), name)
		requireStored(t, s, all[18:19])
	}
}

// transaction runs f in a transaction that is committed or undone.
func (s *Store) transaction(f func() error, undo bool) error {
	if err := s.session.begin(); err != nil {
		return err
	}
	err := f()
	if undo || err != nil {
		s.session.rollback()
		return err
	}
	return s.session.commit()
}

// TestDeletedBase: the rows that share the upper wheels of a base survive its deletion,
// by this store or another one, and no row written later relies on it.
func TestDeletedBase(t *testing.T) {
	s := open(t)
	all, h := chainIn(t, s, head.Head{}, 40)
	require.NoError(t, s.Delete(t.Context(), all[16].Ref))
	require.NoError(t, openAt(t, s.path, nil).Delete(t.Context(), all[32].Ref))
	more, _ := chainIn(t, s, h, 5)
	all = append(all, more...)
	for _, c := range slices.Concat(all[17:32], all[33:]) {
		require.False(t, shares(t, s, c.Ref), c.Version)
	}
	requireStored(t, s, slices.Concat(all[:16], all[17:32], all[33:]))
}

// TestDeletedFork: each branch of a fork has a base of its own.
func TestDeletedFork(t *testing.T) {
	s := open(t)
	all, h := chainIn(t, s, head.Head{}, 14)
	var lost []changeset.Changeset
	fork := h
	for range 10 {
		changesets, next := extend(t, fork, "order-1", "lost")
		require.NoError(t, s.Put(t.Context(), changesets[0]))
		lost, fork = append(lost, changesets...), next
	}
	more, _ := chainIn(t, s, h, 10)
	all = append(all, more...)
	require.True(t, shares(t, s, lost[4].Ref))
	requireStored(t, s, slices.Concat(all, lost))
	require.NoError(t, s.Delete(t.Context(), lost[2].Ref))
	require.False(t, shares(t, s, lost[4].Ref))
	require.True(t, shares(t, s, all[18].Ref))
	requireStored(t, s, slices.Concat(all, lost[:2], lost[3:]))
}

// TestDamagedBase: a damaged base is corrupt, and no other changeset. Without either base,
// the rows that share their upper wheels are corrupt.
func TestDamagedBase(t *testing.T) {
	s := open(t)
	all, _ := chainIn(t, s, head.Head{}, 40)
	for _, damage := range []string{"10", "11"} {
		for _, change := range []string{"UPDATE changesets SET header = CAST('x' || header AS BLOB)", "UPDATE changesets SET header = NULL", "DELETE FROM changesets"} {
			conn := raw(t, s.path)
			conn.run(t, "CREATE TABLE kept AS SELECT * FROM changesets", change+" WHERE substr(object, 8, 1) = x'"+damage+"'")
			sound := slices.DeleteFunc(slices.Clone(all), func(c changeset.Changeset) bool { return fmt.Sprintf("%x", c.Version) == damage })
			require.Len(t, sound, 39)
			for _, c := range sound {
				got, err := s.Get(t.Context(), c.Ref, nil)
				require.NoError(t, err)
				require.Equal(t, c, got)
			}
			conn.run(t, "DELETE FROM changesets", "INSERT INTO changesets SELECT * FROM kept", "DROP TABLE kept")
			require.NoError(t, conn.Close())
		}
	}
	raw(t, s.path).run(t, "UPDATE changesets SET header = CAST('x' || header AS BLOB) WHERE substr(object, 8, 1) IN (x'10', x'11')")
	for _, c := range all[16:32] {
		_, err := s.Get(t.Context(), c.Ref, nil)
		requireCorrupt(t, err, s.Locate(c.Ref))
		if c.Version >= 18 {
			require.ErrorContains(t, err, "the changesets at versions 16 and 17")
		}
	}
	requireStored(t, s, all[:16])
	requireStored(t, s, all[32:])
}

// TestSizeOfAChangeset bounds what the file takes for a changeset besides its content, in
// a log, heads and all.
func TestSizeOfAChangeset(t *testing.T) {
	const aggregates, each, content = 12, 50, 252
	s := open(t)
	for n := range aggregates {
		var h head.Head
		for range each {
			h = appendTo(t, s, h, fmt.Sprintf("order-%d", n), strings.Repeat("x", content))
		}
	}
	require.NoError(t, s.Close())
	info, err := os.Stat(s.path)
	require.NoError(t, err)
	require.LessOrEqual(t, info.Size()/(aggregates*each)-content, int64(500))
	findings, err := CheckFile(context.Background(), s.path)
	require.NoError(t, err)
	require.Empty(t, findings)
}

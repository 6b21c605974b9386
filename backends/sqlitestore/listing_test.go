package sqlitestore

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/head"
)

// TestListingsHoldUpNobody writes to the store from within the loops, and folds
// the WAL into the file, which works only while there is no reader.
func TestListingsHoldUpNobody(t *testing.T) {
	s := open(t)
	for i := range 3 {
		appendTo(t, s, head.Head{}, fmt.Sprintf("order-%d", i), "one", "two")
	}
	conn := raw(t, s.path)
	inLoop := func(err error) {
		t.Helper()
		require.NoError(t, err)
		h, err := s.Load(t.Context(), "order-0")
		require.NoError(t, err)
		appendTo(t, s, h, "order-0", "more")
		var busy, frames, folded int
		require.NoError(t, conn.QueryRowContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &folded))
		require.Zero(t, busy, "a listing keeps a transaction open")
	}
	for _, err := range s.Aggregates(t.Context(), "") {
		inLoop(err)
	}
	for _, err := range s.List(t.Context(), "") {
		inLoop(err)
	}
	for _, err := range s.Objects(t.Context(), "order-0") {
		inLoop(err)
	}
}

// TestAggregatesSkipsForeignFolders lists folders whose first objects, or all
// objects, are no changesets.
func TestAggregatesSkipsForeignFolders(t *testing.T) {
	s := open(t)
	for _, id := range []string{"a", "a-b", "a.b", "b"} {
		appendTo(t, s, head.Head{}, id, "one")
	}
	for _, foreign := range [][2]string{{"", ""}, {"a", "!"}, {"a", "~"}, {"a!", "x"}, {"a.b", "x"}, {"aa", "x"}, {"z", "x"}} {
		tamper(t, s.path, insertForeign, foreign[0], []byte(foreign[1]))
	}
	var ids []string
	for id, err := range s.Aggregates(t.Context(), "") {
		require.NoError(t, err)
		ids = append(ids, id)
	}
	require.Equal(t, []string{"a", "a.b", "a-b", "b"}, ids)
}

// TestQueriesUseTheIndex holds the statements of listings to single searches.
func TestQueriesUseTheIndex(t *testing.T) {
	s := open(t)
	for _, query := range s.reader.queries() {
		rows, err := s.reader.db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, slices.Repeat([]any{1}, parameters(t, s, query))...)
		require.NoError(t, err)
		for rows.Next() {
			var id, parent, unused int
			var detail string
			require.NoError(t, rows.Scan(&id, &parent, &unused, &detail))
			if query == selectMany && (strings.HasPrefix(detail, "LIST SUBQUERY") || strings.HasPrefix(detail, "SCAN json_each")) {
				continue // the list of the objects to find
			}
			if query == selectScan && strings.HasPrefix(detail, "SCAN json_each") {
				continue // the list of the aggregates
			}
			if query == selectAggregates && !strings.Contains(detail, "changesets") {
				continue // the steps of the recursion
			}
			if query == selectLogEnd && strings.HasPrefix(detail, "SCALAR SUBQUERY") {
				continue // the last position
			}
			if strings.HasPrefix(detail, "CORRELATED SCALAR SUBQUERY") {
				continue // the base of a row
			}
			require.Contains(t, detail, "SEARCH", query)
		}
		require.NoError(t, rows.Err())
	}
}

// parameters returns how many parameters a query has.
func parameters(t *testing.T, s *Store, query string) (n int) {
	t.Helper()
	for n = range 10 {
		rows, err := s.reader.db.QueryContext(t.Context(), "EXPLAIN "+query, slices.Repeat([]any{1}, n)...)
		if err == nil {
			require.NoError(t, rows.Close())
			return n
		}
	}
	require.Fail(t, "too many parameters", query)
	return 0
}

package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/head"
)

// limit lets the database grow by so many pages and no more, as a full disk would.
func limit(t *testing.T, s *Store, more int) {
	t.Helper()
	conn, pages := s.session.conn, 0
	require.NoError(t, conn.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&pages))
	_, err := conn.ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages+more))
	require.NoError(t, err)
}

// fill appends to a chain until that fails, and returns the head that was
// acknowledged last, and the error.
func fill(s *Store, h head.Head, id string) (head.Head, error) {
	for {
		next, err := tryAppend(s, h, id, strings.Repeat("x", 3000), strings.Repeat("y", 3000))
		if err != nil {
			return h, err
		}
		h = next
	}
}

// TestFull: where there is no room, appends are refused, and nothing that was
// acknowledged is lost; where there is room again, they go on.
func TestFull(t *testing.T) {
	s := open(t)
	h := appendTo(t, s, head.Head{}, "order-1", "one")
	limit(t, s, 40)
	h, err := fill(s, h, "order-1")
	var refused *head.NotAppliedError
	require.ErrorAs(t, err, &refused)
	require.ErrorContains(t, err, "full")
	require.Greater(t, h.Version, uint64(2), "it was full from the beginning")
	changesets, _ := extend(t, h, "order-1", strings.Repeat("x", 100_000))
	require.ErrorContains(t, s.Put(t.Context(), changesets[0]), "full")
	requireSoundAfterKills(t, s.path, map[string]head.Head{"order-1": h})

	limit(t, s, 1000)
	h = appendTo(t, s, h, "order-1", "more")
	requireSoundAfterKills(t, s.path, map[string]head.Head{"order-1": h})
}

// TestFullForMany: requests that share a transaction get an outcome each.
func TestFullForMany(t *testing.T) {
	s := open(t)
	limit(t, s, 200)
	heads := map[string]head.Head{}
	var mu sync.Mutex
	var group sync.WaitGroup
	for n := range 16 {
		group.Go(func() {
			id := fmt.Sprintf("order-%d", n)
			h, err := fill(s, head.Head{}, id)
			var refused *head.NotAppliedError
			if !errors.As(err, &refused) {
				t.Errorf("%s: %v", id, err)
			}
			mu.Lock()
			defer mu.Unlock()
			heads[id] = h
		})
	}
	group.Wait()
	for id, want := range heads {
		got, err := s.Load(context.Background(), id)
		require.NoError(t, err)
		require.Equal(t, want, got)
		if !got.Exists() {
			delete(heads, id)
		}
	}
	require.NotEmpty(t, heads)
	requireSoundAfterKills(t, s.path, heads)
}

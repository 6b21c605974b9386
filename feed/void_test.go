package feed_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/feed"
	"ropewalk/head"
	"ropewalk/internal/link"
)

// void fences an aggregate that does not exist.
func void(t testing.TB, heads head.Store, id string) head.Head {
	t.Helper()
	h, err := heads.Swap(t.Context(), head.Head{}, link.Void(id))
	require.NoError(t, err)
	return h
}

// A void head is no change: whether it comes as a hint, by a sweep, or was there before the
// feed. The append after it is the first change of its aggregate.
func TestVoidHeadsAreNotFed(t *testing.T) {
	virtually(t, func(s *system) {
		void(s, s.heads, "before")
		s.append("a")
		require.Equal(s, 1, s.once().Advances)
		void(s, s.heads, "after")
		fenced, err := s.heads.Swap(s.Context(), s.load("after"), link.Fence(s.load("after")))
		require.NoError(s, err)
		require.Zero(s, s.once().Batches)
		status, err := s.feed.Status(s.Context())
		require.NoError(s, err)
		require.False(s, status.Unfed)
		report, err := s.feed.Relay(nil).Sweep(s.Context())
		require.NoError(s, err)
		require.Zero(s, report.Advances)
		require.Empty(s, report.Restored)
		require.Empty(s, s.findings())
		require.Len(s, s.changes(), 1)

		require.Equal(s, fenced.Revision+1, s.append("after").Revision)
		s.append("before")
		s.append("after")
		require.NotZero(s, s.once().Advances)
		require.Empty(s, s.findings())
		var fed []string
		for _, c := range s.changes() {
			fed = append(fed, fmt.Sprintf("%s@%d", c.AggregateID, c.Version))
		}
		require.ElementsMatch(s, []string{"a@0", "after@0", "before@0", "after@1"}, fed)
	})
}

func (s *system) load(id string) head.Head {
	h, err := s.heads.Load(s.Context(), id)
	require.NoError(s, err)
	return h
}

// A void head in place of a chain that was fed is the head of a restored aggregate.
func TestVoidHeadsThatWereFed(t *testing.T) {
	virtually(t, func(s *system) {
		s.append("a")
		s.once()
		s.change("a", nil)
		void(s, s.heads, "a")
		report, err := s.feed.Relay(nil).Sweep(s.Context())
		require.NoError(s, err)
		require.Equal(s, []string{"a"}, report.Restored)
		findings := s.findings()
		require.Len(s, findings, 1)
		require.Contains(s, findings[0].String(), `"a": the feed has it, and it has no head`)
	})
}

// One who follows a log of commits, or a listing, hears of the append alone.
func TestFollowersPassOverVoidHeads(t *testing.T) {
	for name, wrap := range map[string]func(*memstore.Store) head.Store{
		"a log":     func(db *memstore.Store) head.Store { return db },
		"a listing": func(db *memstore.Store) head.Store { return bare{db} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db := memstore.New()
				store := ropewalk.New(db, wrap(db), nil)
				f := feed.Open(store, nil)
				void(t, db, "a")
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				ended := make(chan error, 1)
				if name == "a listing" {
					go func() { ended <- f.Relay(nil).Run(ctx) }()
				} else {
					ended <- nil
				}
				time.Sleep(time.Hour)
				changes := make(chan feed.Change)
				go func() {
					defer close(changes)
					for c, err := range f.Follow(ctx, feed.Position{}) {
						if err != nil {
							return
						}
						changes <- c
					}
				}()
				void(t, db, "b")
				time.Sleep(time.Hour)
				synctest.Wait()
				select {
				case c := <-changes:
					require.Fail(t, "a void head is no change", "%v", c)
				default:
				}
				_, err := store.Chain("b").Create(t.Context(), ropewalk.Draft{})
				require.NoError(t, err)
				c := <-changes
				require.Equal(t, "b", c.AggregateID)
				require.Zero(t, c.Version)
				stop()
				for range changes { // until the follower has ended
				}
				<-ended
			})
		})
	}
}

package feed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/feed"
	"ropewalk/gc"
	"ropewalk/head"
	"ropewalk/internal/reserved"
)

// system is a store whose feed is a chain, and whose heads have a stream.
type system struct {
	*testing.T
	db     *memstore.Store
	stream *streaming
	heads  head.Store
	store  *ropewalk.Store
	feed   *feed.Feed
	log    bytes.Buffer
}

func newSystem(t *testing.T) *system {
	s := &system{T: t, db: memstore.New()}
	s.stream, s.heads = newStreaming(s.db, 1)
	s.store = ropewalk.New(s.db, s.heads, nil)
	s.feed = feed.Open(s.store, &feed.Options{Logger: slog.New(slog.NewTextHandler(&s.log, nil))})
	return s
}

// append appends one changeset to an aggregate.
func (s *system) append(id string) ropewalk.Head {
	chain := s.store.Chain(id)
	h, err := chain.Head(s.Context())
	if !errors.Is(err, ropewalk.ErrNotFound) {
		require.NoError(s, err)
	}
	h, err = chain.Append(s.Context(), h, ropewalk.Draft{Content: []byte(id)})
	require.NoError(s, err)
	return h
}

// once runs a relay until it has fed everything.
func (s *system) once() feed.RelayReport {
	report, err := s.feed.Relay(nil).Once(s.Context())
	require.NoError(s, err)
	return report
}

func (s *system) changes() []feed.Change {
	all, err := ropewalk.Collect(s.feed.After(s.Context(), feed.Position{}))
	require.NoError(s, err)
	return all
}

func (s *system) findings() []feed.Finding {
	all, err := ropewalk.Collect(s.feed.Verify(s.Context()))
	require.NoError(s, err)
	return all
}

// feedHead returns the head of the feed's chain.
func (s *system) feedHead() ropewalk.Head {
	status, err := s.feed.Status(s.Context())
	require.NoError(s, err)
	h, err := s.store.Chain(reserved.Feed(status.Generation)).Head(s.Context())
	require.NoError(s, err)
	return h
}

// virtually runs a test in virtual time.
func virtually(t *testing.T, test func(s *system)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(newSystem(t)) })
}

func TestOnceFeedsWhatHappened(t *testing.T) {
	virtually(t, func(s *system) {
		for i := range 20 {
			s.append(fmt.Sprintf("a%d", i%5))
		}
		_, err := s.feed.End(s.Context())
		require.ErrorIs(s, err, feed.ErrNoFeed)
		require.Equal(s, 5, s.once().Advances, "one advance for each aggregate")
		changes := s.changes()
		require.Len(s, changes, 20)
		end, err := s.feed.End(s.Context())
		require.NoError(s, err)
		require.Equal(s, changes[19].Position, end)
		for i, c := range changes {
			rest, err := ropewalk.Collect(s.feed.After(s.Context(), c.Position))
			require.NoError(s, err)
			require.Len(s, rest, len(changes)-i-1)
		}
		require.Zero(s, s.once().Batches)
		require.Empty(s, s.findings())
	})
}

// The swaps of the feed itself are in the stream. They are worth no batch.
func TestTheFeedDoesNotGrowByItself(t *testing.T) {
	virtually(t, func(s *system) {
		s.append("a")
		ctx, stop := context.WithTimeout(s.Context(), 5*time.Hour)
		defer stop()
		require.ErrorIs(s, s.feed.Relay(nil).Run(ctx), context.DeadlineExceeded)
		require.LessOrEqual(s, s.feedHead().Version, uint64(1))
	})
}

// A cursor alone is worth a batch when hints were consumed and the newest batch is
// six hours old: a fence is a hint that says nothing new.
func TestACursorAloneIsWorthABatchAfterSixHours(t *testing.T) {
	virtually(t, func(s *system) {
		h := s.append("a")
		ctx, stop := context.WithCancel(s.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = s.feed.Relay(nil).Run(ctx) })
		time.Sleep(time.Minute)
		before := s.feedHead().Version
		for range 13 {
			time.Sleep(time.Hour)
			ref := ropewalk.Ref{AggregateID: "a", Version: h.Version + 1, ID: h.ID}
			_, err := s.store.Chain("a").Settle(s.Context(), ref, h.Revision)
			require.ErrorIs(s, err, ropewalk.ErrConflict)
			h, err = s.store.Chain("a").Head(s.Context())
			require.NoError(s, err)
		}
		stop()
		running.Wait()
		require.Equal(s, before+2, s.feedHead().Version)
		require.Len(s, s.changes(), 1)
	})
}

// Of several relays one works. When it ends, another takes over.
func TestOneRelayIsActive(t *testing.T) {
	virtually(t, func(s *system) {
		var running sync.WaitGroup
		var stops []context.CancelFunc
		for range 3 {
			ctx, stop := context.WithCancel(s.Context())
			stops = append(stops, stop)
			running.Go(func() { _ = s.feed.Relay(nil).Run(ctx) })
		}
		for i := range 3 {
			for range 30 {
				s.append("a")
				time.Sleep(time.Second)
			}
			time.Sleep(30 * time.Second)
			require.Empty(s, s.findings(), "without the first %d relays", i)
			reads := s.stream.reads.Load()
			time.Sleep(time.Minute)
			alive := int64(3 - i)
			require.LessOrEqual(s, s.stream.reads.Load()-reads, 240+alive*40, "the others read the stream now and then")
			stops[i]()
		}
		running.Wait()
	})
}

func TestRelaysOfADroppedFeedEnd(t *testing.T) {
	virtually(t, func(s *system) {
		s.append("a")
		s.once()
		position := s.changes()[0].Position
		var running sync.WaitGroup
		var ended error
		running.Go(func() { ended = s.feed.Relay(nil).Run(s.Context()) })
		time.Sleep(time.Second)
		require.NoError(s, s.feed.Drop(s.Context()))
		require.NoError(s, s.feed.Drop(s.Context()), "it can be repeated")
		var left []string
		for id, err := range s.db.Aggregates(s.Context(), "") {
			require.NoError(s, err)
			left = append(left, id)
		}
		require.Equal(s, []string{"$feed", "a"}, left)
		s.append("a")
		running.Wait()
		require.ErrorIs(s, ended, feed.ErrFeedReplaced)
		for _, err := range s.feed.After(s.Context(), feed.Position{}) {
			require.ErrorIs(s, err, feed.ErrNoFeed)
		}

		s.once() // makes another feed, of everything
		require.Len(s, s.changes(), 2)
		for _, err := range s.feed.After(s.Context(), position) {
			require.ErrorIs(s, err, feed.ErrOtherHistory)
		}
	})
}

// Positions ahead of the feed, and positions of a history that a restored feed does
// not have, are never taken for the beginning or the end.
func TestPositionsOfAnotherHistory(t *testing.T) {
	virtually(t, func(s *system) {
		s.append("a")
		s.once()
		older := s.db.Clone()
		s.append("a")
		s.once()
		ahead := s.changes()[1].Position

		restored, heads := newStreaming(older, 2)
		require.NotNil(s, restored)
		store := ropewalk.New(older, heads, nil)
		f := feed.Open(store, nil)
		requireOther := func() {
			for _, follow := range []bool{false, true} {
				sequence := f.After
				if follow {
					sequence = f.Follow
				}
				for _, err := range sequence(s.Context(), ahead) {
					require.ErrorIs(s, err, feed.ErrOtherHistory)
				}
			}
		}
		requireOther() // beyond the end
		h, err := store.Chain("a").Head(s.Context())
		require.NoError(s, err)
		_, err = store.Chain("a").Append(s.Context(), h, ropewalk.Draft{Content: []byte("other")})
		require.NoError(s, err)
		_, err = f.Relay(nil).Once(s.Context())
		require.NoError(s, err)
		requireOther() // another changeset of the feed is at its place
		changes, err := ropewalk.Collect(f.After(s.Context(), feed.Position{}))
		require.NoError(s, err)
		require.Len(s, changes, 2)
	})
}

// A head that does not decode is named in the feed. It is tried again at each start,
// although its hint has been consumed.
func TestUnreadHeadsAreTriedAgain(t *testing.T) {
	virtually(t, func(s *system) {
		s.append("a")
		s.append("b")
		s.once()
		s.append("a")
		s.append("b")
		name := head.ObjectName("a")
		var kept []byte
		s.db.Tamper(func(c *memstore.Contents) {
			kept = c.Heads[name]
			c.Heads[name] = []byte("{}")
		})
		s.stream.forgetRecords()
		require.Equal(s, []string{"a"}, s.once().Unread)
		require.Len(s, s.changes(), 3)
		require.Len(s, s.findings(), 1)
		require.Equal(s, []string{"a"}, s.once().Unread)
		s.db.Tamper(func(c *memstore.Contents) { c.Heads[name] = kept })
		require.Empty(s, s.once().Unread)
		require.Len(s, s.changes(), 4)
		require.Empty(s, s.findings())
	})
}

// A relay does not go on while many heads do not decode: something is wrong.
func TestTooManyUnreadHeads(t *testing.T) {
	virtually(t, func(s *system) {
		for i := range 101 {
			s.append(fmt.Sprint(i))
		}
		s.stream.forgetRecords()
		s.db.Tamper(func(c *memstore.Contents) {
			for name := range c.Heads {
				c.Heads[name] = []byte("{}")
			}
		})
		_, err := s.feed.Relay(nil).Once(s.Context())
		require.ErrorContains(s, err, "101 heads do not decode")
	})
}

// A restored head is reported, whether it is below what was fed or has overtaken it,
// and the feed stays one history.
func TestRestoredHeadsAreLeftAlone(t *testing.T) {
	virtually(t, func(s *system) {
		s.append("a")
		old := bytes.Clone(s.record("a"))
		s.append("a")
		s.once()
		s.db.Tamper(func(c *memstore.Contents) { c.Heads[head.ObjectName("a")] = old })
		report, err := s.feed.Relay(nil).Sweep(s.Context())
		require.NoError(s, err)
		require.Equal(s, []string{"a"}, report.Restored)
		require.Contains(s, s.log.String(), "restored")
		require.ErrorContains(s, errors.New(s.findings()[0].String()), "it was restored")
		for range 3 {
			s.append("a")
		}
		require.Equal(s, []string{"a"}, s.once().Restored)
		require.Len(s, s.changes(), 2)
		require.NotEmpty(s, s.findings())
		_, err = s.feed.Relay(nil).Once(s.Context())
		require.NoError(s, err)
	})
}

func (s *system) record(id string) (record []byte) {
	s.db.Tamper(func(c *memstore.Contents) { record = c.Heads[head.ObjectName(id)] })
	return record
}

// An erasure is one change. It covers what was committed and not yet fed.
func TestErasures(t *testing.T) {
	virtually(t, func(s *system) {
		collector := gc.New(s.db, s.heads, nil)
		s.append("fed")
		s.append("late")
		s.once()
		for range 2 {
			s.append("late")
		}
		s.append("never")
		for _, id := range []string{"fed", "late", "never"} {
			_, err := collector.Erase(s.Context(), id)
			require.NoError(s, err)
		}
		s.once()
		erased := map[string]uint64{}
		for _, c := range s.changes() {
			require.True(s, c.Erased, "its content is gone")
			erased[c.AggregateID] = c.Version
		}
		require.Equal(s, map[string]uint64{"fed": 0, "late": 2, "never": 0}, erased)
		require.Empty(s, s.findings())
		require.Zero(s, s.once().Batches)
	})
}

// Without a relay, only the status says that there are changes.
func TestStatus(t *testing.T) {
	virtually(t, func(s *system) {
		_, err := s.feed.Status(s.Context())
		require.ErrorIs(s, err, feed.ErrNoFeed)
		s.append("a")
		s.once()
		status, err := s.feed.Status(s.Context())
		require.NoError(s, err)
		require.False(s, status.Unfed)
		require.Equal(s, 1, status.Aggregates)
		require.EqualValues(s, 1, status.Batches)
		require.Equal(s, "stream", status.Source)
		require.False(s, status.Sweeping)
		since := time.Now()
		s.append("b")
		time.Sleep(time.Hour)
		status, err = s.feed.Status(s.Context())
		require.NoError(s, err)
		require.True(s, status.Unfed)
		require.Equal(s, since.UTC(), status.OldestUnfed.UTC())
		require.EqualValues(s, 1, status.Batches, "it feeds nothing")
	})
}

// Verify finds each kind of disagreement between the feed and the chains.
func TestVerifyFindings(t *testing.T) {
	for name, c := range map[string]struct {
		do    func(s *system)
		want  string
		unfed bool
	}{
		"unfed":          {func(s *system) { s.append("a") }, `"a": version 2 is not fed yet`, true},
		"a new one":      {func(s *system) { s.append("b") }, `"b": version 0 is not fed yet`, true},
		"an erasure":     {func(s *system) { s.erase("a") }, `"a": its erasure is not fed yet`, true},
		"no head":        {func(s *system) { s.change("a", nil) }, `"a": the feed has it, and it has no head`, false},
		"a damaged head": {func(s *system) { s.change("a", []byte("{}")) }, `"a": its head does not decode`, false},
	} {
		t.Run(name, func(t *testing.T) {
			virtually(t, func(s *system) {
				s.append("a")
				s.append("a")
				s.once()
				c.do(s)
				findings := s.findings()
				require.Len(s, findings, 1)
				require.Contains(s, findings[0].String(), c.want)
				require.Equal(s, c.unfed, findings[0].Unfed)
			})
		})
	}
}

func (s *system) erase(id string) {
	_, err := gc.New(s.db, s.heads, nil).Erase(s.Context(), id)
	require.NoError(s, err)
}

func (s *system) change(id string, record []byte) {
	s.db.Tamper(func(c *memstore.Contents) {
		if record == nil {
			delete(c.Heads, head.ObjectName(id))
		} else {
			c.Heads[head.ObjectName(id)] = record
		}
	})
}

// A store without a source and without tags is listed again and again.
func TestListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memstore.New()
		store := ropewalk.New(db, bare{db}, nil)
		f := feed.Open(store, nil)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = f.Relay(&feed.RelayOptions{ListEvery: time.Second}).Run(ctx) })
		for i := range 10 {
			_, err := store.Chain(fmt.Sprint(i)).Create(ctx, ropewalk.Draft{})
			require.NoError(t, err)
			time.Sleep(2 * time.Second)
			changes, err := ropewalk.Collect(f.After(ctx, feed.Position{}))
			require.NoError(t, err)
			require.Len(t, changes, i+1)
		}
		stop()
		running.Wait()
	})
}

// The feed is made while the store is in use and already holds 8,577 changesets of
// 1,434 aggregates. Writers go on while the first sweep is under way.
func TestTheFeedOfAnOldStore(t *testing.T) {
	virtually(t, func(s *system) {
		const old, aggregates = 8577, 1434
		id := func(i int) string { return fmt.Sprintf("permit-%d", i%aggregates) }
		drafts := map[string][]ropewalk.Draft{}
		for i := range old {
			drafts[id(i)] = append(drafts[id(i)], ropewalk.Draft{Content: []byte(id(i))})
		}
		for id, of := range drafts {
			_, err := s.store.Chain(id).Create(s.Context(), of...)
			require.NoError(s, err)
		}
		var writer sync.WaitGroup
		writer.Go(func() {
			for i := range 300 {
				s.append(id(i))
				time.Sleep(time.Millisecond)
			}
		})
		s.once()
		writer.Wait()
		s.once()
		require.Empty(s, s.findings())
		next := map[string]uint64{}
		changes := s.changes()
		for _, c := range changes {
			require.Equal(s, next[c.AggregateID], c.Version)
			next[c.AggregateID]++
		}
		require.Len(s, changes, old+300)
	})
}

// A loss is fed once: the cursor after it is worth a batch, though the sweep found
// nothing. The next relay does not sweep again.
func TestALossIsSweptOnce(t *testing.T) {
	virtually(t, func(s *system) {
		s.append("a")
		s.once()
		s.stream.replace()
		require.Equal(s, 1, s.once().Batches)
		lists := s.stream.lists.Load()
		require.Zero(s, s.once().Batches)
		require.Equal(s, lists, s.stream.lists.Load())
	})
}

// A sweep needs no source. It leaves the cursor as it was.
func TestASweepNeedsNoSource(t *testing.T) {
	virtually(t, func(s *system) {
		s.append("a")
		s.once()
		s.append("a")
		s.stream.broken.Store(true)
		_, err := s.feed.Relay(nil).Once(s.Context())
		require.ErrorContains(s, err, "the stream is disabled")
		report, err := s.feed.Relay(nil).Sweep(s.Context())
		require.NoError(s, err)
		require.Equal(s, 1, report.Advances)
		s.stream.broken.Store(false)
		s.append("a")
		require.Equal(s, 1, s.once().Advances)
		require.Empty(s, s.findings())
	})
}

// A relay does not wait for a source whose setup must change.
func TestARelayEndsWithABrokenSetup(t *testing.T) {
	virtually(t, func(s *system) {
		s.append("a")
		var running sync.WaitGroup
		var ended error
		running.Go(func() { ended = s.feed.Relay(nil).Run(s.Context()) })
		time.Sleep(time.Minute)
		s.stream.broken.Store(true)
		running.Wait()
		require.ErrorContains(s, ended, "the stream is disabled")
	})
}

package ropewalk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/internal/chaintest"
	"ropewalk/internal/link"
	"ropewalk/internal/meter"
)

func TestAppenderTripsAndRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, m := memstore.New(), meter.New(latency)
		appender := ropewalk.New(m.Changesets(db), m.Heads(faults.TwoSteps(db)), nil).Chain("order-1").NewAppender(nil)
		appendN := func(n int) func() {
			return func() {
				atOnce(n, func(int) {
					_, err := appender.Append(t.Context(), chaintest.Draft("x"))
					assertNoError(t, err)
				})
			}
		}
		trips, counts := measure(t, m, appendN(1))
		require.Equal(t, 3, trips)
		require.Equal(t, meter.Counts{Load: 1, Put: 1, Swap: 1}, counts, "the first one asks for the head")
		trips, counts = measure(t, m, appendN(1))
		require.Equal(t, 2, trips)
		require.Equal(t, meter.Counts{Put: 1, Swap: 1}, counts)

		m.Reset()
		appendN(100)()
		counts = m.Count()
		require.Equal(t, 100, counts.Put)
		require.LessOrEqual(t, counts.Swap, 2, "the first, and then all that arrived meanwhile")
		require.Equal(t, 100+counts.Swap, m.Requests())
	})
}

// The objects of the next batch are stored when the swap of the one before is
// still under way, and are not put again.
func TestAppenderPutsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var script faults.Script
		s, appender := hotWorld(t, &script, true, 1)
		script.On(faults.Swap, 1, faults.Fault{DelayBefore: 5 * time.Second})
		l := &ledger{}
		go l.call(t.Context(), appender, 1, "")
		synctest.Wait()
		go l.call(t.Context(), appender, 2, "")
		time.Sleep(time.Second)
		require.Equal(t, 3, script.Calls(faults.Put))
		require.Equal(t, 1, script.Calls(faults.Swap))
		time.Sleep(10 * time.Second)
		l.requireTrue(t, s.Contents(t))
		require.Len(t, s.Contents(t), 4)
		require.Equal(t, 3, script.Calls(faults.Put))
		require.Equal(t, 2, script.Calls(faults.Swap))
	})
}

// A batch that was prepared on a swap that lost its race is an orphan of a
// revision that another writer has made: Settle refuses it.
func TestAppenderPreparedInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var script faults.Script
		s, appender := hotWorld(t, &script, true, 1)
		script.On(faults.Swap, 1, faults.Fault{DelayBefore: 5 * time.Second})
		l := &ledger{}
		go l.call(t.Context(), appender, 1, "")
		synctest.Wait()
		go l.call(t.Context(), appender, 1, "")
		time.Sleep(time.Second)
		rival(t, s)
		time.Sleep(10 * time.Second)
		l.requireTrue(t, s.Contents(t))
		require.Len(t, s.Contents(t), 4, "both were built anew behind the rival")
		require.Equal(t, 2, script.Calls(faults.Swap), "and committed together")

		var ahead []changeset.Ref
		for o, err := range s.Changesets.(changeset.Lister).Objects(t.Context(), s.AggregateID) {
			require.NoError(t, err)
			if info, err := s.Changesets.Stat(t.Context(), o.Ref); err == nil && info.AfterRevision == 2 && info.Version == 2 && info.Part.Of == 0 {
				ahead = append(ahead, o.Ref)
			}
		}
		require.Len(t, ahead, 1)
		_, err := s.Direct().Settle(t.Context(), ahead[0], 2)
		require.True(t, chaintest.IsConflict(err), "%v", err)
	})
}

// The same, while the head is still at the revision that the other one made.
func TestSettleOfWhatWasPassedOver(t *testing.T) {
	s := inMemory()
	h, err := s.Direct().Create(t.Context(), chaintest.Draft("before"))
	require.NoError(t, err)
	_, predicted, err := link.Extend(h, s.AggregateID, make([]changeset.Draft, 1), time.Now())
	require.NoError(t, err)
	ahead, next, err := link.Extend(predicted, s.AggregateID, make([]changeset.Draft, 1), time.Now())
	require.NoError(t, err)
	require.NoError(t, s.Changesets.Put(t.Context(), ahead[0]))
	_, err = s.Direct().Settle(t.Context(), next.Ref, predicted.Revision)
	require.ErrorAs(t, err, new(*ropewalk.UncertainError), "what it was prepared behind may still come")
	rival(t, s)
	_, err = s.Direct().Settle(t.Context(), next.Ref, predicted.Revision)
	require.True(t, chaintest.IsConflict(err), "%v", err)
}

// A caller that leaves before anything was sent that could commit its append
// gets its context's error at once, and is never committed.
func TestAppenderLetsGo(t *testing.T) {
	for name, op := range map[string]faults.Op{"queued": faults.Swap, "being put": faults.Put} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var script faults.Script
				s, appender := hotWorld(t, &script, op == faults.Put, 1)
				l := &ledger{}
				slow := faults.Commit
				if op == faults.Put {
					slow = faults.Put
				}
				script.On(slow, 1, faults.Fault{DelayBefore: 5 * time.Second})
				go l.call(t.Context(), appender, 1, "")
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				start := time.Now()
				o := l.call(ctx, appender, 1, "")
				require.ErrorIs(t, o.err, context.DeadlineExceeded)
				require.Nil(t, o.uncertain())
				require.Equal(t, time.Second, time.Since(start))
				time.Sleep(time.Minute)
				l.requireTrue(t, s.Contents(t))
				require.Len(t, s.Contents(t), 2)
			})
		})
	}
}

// A caller whose context ends when its swap is under way receives the outcome.
func TestAppenderReportsAfterTheContextEnds(t *testing.T) {
	for kind, want := range map[faults.Kind]bool{faults.None: true, faults.Lost: true, faults.Dropped: true} {
		synctest.Test(t, func(t *testing.T) {
			var script faults.Script
			s, appender := hotWorld(t, &script, true, 1)
			script.On(faults.Swap, 1, faults.Fault{Kind: kind, DelayBefore: 5 * time.Second})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			l := &ledger{}
			require.Equal(t, want, l.call(ctx, appender, 1, "").err == nil)
			l.requireTrue(t, s.Contents(t))
		})
	}
}

// One call's object cannot be put: the others are committed without it.
func TestAppenderOneCallFailsAlone(t *testing.T) {
	for _, kind := range []faults.Kind{faults.Refused, faults.Lost, faults.HangBefore} {
		synctest.Test(t, func(t *testing.T) {
			var script faults.Script
			s, appender := hotWorld(t, &script, true, 1)
			l := &ledger{}
			script.On(faults.Swap, 1, faults.Fault{DelayBefore: time.Second})
			script.On(faults.Put, 5, faults.Fault{Kind: kind})
			start := time.Now()
			atOnce(8, func(int) { l.call(t.Context(), appender, 1, "") })
			require.Less(t, time.Since(start), 35*time.Second)
			l.requireTrue(t, s.Contents(t))
			require.Len(t, s.Contents(t), 1+7)
			for _, o := range l.all {
				if o.err != nil {
					require.ErrorIs(t, o.err, faults.ErrInjected)
				}
				if o.err != nil && kind == faults.HangBefore {
					require.ErrorContains(t, o.err, "within 30s")
				}
			}
		})
	}
}

func TestAppenderRefusesAtOnce(t *testing.T) {
	s := inMemory()
	store := ropewalk.New(s.Changesets, s.Heads, &ropewalk.Options{MaxContentSize: 10})
	appender := store.Chain("order-1").NewAppender(nil)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, row := range []struct {
		ctx      context.Context
		appender *ropewalk.Appender
		drafts   []changeset.Draft
		is       error
	}{
		{t.Context(), appender, nil, ropewalk.ErrInvalidDraft},
		{t.Context(), appender, make([]changeset.Draft, 257), ropewalk.ErrInvalidDraft},
		{t.Context(), appender, []changeset.Draft{{CommandID: "a"}, {CommandID: "b"}}, ropewalk.ErrInvalidDraft},
		{t.Context(), appender, []changeset.Draft{{Content: make([]byte, 11)}}, ropewalk.ErrTooLarge},
		{t.Context(), store.Chain("$x").NewAppender(nil), make([]changeset.Draft, 1), ropewalk.ErrInvalidAggregateID},
		{t.Context(), store.Chain("").NewAppender(nil), make([]changeset.Draft, 1), ropewalk.ErrInvalidAggregateID},
		{ended, appender, make([]changeset.Draft, 1), context.Canceled},
	} {
		headers, err := row.appender.Append(row.ctx, row.drafts...)
		require.ErrorIs(t, err, row.is)
		require.Nil(t, headers)
	}
	require.Empty(t, s.Contents(t))
}

// An erased chain, and a head that is lost, end all calls that wait; the next
// ones ask the storage.
func TestAppenderErasedAndLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memstore.New()
		chain := ropewalk.New(db, db, nil).Chain("order-1")
		appender := chain.NewAppender(nil)
		_, err := chain.Create(t.Context(), chaintest.Draft("0"))
		require.NoError(t, err)
		before := db.Clone()
		_, err = appender.Append(t.Context(), chaintest.Draft("1"))
		require.NoError(t, err)
		db.Tamper(func(c *memstore.Contents) {
			before.Tamper(func(old *memstore.Contents) { c.Heads = old.Heads })
		})
		_, err = appender.Append(t.Context(), chaintest.Draft("2"))
		require.ErrorIs(t, err, ropewalk.ErrHeadLost)
		got, err := appender.Append(t.Context(), chaintest.Draft("3"))
		require.NoError(t, err)
		require.EqualValues(t, 1, got[0].Version, "behind the head as it is now")

		h, err := chain.Head(t.Context())
		require.NoError(t, err)
		_, err = db.Swap(t.Context(), h, link.Tombstone(h))
		require.NoError(t, err)
		for range 2 {
			atOnce(5, func(int) {
				if _, err := appender.Append(t.Context(), chaintest.Draft("4")); !errors.Is(err, ropewalk.ErrErased) {
					t.Errorf("%v", err)
				}
			})
		}
	})
}

// Contents of all sizes: each batch is within the bounds, no changeset is in it
// twice, and content of 60 MiB passes among small contents.
func TestAppenderSizes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, script := inMemory(), &faults.Script{}
		script.Every(faults.Swap, faults.Fault{DelayBefore: time.Second}) // all calls arrive during the first swap
		chain := s.Faulty(script, true)
		appender := chain.NewAppender(nil)
		large := bytes.Repeat([]byte{'x'}, 60<<20)
		atOnce(400, func(n int) {
			drafts := []changeset.Draft{chaintest.Draft(fmt.Sprint(n))}
			switch {
			case n == 200:
				drafts[0].Content = large
			case n%40 == 0:
				drafts[0].Content = large[:3<<20]
			case n%7 == 0:
				drafts = append(drafts, drafts[0], drafts[0])
			}
			got, err := appender.Append(t.Context(), drafts...)
			if assertNoError(t, err) && len(got) != len(drafts) {
				t.Errorf("%d headers of %d drafts", len(got), len(drafts))
			}
		})
		r, err := chain.Reader(t.Context())
		require.NoError(t, err)
		total, batches, bytes := 0, 0, int64(0)
		for h, err := range r.Headers(t.Context(), ropewalk.Range{Last: r.Head().Version}) {
			require.NoError(t, err)
			total++
			if h.Part.Number <= 1 {
				batches, bytes = batches+1, 0
			}
			if bytes += h.BodySize; bytes > 8<<20 {
				require.Zero(t, h.Part, "the large one is alone")
			}
		}
		t.Logf("%d changesets in %d batches", total, batches)
		require.Greater(t, total, 400)
		require.Less(t, batches, 12)
	})
}

package hedge_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/backendtest"
	"ropewalk/backends/memstore"
	"ropewalk/backends/sqlitestore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/hedge"
	"ropewalk/internal/link"
)

// tailed is a store whose requests take 8 to 12 ms, and the slow ones a second.
type tailed struct {
	changeset.Store
	fail     error // of the slow ones
	requests atomic.Int64
	ended    atomic.Int64
	slow     func(n int64) bool
}

func oneInFifty(n int64) bool { return n%50 == 0 }

func (s *tailed) wait(ctx context.Context) error {
	n := s.requests.Add(1)
	defer s.ended.Add(1)
	if !s.slow(n) {
		time.Sleep(8*time.Millisecond + time.Duration(n*7%41)*100*time.Microsecond)
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Second):
		return s.fail
	}
}

func (s *tailed) Get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	if err := s.wait(ctx); err != nil {
		return changeset.Changeset{}, err
	}
	return s.Store.Get(ctx, ref, admission)
}

func (s *tailed) Stat(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
	if err := s.wait(ctx); err != nil {
		return changeset.Info{}, err
	}
	return s.Store.Stat(ctx, ref)
}

func (s *tailed) Put(ctx context.Context, c changeset.Changeset) error {
	if err := s.wait(ctx); err != nil {
		return err
	}
	return s.Store.Put(ctx, c)
}

// stored puts n changesets into the store and returns them.
func stored(t testing.TB, db changeset.Store, n int) []changeset.Changeset {
	t.Helper()
	drafts := make([]changeset.Draft, n)
	for i := range drafts {
		drafts[i].Content = fmt.Append(nil, i)
	}
	cs, _, err := link.Extend(head.Head{}, "order-1", drafts, time.Now())
	require.NoError(t, err)
	for i := range cs {
		cs[i].Content = nil // as a store returns it
		require.NoError(t, db.Put(t.Context(), cs[i]))
	}
	return cs
}

// percentile99 calls n times, and returns the latency that 1 in 100 exceeds.
func percentile99(t *testing.T, n int, call func() error) time.Duration {
	t.Helper()
	took := make([]time.Duration, n)
	for i := range took {
		began := time.Now()
		require.NoError(t, call())
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return took[n*99/100]
}

func TestTheTailIsCut(t *testing.T) {
	for name, call := range map[string]func(context.Context, changeset.Store, changeset.Changeset) error{
		"Get": func(ctx context.Context, s changeset.Store, c changeset.Changeset) error {
			got, err := s.Get(ctx, c.Ref, nil)
			if err == nil && string(got.Body) != string(c.Body) {
				err = errors.New("another content")
			}
			return err
		},
		"Stat": func(ctx context.Context, s changeset.Store, c changeset.Changeset) error {
			_, err := s.Stat(ctx, c.Ref)
			return err
		},
		"Put": func(ctx context.Context, s changeset.Store, c changeset.Changeset) error { return s.Put(ctx, c) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 2000
				db := memstore.New()
				c := stored(t, db, 1)[0]
				plain := &tailed{Store: db, slow: oneInFifty}
				require.Equal(t, time.Second, percentile99(t, n, func() error { return call(t.Context(), plain, c) }))

				inner := &tailed{Store: db, slow: oneInFifty}
				s := hedge.New(inner, nil)
				for range 100 { // until enough is known
					require.NoError(t, call(t.Context(), s, c))
				}
				require.Zero(t, s.Stats().Hedged)
				require.LessOrEqual(t, percentile99(t, n, func() error { return call(t.Context(), s, c) }), 25*time.Millisecond)
				stats := s.Stats()
				t.Logf("%+v", stats)
				require.EqualValues(t, n+100, stats.Requests)
				require.LessOrEqual(t, stats.Hedged, int64(n/12), "some 1 in 20 are above the 95th percentile")
				require.GreaterOrEqual(t, stats.Won, int64(n/50-10))
				require.Equal(t, stats.Requests+stats.Hedged, inner.requests.Load())
				require.Equal(t, inner.requests.Load(), inner.ended.Load(), "nothing outlives its call")
			})
		})
	}
}

// If all requests become slow, as in an overload, hedging must not add to it.
func TestHedgesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memstore.New()
		c := stored(t, db, 1)[0]
		inner := &tailed{Store: db, slow: func(n int64) bool { return n > 100 && n%7 != 0 }}
		s := hedge.New(inner, &hedge.Options{Share: 0.02})
		for range 1100 {
			_, err := s.Get(t.Context(), c.Ref, nil)
			require.NoError(t, err)
		}
		require.Positive(t, s.Stats().Hedged)
		require.LessOrEqual(t, s.Stats().Hedged, int64(22), "2 in 100")
		require.Equal(t, 1100+s.Stats().Hedged, inner.requests.Load())
	})
}

// warm returns a hedging store that knows latencies, and whose next request is slow.
func warm(t *testing.T, db *memstore.Store, fail error) (*hedge.Store, changeset.Changeset) {
	t.Helper()
	c := stored(t, db, 1)[0]
	var next atomic.Bool
	s := hedge.New(&tailed{Store: db, slow: func(int64) bool { return next.Swap(false) }, fail: fail}, nil)
	for range 200 {
		_, err := s.Get(t.Context(), c.Ref, nil)
		require.NoError(t, err)
	}
	next.Store(true)
	return s, c
}

func TestAdmissionIsAskedOnce(t *testing.T) {
	for name, verdict := range map[string]error{"admitted": nil, "refused": errors.New("full")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db := memstore.New()
				c := stored(t, db, 1)[0]
				var arrivals atomic.Int64
				inner := &tailed{Store: db, slow: func(int64) bool { return false }}
				asked := 0
				slowContent := lateContent{inner, &arrivals}
				s := hedge.New(slowContent, nil)
				for range 100 {
					_, err := s.Get(t.Context(), c.Ref, nil)
					require.NoError(t, err)
				}
				arrivals.Store(-1) // the next one is slow after its header
				got, err := s.Get(t.Context(), c.Ref, func(h changeset.Header) error {
					require.Equal(t, c.Header, h)
					asked++
					return verdict
				})
				require.ErrorIs(t, err, verdict)
				require.Equal(t, 1, asked)
				if verdict == nil {
					require.Equal(t, c, got)
					require.EqualValues(t, 1, s.Stats().Won)
				}
			})
		})
	}
}

// lateContent asks for admission, and then takes long for the content.
type lateContent struct {
	*tailed
	arrivals *atomic.Int64
}

func (s lateContent) Get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	c, err := s.tailed.Get(ctx, ref, admission)
	if err == nil && s.arrivals.Add(1) == 0 {
		<-ctx.Done()
		return changeset.Changeset{}, ctx.Err()
	}
	return c, err
}

func TestTheFirstGoodAnswerCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := warm(t, memstore.New(), errors.New("down"))
		got, err := s.Get(t.Context(), c.Ref, nil)
		require.NoError(t, err, "the first request would have failed")
		require.Equal(t, c, got)
	})
	synctest.Test(t, func(t *testing.T) {
		s, c := warm(t, memstore.New(), nil)
		c.ID = changeset.NewID()
		began := time.Now()
		_, err := s.Get(t.Context(), c.Ref, nil)
		require.ErrorIs(t, err, changeset.ErrNotFound, "the second request says so, which is an answer")
		require.Less(t, time.Since(began), 100*time.Millisecond, "in virtual time")
	})
	synctest.Test(t, func(t *testing.T) {
		s, c := warm(t, memstore.New(), nil)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		_, err := s.Get(ctx, c.Ref, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestConformance(t *testing.T) {
	db := memstore.New()
	s := hedge.New(db, &hedge.Options{MinSamples: 1, Floor: 1, Share: 1}) // hedges all it can
	backendtest.TestChangesets(t, backendtest.Harness{
		Changesets: func(testing.TB) changeset.Store { return s },
		MaxContent: 4 << 20,
		CorruptObject: func(_ testing.TB, ref changeset.Ref) {
			db.Tamper(func(all *memstore.Contents) { delete(all.Objects[ref.ObjectName()].Metadata, "digest") })
		},
	})
}

// A store that puts and swaps in one step does so under a decorator, too.
func TestDecoratorsKeepTheOneStep(t *testing.T) {
	db, err := sqlitestore.Open(t.TempDir()+"/ropewalk.db", nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	s := hedge.New(hedge.New(db, nil), nil)
	chain := ropewalk.New(s, db, nil).Chain("order-1")
	h, err := chain.Create(t.Context(), changeset.Draft{Content: []byte("a")}, changeset.Draft{Content: []byte("b")})
	require.NoError(t, err)
	require.Zero(t, s.Stats().Requests, "nothing was put on its own")
	all, err := ropewalk.Collect(chain.ReaderAt(h).All(t.Context()))
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Zero(t, s.Stats().Requests, "both were read by one request")
}

func TestHedgeHasWhatItWraps(t *testing.T) {
	backendtest.TestChangesetDecorator(t, func(_ testing.TB, inner changeset.Store) changeset.Store { return hedge.New(inner, nil) })
}

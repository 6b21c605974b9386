package ropewalk_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/meter"
)

// slow is a store whose reads take a while each, and that watches how many of
// them are under way at once.
type slow struct {
	changeset.Store
	takes           time.Duration
	running, most   atomic.Int64
	gets, discarded atomic.Int64
}

func (s *slow) Get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	s.gets.Add(1)
	if n := s.running.Add(1); n > s.most.Load() {
		s.most.Store(n)
	}
	defer s.running.Add(-1)
	time.Sleep(s.takes)
	c, err := s.Store.Get(ctx, ref, admission)
	if err != nil {
		s.discarded.Add(1)
	}
	return c, err
}

func TestWindowAdaptsToLatency(t *testing.T) {
	const n = 6000
	db := memstore.New()
	h := chainOf(t, db, "order-1", n)
	for _, c := range []struct {
		takes       time.Duration
		least, most int64
	}{
		{20 * time.Microsecond, 40, 64 + 51}, // what the head's index names is asked for in any case
		{5 * time.Millisecond, 300, 500},
		{20 * time.Millisecond, 600, 1024},
		{time.Second, 600, 1024},
	} {
		t.Run(fmt.Sprint(c.takes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &slow{Store: db, takes: c.takes}
				r := ropewalk.New(s, db, nil).Chain("order-1").ReaderAt(h)
				require.Equal(t, n, countUp(t, r.All(t.Context()), 0))
				require.GreaterOrEqual(t, s.most.Load(), c.least)
				require.LessOrEqual(t, s.most.Load(), c.most)
			})
		})
	}
}

// Contents that are large make the window small, instead of being asked for
// twice because they have no room.
func TestWindowAdaptsToSize(t *testing.T) {
	const n, size = 600, 4 << 10
	db := memstore.New()
	chain := ropewalk.New(db, db, nil).Chain("order-1")
	var h head.Head
	for range n {
		var err error
		h, err = chain.Append(t.Context(), h, changeset.Draft{Content: make([]byte, size)})
		require.NoError(t, err)
	}
	synctest.Test(t, func(t *testing.T) {
		s := &slow{Store: db, takes: 20 * time.Millisecond}
		r := ropewalk.New(s, db, &ropewalk.Options{WindowBytes: 100 * size}).Chain("order-1").ReaderAt(h)
		for _, err := range r.Backward(t.Context()) {
			require.NoError(t, err)
		}
		require.LessOrEqual(t, s.most.Load(), int64(50), "half of the bytes")
		require.LessOrEqual(t, s.discarded.Load(), int64(51), "only what the head's index names, and lies far ahead")
	})
}

// A storage that reads many at once is asked for many at once.
func TestReadingManyTakesFewRequests(t *testing.T) {
	const n = 1000
	file := openFile(t)
	chain := ropewalk.New(file, file, nil).Chain("order-1")
	var h head.Head
	for at := 0; at < n; at += 250 {
		drafts := make([]changeset.Draft, 250)
		for i := range drafts {
			drafts[i].Content = fmt.Append(nil, at+i)
		}
		var err error
		h, err = chain.Append(t.Context(), h, drafts...)
		require.NoError(t, err)
	}
	m := meter.New(0)
	r := ropewalk.New(m.Changesets(file), file, nil).Chain("order-1").ReaderAt(h)
	require.Equal(t, n, countUp(t, r.All(t.Context()), 0))
	forward := m.Count()
	m.Reset()
	require.Equal(t, n, countDown(t, r.Backward(t.Context()), n-1))
	backward := m.Count()
	t.Log("forward", forward, "backward", backward)
	require.LessOrEqual(t, forward.GetMany+forward.Get+forward.Stat, 12)
	require.LessOrEqual(t, backward.GetMany+backward.Get+backward.Stat, 12)
}

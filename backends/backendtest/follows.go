package backendtest

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/head"
	"ropewalk/internal/link"
)

var followChecks = []check{
	{"Entries, follow: yields an empty page when it has yielded everything, and waits", followWaits},
	{"Entries, follow: notices the commits of its own handle", followNoticesOwn},
	{"Entries, follow: notices the commits of other handles in well under a second", followNoticesOthers},
	{"Entries, follow: does not notice fences", followIgnoresFences},
	{"Entries, follow: misses nothing, repeats nothing and reorders nothing while others commit", followRace},
	{"Entries, follow: goes on until the context ends, whose error ends it", followEnds},
}

const (
	// patience is how long a follower may take before a check fails.
	patience = time.Minute
	// promptness is how soon a follower must notice a commit, or its context's end.
	promptness = time.Second
)

// requirePrompt demands that rounds take less than promptness. One round may take
// longer: a machine stalls at times.
func requirePrompt(t testing.TB, round func() time.Duration) {
	t.Helper()
	took := []time.Duration{round(), round(), round()}
	slices.Sort(took)
	require.Less(t, took[1], promptness)
}

// follower reads a log, page by page.
type follower struct {
	t    testing.TB
	next func() ([]head.LogEntry, error, bool)
}

// follow follows a log from a position on. It ends with the check.
func follow(t testing.TB, l head.Log, from head.LogPosition) follower {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	next, stop := iter.Pull2(l.Entries(ctx, from, true))
	t.Cleanup(func() {
		stop()
		cancel()
	})
	return follower{t, next}
}

// page returns the next page.
func (f follower) page() []head.LogEntry {
	f.t.Helper()
	page, err, ok := f.next()
	require.True(f.t, ok, "the follower ended")
	require.NoError(f.t, err)
	return page
}

// catchUp reads up to an empty page, and returns all entries before it.
func (f follower) catchUp() (all []head.LogEntry) {
	f.t.Helper()
	for {
		page := f.page()
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
	}
}

// news returns the entries that come next. A follower may wake without news a few
// times, but it must wait.
func (f follower) news() []head.LogEntry {
	f.t.Helper()
	for range 10 {
		if all := f.catchUp(); len(all) > 0 {
			return all
		}
	}
	require.Fail(f.t, "the follower does not wait")
	return nil
}

// soon swaps while the follower waits, and sends when it has done so.
func soon(t testing.TB, s head.Store, old, next head.Head) <-chan time.Time {
	done := make(chan time.Time, 1)
	inBackground(t, func() {
		time.Sleep(30 * time.Millisecond)
		_, _ = s.Swap(context.WithoutCancel(t.Context()), old, next) // the follower's patience ends if it failed
		done <- time.Now()
	})
	return done
}

// inBackground lets work run beside the check, which does not end before it.
func inBackground(t testing.TB, work func()) {
	var group sync.WaitGroup
	group.Go(work)
	t.Cleanup(group.Wait)
}

func followWaits(t testing.TB, h Harness) {
	l := logged(t, h)
	stored := create(t, l)
	f := follow(t, l, logEnd(t, l))
	require.Equal(t, []head.Advance{advance(head.Head{}, stored)}, advances(f.catchUp()))
	later := next(t, stored, stored.AggregateID)
	began := time.Now()
	done := soon(t, l, stored, later)
	require.Equal(t, []head.Advance{advance(stored, later)}, advances(f.news()))
	require.GreaterOrEqual(t, time.Since(began), 30*time.Millisecond)
	<-done
}

// requireNotices demands that a follower of l notices a commit by s.
func requireNotices(t testing.TB, l loggedStore, s head.Store) {
	t.Helper()
	stored := create(t, l)
	f := follow(t, l, logEnd(t, l))
	f.catchUp()
	requirePrompt(t, func() time.Duration {
		later := next(t, stored, stored.AggregateID)
		done := soon(t, s, stored, later)
		require.Equal(t, []head.Advance{advance(stored, later)}, advances(f.news()))
		noticed := time.Now()
		stored = load(t, s, later.AggregateID)
		return noticed.Sub(<-done)
	})
}

func followNoticesOwn(t testing.TB, h Harness) {
	l := logged(t, h)
	requireNotices(t, l, l)
}

func followNoticesOthers(t testing.TB, h Harness) { requireNotices(t, logged(t, h), h.Heads(t)) }

func followIgnoresFences(t testing.TB, h Harness) {
	l := logged(t, h)
	stored := create(t, l)
	f := follow(t, l, logEnd(t, l))
	f.catchUp()
	stored = swap(t, l, stored, link.Fence(stored))
	later := next(t, stored, stored.AggregateID)
	soon(t, l, stored, later)
	require.Equal(t, []head.Advance{advance(stored, later)}, advances(f.news()))
}

// followRace follows chains that each handle extends. The follower waits before
// the first swap: a follower that begins after the last swap reads without
// following.
func followRace(t testing.TB, h Harness) {
	l, stores := logged(t, h), racers(t, h)
	f := follow(t, l, logEnd(t, l))
	f.catchUp()
	ends, errs := make([]head.Head, len(stores)), make([]error, len(stores))
	done := make(chan struct{})
	chains := make([][]head.Head, len(stores))
	for i := range chains {
		chains[i] = chainOf(t, 4*h.Rounds)
	}
	inBackground(t, func() {
		defer close(done)
		together(len(stores), func(i int) { ends[i], errs[i] = swapAll(t.Context(), stores[i], chains[i]) })
	})
	fed := map[string]head.Advance{}
	for n := 0; n < len(stores)*4*h.Rounds; {
		for _, e := range f.page() {
			last, known := fed[e.Advance.AggregateID]
			require.Equal(t, known, e.Advance.First > 0)
			if known {
				require.Equal(t, last.Last+1, e.Advance.First)
				require.Equal(t, last.ID, e.Advance.Before)
			}
			fed[e.Advance.AggregateID] = e.Advance
			n++
		}
	}
	<-done
	require.NoError(t, errors.Join(errs...))
	for _, end := range ends {
		require.Equal(t, end.ID, fed[end.AggregateID].ID)
	}
}

// chainOf builds the heads of a new chain, one after the other.
func chainOf(t testing.TB, n int) []head.Head {
	t.Helper()
	heads := make([]head.Head, n)
	id := newAggregate()
	var last head.Head
	for i := range heads {
		heads[i] = next(t, last, id)
		last = heads[i]
	}
	return heads
}

// swapAll swaps in the heads of a chain, again where the storage is busy.
func swapAll(ctx context.Context, s head.Store, chain []head.Head) (stored head.Head, err error) {
	for _, next := range chain {
		swapped, err := s.Swap(ctx, stored, next)
		for retryable(err) && ctx.Err() == nil {
			swapped, err = s.Swap(ctx, stored, next)
		}
		if err != nil {
			return stored, err
		}
		stored = swapped
	}
	return stored, nil
}

func followEnds(t testing.TB, h Harness) {
	l := logged(t, h)
	create(t, l)
	end := logEnd(t, l)
	const life = 100 * time.Millisecond
	requirePrompt(t, func() time.Duration {
		began := time.Now() // before the context, whose life may begin a while before WithTimeout returns
		ctx, cancel := context.WithTimeout(t.Context(), life)
		defer cancel()
		err := failure(t, l.Entries(ctx, end, true))
		took := time.Since(began)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.GreaterOrEqual(t, took, life)
		return took - life
	})
}

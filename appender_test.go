package ropewalk_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/backends/sqlitestore"
	"ropewalk/head"
	"ropewalk/internal/chaintest"
	"ropewalk/internal/meter"
)

const (
	callers = 64
	period  = 2 * time.Second
)

// atOnce lets n goroutines do their work at the same time.
func atOnce(n int, do func(n int)) {
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { do(i) })
	}
	group.Wait()
}

// hot returns a chain over memory whose requests take 20 ms and are counted.
func hot(twoSteps bool) (*ropewalk.Chain, *meter.Meter) {
	db, m := memstore.New(), meter.New(20*time.Millisecond)
	var heads head.Store = db
	if twoSteps {
		heads = struct{ head.Store }{db}
	}
	return ropewalk.New(m.Changesets(db), m.Heads(heads), nil).Chain("hot"), m
}

// appendAtOnce returns how many appends each of 64 callers makes in the period,
// one after the other, and requires that all of them are in the chain once.
func appendAtOnce(t *testing.T, chain *ropewalk.Chain, do func(content string) error) []int {
	end := time.Now().Add(period)
	made := make([]int, callers)
	atOnce(callers, func(n int) {
		for time.Now().Before(end) {
			if !assertNoError(t, do(fmt.Sprintf("%d.%d", n, made[n]))) {
				return
			}
			made[n]++
		}
	})
	r, err := chain.Reader(t.Context())
	require.NoError(t, err)
	seen := make([]int, callers)
	for c, err := range r.All(t.Context()) {
		require.NoError(t, err)
		var n, i int
		_, err = fmt.Sscanf(string(c.Content), "%d.%d", &n, &i)
		require.NoError(t, err)
		require.Equal(t, seen[n], i, "each caller's appends are there once, in its order")
		seen[n]++
	}
	require.Equal(t, made, seen)
	return made
}

func sum(numbers []int) (total int) {
	for _, n := range numbers {
		total += n
	}
	return total
}

// assertNoError may be called outside the test's goroutine.
func assertNoError(t *testing.T, err error) bool {
	if err != nil {
		t.Error(err)
	}
	return err == nil
}

// 64 callers append to one aggregate, at 20 ms a request: 20 times as much as a
// loop of load, append, try again on a conflict, in the same virtual world.
func TestAppenderAgainstTheLoop(t *testing.T) {
	var loop int
	synctest.Test(t, func(t *testing.T) {
		chain, _ := hot(true)
		loop = sum(appendAtOnce(t, chain, func(content string) error {
			for {
				h, err := chain.Head(t.Context())
				if err != nil && h.Exists() {
					return err
				}
				if _, err = chain.Append(t.Context(), h, chaintest.Draft(content)); !chaintest.IsConflict(err) {
					return err
				}
			}
		}))
	})
	for _, twoSteps := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			chain, m := hot(twoSteps)
			appender := chain.NewAppender(nil)
			made := appendAtOnce(t, chain, func(content string) error {
				_, err := appender.Append(t.Context(), chaintest.Draft(content))
				return err
			})
			total := sum(made)
			t.Logf("two steps %v: %d appends in %s against %d of the loop: %d times; %+v", twoSteps, total, period, loop, total/loop, m.Count())
			require.GreaterOrEqual(t, total, 20*loop)
			require.Positive(t, slices.Min(made), "every caller gets its turns")
		})
	}
}

// On a file a batch is one commit. Two processes share it, each with an appender.
func TestAppenderOnSQLite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hot.db")
	var appenders [2]*ropewalk.Appender
	var chain *ropewalk.Chain
	for i := range appenders {
		db, err := sqlitestore.Open(path, nil)
		require.NoError(t, err)
		defer db.Close()
		chain = ropewalk.New(db, db, nil).Chain("hot")
		appenders[i] = chain.NewAppender(nil)
	}
	atOnce(callers, func(n int) {
		last := -1
		for range 5 {
			got, err := appenders[n%2].Append(t.Context(), chaintest.Draft(fmt.Sprint(n)))
			if assertNoError(t, err) && int(got[0].Version) <= last {
				t.Error("an append comes before the one that its caller made before")
			} else if err == nil {
				last = int(got[0].Version)
			}
		}
	})
	r, err := chain.Reader(t.Context())
	require.NoError(t, err)
	seen := map[string]int{}
	for c, err := range r.All(t.Context()) {
		require.NoError(t, err)
		seen[string(c.Content)]++
	}
	require.Len(t, seen, callers)
	for caller, n := range seen {
		require.Equal(t, 5, n, caller)
	}
}

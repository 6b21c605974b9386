package aggregate_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/backends/memstore"
	"ropewalk/faults"
)

// Counter is a state whose every event says what it was decided on.
type Counter struct {
	Sum      int
	Commands []string
}

// Counted raises a counter from a sum that it has seen.
type Counted struct {
	Command string
	From    int
}

var counters = aggregate.Type[Counter, Counted]{
	Name:   "counter",
	Events: aggregate.Events[Counted]{"counted": Counted{}},
	Evolve: func(c Counter, e Counted) Counter {
		return Counter{c.Sum + 1, append(slices.Clip(c.Commands), e.Command)}
	},
	Snapshots: aggregate.Snapshots[Counter]{Every: 8},
}

func count1(command string) func(Counter) ([]Counted, error) {
	return func(c Counter) ([]Counted, error) { return []Counted{{command, c.Sum}}, nil }
}

// requireCounted requires that each event was decided on the state before it,
// and returns the commands in order.
func requireCounted(t testing.TB, db *memstore.Store) []string {
	t.Helper()
	repo := aggregate.New(ropewalk.New(db, db, nil), counters, nil)
	ctx := context.WithoutCancel(t.Context())
	l, err := repo.Load(ctx, "counter")
	if errors.Is(err, ropewalk.ErrNotFound) {
		return nil
	}
	require.NoError(t, err)
	var commands []string
	for e, err := range repo.Events(ctx, l.Head, 0, l.Head.Version) {
		require.NoError(t, err)
		require.Equal(t, len(commands), e.Event.From, "decided on a state that is not the one before it")
		commands = append(commands, e.Event.Command)
	}
	require.Equal(t, Counter{len(commands), commands}, l.State, "what a load with snapshots gives is the fold of the events")
	return commands
}

// Two processes, each with many goroutines, update one aggregate, and one of them makes
// the chain packed: nothing is lost, and each decision is made on the state right before it.
func TestTwoProcessesUpdate(t *testing.T) {
	const workers, each = 4, 12
	synctest.Test(t, func(t *testing.T) {
		db := memstore.New()
		var script faults.Script
		script.Draw(func(_ faults.Op, call int) faults.Fault { // so that they interleave
			return faults.Fault{DelayBefore: time.Duration(1+call*7%5) * time.Millisecond}
		})
		var running sync.WaitGroup
		var want []string
		for process := range 2 {
			options := []*ropewalk.Options{nil, packing(600)}[process]
			repo := aggregate.New(ropewalk.New(script.Changesets(db), faults.TwoSteps(script.Heads(db)), options), counters, nil)
			for worker := range workers {
				for i := range each {
					want = append(want, fmt.Sprint(process, worker, i))
				}
				running.Go(func() {
					for i := range each {
						_, err := repo.Upsert(t.Context(), "counter", count1(fmt.Sprint(process, worker, i)))
						if err != nil {
							t.Errorf("update: %v", err)
						}
					}
				})
			}
			defer func() { require.NoError(t, repo.Wait(t.Context())) }()
		}
		running.Wait()
		require.ElementsMatch(t, want, requireCounted(t, db))
		require.Greater(t, script.Calls(faults.Swap), len(want), "there were conflicts")
	})
}

// Under lost replies, and all else that can become of a request, clients that
// repeat a command until they know that it is done have it done once.
func TestOnceUnderFaults(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		bubble(t, func(t *testing.T) { onceUnderFaults(t, rt) })
	})
}

func onceUnderFaults(t *testing.T, rt *rapid.T) {
	db := memstore.New()
	var script faults.Script
	kinds := []faults.Kind{faults.None, faults.None, faults.None, faults.Dropped, faults.Lost, faults.Late, faults.Refused, faults.HangAfter, faults.HangBefore}
	plan := rapid.SliceOfN(rapid.IntRange(0, len(kinds)-1), 40, 120).Draw(rt, "faults")
	n := 0
	script.Draw(func(faults.Op, int) faults.Fault {
		n++
		if n > len(plan) {
			return faults.Fault{DelayBefore: time.Millisecond}
		}
		return faults.Fault{Kind: kinds[plan[n-1]], Retryable: true, LateBy: 700 * time.Millisecond, DelayBefore: time.Duration(1+n%3) * time.Millisecond}
	})
	var running sync.WaitGroup
	var want []string
	formats := [][2]ropewalk.Options{{}, {*packing(500), *packing(64 << 10)}, {{}, *packing(500)}}
	options := rapid.SampledFrom(formats).Draw(rt, "formats")
	for process := range 2 {
		options[process].SettleTimeout = 300 * time.Millisecond
		repo := aggregate.New(ropewalk.New(script.Changesets(db), faults.TwoSteps(script.Heads(db)), &options[process]), counters, nil)
		defer func() { require.NoError(t, repo.Wait(t.Context())) }()
		for i := range 6 {
			want = append(want, fmt.Sprint(process, i))
		}
		running.Go(func() {
			for i := range 6 {
				persist(t, repo, fmt.Sprint(process, i))
			}
		})
	}
	running.Wait()
	time.Sleep(10 * time.Second) // in virtual time: all late requests have arrived
	script.Release()
	require.ElementsMatch(t, want, requireCounted(t, db), "each command happened once")
}

// persist repeats a command, as a client would, until it knows that it is done.
func persist(t *testing.T, repo *aggregate.Repository[Counter, Counted], command string) {
	for range 500 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, err := repo.Upsert(ctx, "counter", count1(command), aggregate.Once(command))
		cancel()
		if err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("command %s was never done", command)
}

// An uncertain save is never decided again.
func TestUpdateLeavesTheUncertainAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newOnceWorld(t)
		w.Uncertain(false)
		decided := 0
		_, err := w.repo.Update(t.Context(), "log-1", func(Log) ([]Entry, error) {
			decided++
			return []Entry{{2}}, nil
		})
		require.ErrorAs(t, err, new(*ropewalk.UncertainError))
		require.Equal(t, 1, decided)
	})
}

func TestUpdateDecidesAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newOnceWorld(t)
		var seen []int
		w.BeforeNextSave(func() { others(2)(t, w) })
		l, err := w.repo.Update(t.Context(), "log-1", func(l Log) ([]Entry, error) {
			seen = append(seen, len(l.Entries))
			return []Entry{{len(l.Entries)}}, nil
		})
		require.NoError(t, err)
		require.Equal(t, []int{2, 4}, seen)
		require.Equal(t, []int{0, 1, -1, -2, 4}, l.State.Entries)

		refused := errors.New("refused")
		_, err = w.repo.Update(t.Context(), "log-1", func(Log) ([]Entry, error) { return nil, refused })
		require.ErrorIs(t, err, refused)
		same, err := w.repo.Update(t.Context(), "log-1", func(Log) ([]Entry, error) { return nil, nil })
		require.NoError(t, err)
		require.Equal(t, l.Head.Ref, same.Head.Ref)
		_, err = w.repo.Update(t.Context(), "log-2", add(0))
		require.ErrorIs(t, err, ropewalk.ErrNotFound)
	})
}

// A head that is gone, or goes back, while an update waits is no conflict.
func TestUpdateFindsALostHead(t *testing.T) {
	for name, restore := range map[string]func(now, before map[string][]byte){
		"gone":    func(now, _ map[string][]byte) { clear(now) },
		"earlier": func(now, before map[string][]byte) { maps.Copy(now, before) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newOnceWorld(t)
				before := map[string][]byte{}
				w.Memory.Tamper(func(c *memstore.Contents) { maps.Copy(before, c.Heads) })
				w.BeforeNextSave(func() { others(1)(t, w) })
				w.Script.On(faults.Load, w.Script.Calls(faults.Load)+2, faults.Fault{Before: func() {
					w.Memory.Tamper(func(c *memstore.Contents) { restore(c.Heads, before) })
				}})
				_, err := w.repo.Update(t.Context(), "log-1", add(2))
				require.ErrorIs(t, err, ropewalk.ErrHeadLost)
				require.NotErrorIs(t, err, ropewalk.ErrNotFound)
			})
		})
	}
}

func TestUpdateEndsWithItsContext(t *testing.T) {
	w := newOnceWorld(t)
	_, err := w.repo.Update(canceled(t), "log-1", add(2))
	require.ErrorIs(t, err, context.Canceled)
	ctx, cancel := context.WithCancel(t.Context())
	w.BeforeNextSave(func() { others(1)(t, w); cancel() })
	_, err = w.repo.Update(ctx, "log-1", add(2))
	require.ErrorIs(t, err, context.Canceled)
}

package aggregate_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/aggregate/aggregatetest"
	"ropewalk/faults"
)

// onceCase is a row of the table of [aggregate.Once]: a first call, what
// happens then, and what the repeated call returns.
type onceCase struct {
	first    func(*testing.T, *onceWorld)
	then     func(*testing.T, *onceWorld)
	repeated bool
	entries  []int // of the log in the end
}

// onceWorld has a log with the entries 0 and 1, which both calls have read.
type onceWorld struct {
	*aggregatetest.Storage
	repo, rival *logRepository
	read        aggregate.Loaded[Log]
}

func newOnceWorld(t *testing.T) *onceWorld { return newOnceWorldOf(t, ropewalk.Options{}) }

func newOnceWorldOf(t *testing.T, o ropewalk.Options) *onceWorld {
	o.SettleTimeout = 10 * time.Second
	s := aggregatetest.NewStorage(&o)
	if o.Packed {
		s.Direct = ropewalk.New(s.Memory, faults.TwoSteps(s.Memory), &o) // in one step there is no tip
	}
	w := &onceWorld{Storage: s, repo: aggregate.New(s.Store, logs(4), nil), rival: aggregate.New(s.Direct, logs(4), nil)}
	w.read = grow(t, w.rival, aggregate.Loaded[Log]{ID: "log-1"}, 2)
	return w
}

func (w *onceWorld) succeed(t *testing.T) {
	l, err := w.repo.Save(t.Context(), w.read, []Entry{{100}}, aggregate.Once("key"))
	require.NoError(t, err)
	require.False(t, l.Repeated)
	require.Equal(t, []int{0, 1, 100}, l.State.Entries)
	require.NoError(t, w.repo.Wait(t.Context()))
}

// others lets n saves of others come.
func others(n int) func(*testing.T, *onceWorld) {
	return func(t *testing.T, w *onceWorld) {
		l, err := w.rival.Load(t.Context(), "log-1")
		require.NoError(t, err)
		for i := range n {
			l, err = w.rival.Save(t.Context(), l, []Entry{{-i - 1}}, aggregate.Once(fmt.Sprint("other-", i)))
			require.NoError(t, err)
			require.NoError(t, w.rival.Wait(t.Context()))
		}
	}
}

func nothing(*testing.T, *onceWorld) {}

func onceCases() map[string]onceCase {
	succeed := func(t *testing.T, w *onceWorld) { w.succeed(t) }
	uncertain := func(kind faults.Kind, late faults.Fault) func(*testing.T, *onceWorld) {
		return func(t *testing.T, w *onceWorld) {
			late.Kind = kind
			w.Script.Every(faults.Swap, late)
			w.Script.Every(faults.Load, faults.Fault{Kind: faults.Dropped})
			_, err := w.repo.Save(t.Context(), w.read, []Entry{{100}}, aggregate.Once("key"))
			require.ErrorAs(t, err, new(*ropewalk.UncertainError))
			w.Script.Every(faults.Swap, faults.Fault{})
			w.Script.Every(faults.Load, faults.Fault{})
		}
	}
	conflict := func(t *testing.T, w *onceWorld) {
		w.BeforeNextSave(func() { others(1)(t, w) })
		_, err := w.repo.Save(t.Context(), w.read, []Entry{{100}}, aggregate.Once("key"))
		require.ErrorAs(t, err, new(*ropewalk.ConflictError))
	}
	return map[string]onceCase{
		"committed, same head":                          {succeed, nothing, true, []int{0, 1, 100}},
		"committed, later head":                         {succeed, others(1), true, []int{0, 1, 100, -1}},
		"committed, later head, beyond a snapshot":      {succeed, others(5), true, []int{0, 1, 100, -1, -2, -3, -4, -5}},
		"committed, at the end of the window":           {succeed, others(aggregate.CommandWindow), true, nil},
		"conflict":                                      {conflict, nothing, false, []int{0, 1, -1, 200}},
		"uncertain, it took effect":                     {uncertain(faults.Lost, faults.Fault{}), nothing, true, []int{0, 1, 100}},
		"uncertain, it took effect, then others":        {uncertain(faults.Lost, faults.Fault{}), others(2), true, []int{0, 1, 100, -1, -2}},
		"uncertain, it never arrived":                   {uncertain(faults.Dropped, faults.Fault{}), nothing, false, []int{0, 1, 200}},
		"uncertain, it arrives before the repeated one": {uncertain(faults.Late, faults.Fault{}), func(_ *testing.T, w *onceWorld) { w.Script.Release() }, true, []int{0, 1, 100}},
		"uncertain, it arrives within the repeated one": {uncertain(faults.Late, faults.Fault{}), func(_ *testing.T, w *onceWorld) { w.BeforeNextSave(w.Script.Release) }, true, []int{0, 1, 100}},
		"uncertain, it arrives after the repeated one":  {uncertain(faults.Late, faults.Fault{}), func(_ *testing.T, w *onceWorld) { w.Script.Next(faults.Swap, faults.Fault{After: w.Script.Release}) }, false, []int{0, 1, 200}},
		"uncertain, it arrives after others":            {uncertain(faults.Late, faults.Fault{}), func(t *testing.T, w *onceWorld) { others(1)(t, w); w.Script.Release() }, false, []int{0, 1, -1, 200}},
	}
}

// Each row is repeated in every way in which a program can: from the state
// that the first call has read, from a new load, and as an Update.
func TestOnceOutcomes(t *testing.T) {
	for name, c := range onceCases() {
		for how, again := range map[string]func(*testing.T, *onceWorld) (aggregate.Loaded[Log], error){
			"from what was read": func(t *testing.T, w *onceWorld) (aggregate.Loaded[Log], error) {
				l, err := w.repo.Save(t.Context(), w.read, []Entry{{200}}, aggregate.Once("key"))
				if err != nil { // refused for good: as any program, load and decide again
					require.ErrorAs(t, err, new(*ropewalk.ConflictError))
					require.False(t, c.repeated, "a command that was processed was not recognised")
					return w.repo.Update(t.Context(), "log-1", add(200), aggregate.Once("key"))
				}
				return l, err
			},
			"from a new load": func(t *testing.T, w *onceWorld) (aggregate.Loaded[Log], error) {
				l, err := w.repo.Load(t.Context(), "log-1")
				require.NoError(t, err)
				return w.repo.Save(t.Context(), l, []Entry{{200}}, aggregate.Once("key"))
			},
			"as an update": func(t *testing.T, w *onceWorld) (aggregate.Loaded[Log], error) {
				return w.repo.Update(t.Context(), "log-1", add(200), aggregate.Once("key"))
			},
		} {
			for format, o := range map[string]ropewalk.Options{"1": {}, "packed": *packing(1500)} {
				t.Run(name+"/"+how+"/"+format, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { c.run(t, newOnceWorldOf(t, o), again) })
				})
			}
		}
	}
}

func (c onceCase) run(t *testing.T, w *onceWorld, again func(*testing.T, *onceWorld) (aggregate.Loaded[Log], error)) {
	c.first(t, w)
	c.then(t, w)
	told, err := again(t, w)
	require.NoError(t, err)
	require.Equal(t, c.repeated, told.Repeated)
	require.NoError(t, w.repo.Wait(t.Context()))
	w.Script.Release()
	now, err := w.rival.Load(t.Context(), "log-1")
	require.NoError(t, err)
	require.Equal(t, now.State.Entries[:len(told.State.Entries)], told.State.Entries, "the result is a state that was stored")
	if c.entries != nil {
		require.Equal(t, c.entries, now.State.Entries)
	}
	require.Equal(t, 1, count(now.State.Entries, 100, 200), "the command happened once")
}

func count(entries []int, of ...int) (n int) {
	for _, entry := range entries {
		for _, o := range of {
			if entry == o {
				n++
			}
		}
	}
	return n
}

func add(n int) func(Log) ([]Entry, error) {
	return func(Log) ([]Entry, error) { return []Entry{{n}}, nil }
}

// Beyond the window a command happens again: the price of a bounded memory.
func TestOnceBeyondTheWindow(t *testing.T) {
	w := newOnceWorld(t)
	w.succeed(t)
	others(aggregate.CommandWindow+8)(t, w)
	l, err := w.repo.Update(t.Context(), "log-1", add(200), aggregate.Once("key"))
	require.NoError(t, err)
	require.False(t, l.Repeated)

	whole := aggregate.New(w.Direct, logs(0), nil) // without snapshots the window is the history
	l, err = whole.Update(t.Context(), "log-1", add(300), aggregate.Once("command-0"))
	require.NoError(t, err)
	require.True(t, l.Repeated)
}

func TestOnceNeedsNoRequestWhereTheLoadHasShownIt(t *testing.T) {
	w := newOnceWorld(t)
	w.succeed(t)
	others(3)(t, w)
	l, err := w.repo.Load(t.Context(), "log-1")
	require.NoError(t, err)
	w.Script.Reset()
	again, err := w.repo.Save(t.Context(), l, []Entry{{200}}, aggregate.Once("key"), aggregate.IfMatch(`"stale"`))
	require.NoError(t, err)
	require.True(t, again.Repeated)
	require.Equal(t, l.State, again.State)
	require.Empty(t, w.Script.Log())
	again, err = w.repo.Update(t.Context(), "log-1", func(Log) ([]Entry, error) {
		return nil, errors.New("decided again")
	}, aggregate.Once("key"))
	require.NoError(t, err)
	require.True(t, again.Repeated)
}

func TestOnceOfCreate(t *testing.T) {
	w := newOnceWorld(t)
	for i, repeated := range []bool{false, true} {
		l, err := w.repo.Create(t.Context(), "log-2", []Entry{{7}}, aggregate.Once("new"))
		require.NoError(t, err)
		require.Equal(t, repeated, l.Repeated)
		require.Equal(t, []int{7}, l.State.Entries)
		require.Zero(t, l.Head.Version, i)
	}
	l, err := w.repo.Create(t.Context(), "log-1", []Entry{{7}}, aggregate.Once("command-1"))
	require.NoError(t, err)
	require.True(t, l.Repeated)
	require.Equal(t, []int{0, 1}, l.State.Entries)
	_, err = w.repo.Create(t.Context(), "log-1", []Entry{{7}}, aggregate.Once("never"))
	require.ErrorAs(t, err, new(*ropewalk.ConflictError))
}

func TestInvalidKeys(t *testing.T) {
	w := newOnceWorld(t)
	for name, key := range map[string]string{
		"empty":         "",
		"long":          strings.Repeat("k", 65),
		"long, encoded": strings.Repeat("é", 11),
		"not UTF-8":     "\xff",
	} {
		t.Run(name, func(t *testing.T) {
			w.Script.Reset()
			_, err := w.repo.Save(t.Context(), w.read, []Entry{{2}}, aggregate.Once(key))
			require.ErrorIs(t, err, aggregate.ErrInvalidKey)
			_, err = w.repo.Update(t.Context(), "log-1", add(2), aggregate.Once(key))
			require.ErrorIs(t, err, aggregate.ErrInvalidKey)
			require.Empty(t, w.Script.Log(), "nothing is sent")
		})
	}
	_, err := w.repo.Save(t.Context(), w.read, []Entry{{2}}, aggregate.Once(strings.Repeat("k", 64)))
	require.NoError(t, err)
}

// TestAConflictThatCannotBeReadIsNone: after a conflict, the command itself may
// be what came first. So a refusal that could not be read is not reported as one.
func TestAConflictThatCannotBeReadIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newOnceWorld(t)
		w.BeforeNextSave(func() {
			others(1)(t, w)
			l, err := w.rival.Load(t.Context(), "log-1")
			require.NoError(t, err)
			_, err = w.rival.Save(t.Context(), l, []Entry{{100}}, aggregate.Once("key"))
			require.NoError(t, err)
			w.Script.Every(faults.Get, faults.Fault{Kind: faults.Dropped})
		})
		_, err := w.repo.Save(t.Context(), w.read, []Entry{{100}}, aggregate.Once("key"))
		require.ErrorIs(t, err, faults.ErrInjected)
		require.False(t, errors.As(err, new(*ropewalk.ConflictError)))
		w.Script.Every(faults.Get, faults.Fault{})
		l, err := w.repo.Save(t.Context(), w.read, []Entry{{100}}, aggregate.Once("key"))
		require.NoError(t, err)
		require.True(t, l.Repeated)
		require.NoError(t, w.rival.Wait(t.Context()))
		require.NoError(t, w.repo.Wait(t.Context()))
	})
}

package aggregate_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/internal/link"
	"ropewalk/internal/meter"
)

// joint has a log, an order and a second log. A commit appends to the first two, and
// requires that the third one is unchanged.
type joint struct {
	*onceWorld
	orders *aggregate.Repository[Order, Event]
	order  aggregate.Loaded[Order]
	guard  aggregate.Loaded[Log]
}

func newJoint(t *testing.T, o ropewalk.Options) *joint {
	w := &joint{onceWorld: newOnceWorldOf(t, o)}
	w.orders = aggregate.New(w.Store, orders, nil)
	w.order.ID = "order-1"
	w.guard = grow(t, w.rival, aggregate.Loaded[Log]{ID: "guard"}, 1)
	return w
}

// commit commits one entry and one line, and returns the changes.
func (w *joint) commit(t *testing.T, n int, options ...aggregate.Option) (*aggregate.ChangeOf[Log, Entry], *aggregate.ChangeOf[Order, Event], error) {
	log := w.repo.Change(w.read, []Entry{{n}}, options...)
	order := w.orders.Change(w.order, []Event{LineAdded{"rope", n}})
	err := aggregate.Commit(t.Context(), log, order, w.repo.Unchanged(w.guard))
	if err != nil {
		require.Equal(t, w.read, log.Loaded(), "as given")
		require.Equal(t, w.order, order.Loaded())
	}
	return log, order, err
}

// reload loads what the next commit is decided on.
func (w *joint) reload(t *testing.T) {
	var err error
	w.read, err = w.repo.Load(t.Context(), "log-1")
	require.NoError(t, err)
	if w.order, err = w.orders.Load(t.Context(), "order-1"); errors.Is(err, ropewalk.ErrNotFound) {
		err = nil
	}
	require.NoError(t, err)
	w.guard, err = w.repo.Load(t.Context(), "guard")
	require.NoError(t, err)
}

// stored returns the entries of the log and the lines of the order as they are stored.
func (w *joint) stored(t *testing.T) (entries []int, lines int) {
	l, err := w.rival.Load(t.Context(), "log-1")
	require.NoError(t, err)
	o, err := aggregate.New(w.Direct, orders, nil).Load(t.Context(), "order-1")
	require.True(t, err == nil || errors.Is(err, ropewalk.ErrNotFound), "%v", err)
	return l.State.Entries, o.State.Quantity["rope"]
}

func TestCommitOfTwoTypes(t *testing.T) {
	for name, o := range map[string]ropewalk.Options{"1": {}, "packed": *packing(1500)} {
		t.Run(name, func(t *testing.T) {
			w := newJoint(t, o)
			for n := 1; n <= 6; n++ { // beyond a snapshot
				log, order, err := w.commit(t, n, aggregate.Once(fmt.Sprint("key-", n)), aggregate.With("user", "ann"))
				require.NoError(t, err)
				require.False(t, log.Loaded().Repeated)
				w.read, w.order = log.Loaded(), order.Loaded()
			}
			require.NoError(t, w.repo.Wait(t.Context()))
			require.EqualValues(t, 2, w.repo.Stats().Written, "a commit writes snapshots")
			entries, lines := w.stored(t)
			require.Equal(t, []int{0, 1, 1, 2, 3, 4, 5, 6}, entries)
			require.Equal(t, entries, w.read.State.Entries)
			require.Equal(t, 1+2+3+4+5+6, lines)
			require.Equal(t, lines, w.order.State.Quantity["rope"])
			for e, err := range w.repo.Events(t.Context(), w.read.Head, 7, 7) {
				require.NoError(t, err)
				require.Equal(t, map[string]string{"user": "ann"}, e.Metadata)
			}
			_, err := w.repo.Save(t.Context(), w.read, []Entry{{7}})
			require.NoError(t, err, "what Loaded returns can be saved to")
		})
	}
}

// A commit with a key is known as its own by the digests of its heads, without a request,
// and also if a fence has made it be built again.
func TestCommitIsKnownWithoutARequest(t *testing.T) {
	for _, packed := range []bool{false, true} {
		db := memstore.New()
		m := meter.New(0)
		var script faults.Script
		o := ropewalk.Options{Packed: packed, TipSize: 1500}
		repo := aggregate.New(ropewalk.New(m.Changesets(db), faults.TwoSteps(script.Heads(m.Heads(db))), &o), logs(0), nil)
		a, err := repo.Create(t.Context(), "a", []Entry{{1}})
		require.NoError(t, err)
		b, err := repo.Create(t.Context(), "b", []Entry{{1}})
		require.NoError(t, err)
		m.Reset()
		fence := func() {
			_, err := db.Swap(t.Context(), b.Head, link.Fence(b.Head))
			require.NoError(t, err)
		}
		script.Next(faults.SwapAll, faults.Fault{Before: fence})
		x, y := repo.Change(a, []Entry{{2}}), repo.Change(b, []Entry{{2}}, aggregate.Once("key"))
		require.NoError(t, aggregate.Commit(t.Context(), x, y))
		require.Equal(t, []int{1, 2}, x.Loaded().State.Entries)
		require.False(t, x.Loaded().Repeated)
		want := meter.Counts{SwapAll: 2, Put: 4}
		if packed {
			want.Put = 0
		}
		require.Equal(t, want, m.Count())
	}
}

// A conflict names the aggregate that has changed, and nothing is committed.
func TestCommitConflicts(t *testing.T) {
	for id, change := range map[string]func(*testing.T, *joint){
		"log-1": func(t *testing.T, w *joint) { others(1)(t, w.onceWorld) },
		"guard": func(t *testing.T, w *joint) {
			_, err := w.rival.Save(t.Context(), w.guard, []Entry{{9}})
			require.NoError(t, err)
		},
		"order-1": func(t *testing.T, w *joint) {
			_, err := aggregate.New(w.Direct, orders, nil).Create(t.Context(), "order-1", []Event{Created{"bob"}})
			require.NoError(t, err)
		},
	} {
		for _, key := range [][]aggregate.Option{nil, {aggregate.Once("key")}} {
			w := newJoint(t, ropewalk.Options{})
			w.Script.Next(faults.SwapAll, faults.Fault{Before: func() { change(t, w) }})
			_, _, err := w.commit(t, 100, key...)
			conflict, ok := errors.AsType[*ropewalk.ConflictError](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, id, conflict.Actual.AggregateID)
			entries, lines := w.stored(t)
			require.NotContains(t, entries, 100)
			require.Zero(t, lines)
			w.reload(t)
			_, _, err = w.commit(t, 200, key...)
			require.NoError(t, err)
		}
	}
}

// jointCases are ways in which a first commit of a command ends. Then the command is
// sent again.
var jointCases = map[string]struct {
	first    func(*testing.T, *joint)
	repeated bool
}{
	"committed":                 {first: func(t *testing.T, w *joint) { w.succeed(t) }, repeated: true},
	"committed, then one other": {first: func(t *testing.T, w *joint) { w.succeed(t); others(1)(t, w.onceWorld) }, repeated: true},
	"committed, then others":    {first: func(t *testing.T, w *joint) { w.succeed(t); others(6)(t, w.onceWorld) }, repeated: true},
	"committed, then the guard": {first: func(t *testing.T, w *joint) { w.succeed(t); w.guardChanges(t) }, repeated: true},
	"another, then committed": {first: func(t *testing.T, w *joint) {
		read := w.read
		others(1)(t, w.onceWorld)
		w.reload(t)
		w.succeed(t)
		w.read = read
	}, repeated: true},
	"conflict":                            {first: func(t *testing.T, w *joint) { w.conflict(t) }},
	"uncertain, it took effect":           {first: func(t *testing.T, w *joint) { w.uncertain(t, faults.Lost) }, repeated: true},
	"uncertain, took effect, then others": {first: func(t *testing.T, w *joint) { w.uncertain(t, faults.Lost); others(2)(t, w.onceWorld) }, repeated: true},
	"uncertain, it never arrived":         {first: func(t *testing.T, w *joint) { w.uncertain(t, faults.Dropped) }},
	"uncertain, it arrives before":        {first: func(t *testing.T, w *joint) { w.uncertain(t, faults.Late); w.Script.Release() }, repeated: true},
	"uncertain, it arrives within": {first: func(t *testing.T, w *joint) {
		w.uncertain(t, faults.Late)
		w.Script.Next(faults.SwapAll, faults.Fault{Before: w.Script.Release})
	}, repeated: true},
	"uncertain, it arrives after": {first: func(t *testing.T, w *joint) {
		w.uncertain(t, faults.Late)
		w.Script.Next(faults.SwapAll, faults.Fault{After: w.Script.Release})
	}},
}

func (w *joint) succeed(t *testing.T) {
	_, _, err := w.commit(t, 100, aggregate.Once("key"))
	require.NoError(t, err)
}

func (w *joint) guardChanges(t *testing.T) {
	_, err := w.rival.Save(t.Context(), w.guard, []Entry{{9}})
	require.NoError(t, err)
}

func (w *joint) conflict(t *testing.T) {
	w.Script.Next(faults.SwapAll, faults.Fault{Before: func() { others(1)(t, w.onceWorld) }})
	_, _, err := w.commit(t, 100, aggregate.Once("key"))
	require.ErrorIs(t, err, ropewalk.ErrConflict)
}

func (w *joint) uncertain(t *testing.T, kind faults.Kind) {
	w.Script.Every(faults.SwapAll, faults.Fault{Kind: kind})
	w.Script.Every(faults.Load, faults.Fault{Kind: faults.Dropped})
	_, _, err := w.commit(t, 100, aggregate.Once("key"))
	require.ErrorIs(t, err, ropewalk.ErrUncertain)
	w.Script.Every(faults.SwapAll, faults.Fault{})
	w.Script.Every(faults.Load, faults.Fault{})
}

// Each command happens once, in both aggregates or in none, however its first commit has
// ended and from whatever the repeated one is decided on.
func TestCommitOnce(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(jointCases)) {
		c := jointCases[name]
		for how, load := range map[string]func(*testing.T, *joint){
			"from what was read": func(*testing.T, *joint) {},
			"from a new load":    func(t *testing.T, w *joint) { w.reload(t) },
			"the order alone new": func(t *testing.T, w *joint) {
				read, guard := w.read, w.guard
				w.reload(t)
				w.read, w.guard = read, guard
			},
		} {
			for format, o := range map[string]ropewalk.Options{"1": {}, "packed": *packing(1500)} {
				t.Run(name+"/"+how+"/"+format, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w := newJoint(t, o)
						c.first(t, w)
						load(t, w)
						log, order, err := w.commit(t, 200, aggregate.Once("key"))
						if err != nil {
							require.ErrorIs(t, err, ropewalk.ErrConflict)
							require.False(t, c.repeated, "a command that was processed was not recognised: %v", err)
							w.reload(t)
							log, order, err = w.commit(t, 200, aggregate.Once("key"))
						}
						require.NoError(t, err)
						require.Equal(t, c.repeated, log.Loaded().Repeated)
						require.Equal(t, c.repeated, order.Loaded().Repeated)
						w.Script.Release()
						entries, lines := w.stored(t)
						require.Equal(t, 1, count(entries, 100, 200), "the command happened once")
						require.Equal(t, entries[:len(log.Loaded().State.Entries)], log.Loaded().State.Entries)
						require.Equal(t, 1, count(log.Loaded().State.Entries, 100, 200), "what is returned shows it")
						require.Equal(t, lines, order.Loaded().State.Quantity["rope"])
						require.Equal(t, slices.Contains(entries, 100), lines == 100, "in both")
						require.NoError(t, w.repo.Wait(t.Context()))
						require.NoError(t, w.rival.Wait(t.Context()))
					})
				})
			}
		}
	}
}

// A snapshot carries which commands were processed by commits.
func TestCommitOnceFromASnapshot(t *testing.T) {
	w := newJoint(t, ropewalk.Options{})
	w.succeed(t)
	others(5)(t, w.onceWorld)
	fresh := aggregate.New(w.Direct, logs(4), nil)
	l, err := fresh.Load(t.Context(), "log-1")
	require.NoError(t, err)
	require.NotZero(t, fresh.Stats().Used)
	o := fresh.Change(aggregate.Loaded[Log]{ID: "log-2"}, []Entry{{1}}, aggregate.Once("key"))
	x := fresh.Change(l, []Entry{{200}})
	require.NoError(t, aggregate.Commit(t.Context(), x, o))
	require.True(t, x.Loaded().Repeated)
	require.True(t, o.Loaded().Repeated)
	require.False(t, o.Loaded().Head.Exists())
}

// A command that one aggregate alone has processed is never processed again by a commit,
// and not taken for a commit either.
func TestCommitRefusesTheKeyOfASave(t *testing.T) {
	w := newJoint(t, ropewalk.Options{})
	saved, err := w.repo.Save(t.Context(), w.read, []Entry{{2}}, aggregate.Once("key"))
	require.NoError(t, err)
	_, _, err = w.commit(t, 100, aggregate.Once("key"))
	require.ErrorIs(t, err, ropewalk.ErrConflict, "the log was loaded before")
	w.read = saved
	w.Script.Reset()
	_, _, err = w.commit(t, 100, aggregate.Once("key"))
	require.ErrorIs(t, err, aggregate.ErrInvalidKey)
	require.Empty(t, w.Script.Log(), "nothing was sent")
	entries, lines := w.stored(t)
	require.Equal(t, []int{0, 1, 2}, entries)
	require.Zero(t, lines)
}

func TestCommitSendsNothing(t *testing.T) {
	w := newJoint(t, ropewalk.Options{})
	w.Script.Reset()
	entry := []Entry{{2}}
	other := aggregate.New(w.Direct, logs(4), nil)
	for name, c := range map[string]struct {
		changes []aggregate.Change
		err     error
		says    string
	}{
		"nothing":        {changes: nil},
		"no events":      {changes: []aggregate.Change{w.repo.Unchanged(w.read), w.repo.Change(w.guard, nil)}},
		"two keys":       {changes: []aggregate.Change{w.repo.Change(w.read, entry, aggregate.Once("a")), w.repo.Change(w.guard, entry, aggregate.Once("b"))}, err: aggregate.ErrInvalidKey},
		"an empty key":   {changes: []aggregate.Change{w.repo.Change(w.read, entry, aggregate.Once(""))}, err: aggregate.ErrInvalidKey},
		"a precondition": {changes: []aggregate.Change{w.repo.Change(w.read, entry), w.repo.Change(w.guard, nil, aggregate.IfMatch(`"x"`))}, err: ropewalk.ErrConflict, says: "guard is at"},
		"a bad event":    {changes: []aggregate.Change{w.repo.Change(w.read, entry), w.orders.Change(w.order, []Event{Created{"\xff"}})}, says: "would not come back"},
		"twice":          {changes: []aggregate.Change{w.repo.Change(w.read, entry), w.repo.Unchanged(w.read)}, says: "twice"},
		"another store":  {changes: []aggregate.Change{w.repo.Change(w.read, entry), other.Unchanged(w.guard)}, says: "not a chain of this store"},
	} {
		t.Run(name, func(t *testing.T) {
			err := aggregate.Commit(t.Context(), c.changes...)
			require.Empty(t, w.Script.Log())
			if c.err == nil && c.says == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.says)
			if c.err != nil {
				require.ErrorIs(t, err, c.err)
			}
		})
	}
	plain := struct{ head.Store }{w.Memory}
	repo := aggregate.New(ropewalk.New(w.Memory, plain, nil), logs(0), nil)
	require.ErrorIs(t, aggregate.Commit(t.Context(), repo.Change(w.read, entry)), errors.ErrUnsupported)
}

// After a conflict, a history that cannot be read may have the command: that is no
// conflict.
func TestAConflictOfACommitThatCannotBeReadIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newJoint(t, ropewalk.Options{SettleTimeout: time.Second})
		w.Script.Next(faults.SwapAll, faults.Fault{Before: func() {
			others(1)(t, w.onceWorld)
			w.Script.Every(faults.Get, faults.Fault{Kind: faults.Dropped})
		}})
		_, _, err := w.commit(t, 100, aggregate.Once("key"))
		require.ErrorIs(t, err, faults.ErrInjected)
		require.NotErrorIs(t, err, ropewalk.ErrConflict)
	})
}

// The objects of a commit have its mark.
func TestCommitMarks(t *testing.T) {
	w := newJoint(t, ropewalk.Options{})
	log, order, err := w.commit(t, 100)
	require.NoError(t, err)
	var marks []changeset.Commit
	for _, h := range []head.Head{log.Loaded().Head, order.Loaded().Head} {
		c, err := w.Direct.Chain(h.AggregateID).ReaderAt(h).At(t.Context(), h.Version)
		require.NoError(t, err)
		marks = append(marks, c.Commit())
	}
	require.Equal(t, 2, marks[0].Members)
	require.Equal(t, marks[0], marks[1])
}

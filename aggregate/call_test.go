package aggregate_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/aggregate/aggregatetest"
	"ropewalk/backends/memstore"
	"ropewalk/faults"
	"ropewalk/internal/link"
)

func TestMetadata(t *testing.T) {
	const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	db := memstore.New()
	repo := aggregate.New(ropewalk.New(db, db, nil), orders, &aggregate.Options{
		Metadata: func(context.Context) map[string]string {
			return map[string]string{aggregate.Traceparent: traceparent, "user": "service"}
		},
	})
	ctx := aggregate.WithMetadata(t.Context(), aggregate.Correlation, "c1")
	inner := aggregate.WithMetadata(ctx, aggregate.Causation, "e1")
	l, err := repo.Create(inner, "order-1", []Event{Created{"ann"}}, aggregate.With("user", "ann"))
	require.NoError(t, err)
	l, err = repo.Save(ctx, l, []Event{Shipped{}})
	require.NoError(t, err)
	records, err := ropewalk.Collect(repo.Events(t.Context(), l.Head, 0, 1))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"correlation": "c1", "causation": "e1", "traceparent": traceparent, "user": "ann"}, records[0].Metadata)
	require.Equal(t, map[string]string{"correlation": "c1", "traceparent": traceparent, "user": "service"}, records[1].Metadata)
	require.NotEqual(t, records[0].ID, records[1].ID)
	require.WithinDuration(t, l.Head.UpdatedAt, records[1].Time, time.Minute)
}

func TestIfMatch(t *testing.T) {
	w := newOnceWorld(t)
	old := w.read.Head.ETag()
	l, err := w.repo.Update(t.Context(), "log-1", add(2), aggregate.IfMatch(old))
	require.NoError(t, err)
	for _, header := range []string{old, `W/` + l.Head.ETag(), "lost"} {
		w.Script.Reset()
		_, err = w.repo.Save(t.Context(), l, []Entry{{3}}, aggregate.IfMatch(header))
		var precondition *aggregate.PreconditionError
		require.ErrorAs(t, err, &precondition)
		require.Equal(t, l.Head, precondition.Actual)
		var conflict *ropewalk.ConflictError
		require.ErrorAs(t, err, &conflict)
		require.Equal(t, l.Head, conflict.Actual)
		require.Empty(t, w.Script.Log())
		_, err = w.repo.Update(t.Context(), "log-1", add(3), aggregate.IfMatch(header))
		require.ErrorAs(t, err, &precondition)
	}
	_, err = w.repo.Upsert(t.Context(), "log-2", add(0), aggregate.IfMatch("*"))
	require.ErrorContains(t, err, "there is no such aggregate")
	for _, header := range []string{"", "*", old + ", " + l.Head.ETag()} {
		_, err := w.repo.Save(t.Context(), l, []Entry{{3}}, aggregate.IfMatch(header), aggregate.Once("third"))
		require.NoError(t, err, header)
	}
	l = must(w.repo.Load(t.Context(), "log-1"))
	require.Equal(t, uint64(3), l.Head.Version)
	// One who comes between makes the condition false.
	w.BeforeNextSave(func() { others(1)(t, w) })
	_, err = w.repo.Update(t.Context(), "log-1", add(4), aggregate.IfMatch(l.Head.ETag()))
	require.ErrorAs(t, err, new(*aggregate.PreconditionError))
}

// unreadable is a codec that writes what it cannot read.
type unreadable struct{ aggregate.Codec[Event] }

func (unreadable) Encode(Event) ([]byte, error) { return []byte(`"?"`), nil }

func TestWhatCannotBeReadBackIsNotSaved(t *testing.T) {
	w := newOnceWorld(t)
	typ := orders
	typ.Codec = unreadable{aggregate.JSON[Event]()}
	_, err := aggregate.New(w.Store, typ, nil).Create(t.Context(), "order-1", []Event{Created{"ann"}})
	require.ErrorContains(t, err, "could not be read back")
	typ.Codec = nil
	_, err = aggregate.New(w.Store, typ, nil).Create(t.Context(), "order-1", []Event{Created{"ann"}, keptRaw{}})
	require.ErrorContains(t, err, "not among the Events")
	_, err = w.repo.Create(t.Context(), "order-1", []Entry{{1}}, aggregate.At(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)))
	require.ErrorContains(t, err, "four digits")
	require.Empty(t, w.Script.Log(), "nothing was sent")
	l, err := w.repo.Save(t.Context(), w.read, nil)
	require.NoError(t, err)
	require.Equal(t, w.read, l)
	require.Empty(t, w.Script.Log(), "nothing was sent")
}

// An aggregate is erased while it is loaded: that is no corruption.
func TestLoadingWhileItIsErased(t *testing.T) {
	for _, every := range []int{0, 4} {
		for request := range 3 {
			s := aggregatetest.NewStorage(nil)
			l := grow(t, aggregate.New(s.Direct, logs(every), nil), aggregate.Loaded[Log]{ID: "log-1"}, 11)
			s.Script.On(faults.Get, request+1, faults.Fault{Before: func() {
				_, err := s.Memory.Swap(t.Context(), l.Head, link.Tombstone(l.Head))
				require.NoError(t, err)
				s.Memory.Tamper(func(c *memstore.Contents) { clear(c.Objects) })
			}})
			_, err := aggregate.New(s.Store, logs(every), nil).Load(t.Context(), "log-1")
			require.ErrorIs(t, err, ropewalk.ErrErased, "snapshots every %d, request %d", every, request+1)
			require.NotErrorAs(t, err, new(*ropewalk.CorruptError))
		}
	}
}

func TestLoadErrors(t *testing.T) {
	w := newOnceWorld(t)
	_, err := w.repo.Load(t.Context(), "log-2")
	require.ErrorIs(t, err, ropewalk.ErrNotFound)
	_, err = w.repo.LoadAt(t.Context(), "log-1", 2)
	require.ErrorIs(t, err, ropewalk.ErrNotFound)
	_, err = w.repo.Load(t.Context(), "")
	require.ErrorIs(t, err, ropewalk.ErrInvalidAggregateID)
	_, err = w.repo.Load(canceled(t), "log-1")
	require.ErrorIs(t, err, context.Canceled)
	grow(t, w.rival, w.read, 9)
	h, err := w.Memory.Load(t.Context(), "log-1")
	require.NoError(t, err)
	w.Memory.Tamper(func(c *memstore.Contents) { c.Objects[h.Ref.ObjectName()].Body[10] ^= 1 })
	for _, repo := range []*logRepository{w.repo, aggregate.New(w.Store, logs(0), nil)} {
		_, err = repo.Load(t.Context(), "log-1")
		require.ErrorAs(t, err, new(*ropewalk.CorruptError))
	}
	_, err = w.Memory.Swap(t.Context(), h, link.Tombstone(h))
	require.NoError(t, err)
	_, err = w.repo.Load(t.Context(), "log-1")
	require.ErrorIs(t, err, ropewalk.ErrErased)
}

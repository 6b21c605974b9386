package aggregate_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/backends/memstore"
	"ropewalk/feed"
	"ropewalk/internal/link"
)

// delivered runs a subscription to all logs, and returns what its handler got.
func delivered(t *testing.T, db *memstore.Store, typ aggregate.Type[Log, Entry]) (events []aggregate.Delivered[Entry], erased []string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	handler := aggregate.Handle(typ, func(_ context.Context, e aggregate.Delivered[Entry]) error {
		if events = append(events, e); e.AggregateID == "last" {
			cancel()
		}
		return nil
	}, func(_ context.Context, id string) error {
		erased = append(erased, id)
		return nil
	})
	f := feed.Open(ropewalk.New(db, db, nil), nil)
	return events, erased, f.Subscription(fmt.Sprint("s", time.Now().UnixNano()), nil).Run(ctx, handler)
}

func TestHandleDeliversEachEventAsItWasRecorded(t *testing.T) {
	db := memstore.New()
	repo := over(db, logs(0))
	before := time.Now()
	a, err := repo.Create(t.Context(), "a", []Entry{{0}, {1}}, aggregate.With("by", "ann"))
	require.NoError(t, err)
	_, err = repo.Save(t.Context(), a, []Entry{{2}})
	require.NoError(t, err)
	_, err = repo.Create(t.Context(), "last", []Entry{{3}})
	require.NoError(t, err)

	events, erased, err := delivered(t, db, logs(0))
	require.NoError(t, err)
	require.Empty(t, erased)
	require.Len(t, events, 4)
	for i, e := range events {
		require.Equal(t, i, e.Event.N)
		require.Equal(t, "entry", e.Type)
		require.NotEmpty(t, e.ID)
		require.WithinRange(t, e.Time, before.Add(-time.Second), time.Now())
		require.Equal(t, e.AggregateID, e.Change.AggregateID)
		require.Equal(t, e.Version, e.Change.Version)
		require.Equal(t, uint64(1), e.Change.Fence)
	}
	require.Equal(t, "ann", events[1].Metadata["by"])
	require.Equal(t, aggregate.Position{Version: 0, Index: 1}, events[1].Position)
	require.Equal(t, aggregate.Position{Version: 1, Index: 0}, events[2].Position)
	require.Equal(t, "a", events[2].AggregateID)
}

func TestHandleUpcastsAndReportsUnknownEvents(t *testing.T) {
	db := memstore.New()
	raw(t, db, "a", `{"type":"old","data":{"N":7}}`+"\n"+`{"type":"dropped","data":1}`)
	raw(t, db, "last", `{"type":"entry","data":{"N":8}}`)
	typ := logs(0)
	typ.Upcasters = []aggregate.Upcaster{aggregate.Rename("old", "entry"), aggregate.Drop("dropped")}
	events, _, err := delivered(t, db, typ)
	require.NoError(t, err)
	require.Len(t, events, 2)
	require.Equal(t, 7, events[0].Event.N)

	_, _, err = delivered(t, db, logs(0))
	unknown, ok := errors.AsType[*aggregate.UnknownEventError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, "a", unknown.Ref.AggregateID)
	require.Equal(t, "old", unknown.Type)
}

func TestHandleStopsAtTheFirstError(t *testing.T) {
	c := feed.Change{Changeset: ropewalk.Changeset{Content: []byte(`{"type":"entry","data":{"N":1}}` + "\n" + `{"type":"entry","data":{"N":2}}`)}}
	calls, wrong := 0, errors.New("wrong")
	err := aggregate.Handle(logs(0), func(context.Context, aggregate.Delivered[Entry]) error {
		calls++
		return wrong
	}, nil)(t.Context(), c)
	require.ErrorIs(t, err, wrong)
	require.Equal(t, 1, calls)
	require.Panics(t, func() { aggregate.Handle(aggregate.Type[Log, Entry]{}, nil, nil) })
}

func TestHandleReportsErasures(t *testing.T) {
	db := memstore.New()
	repo := over(db, logs(0))
	_, err := repo.Create(t.Context(), "a", []Entry{{0}})
	require.NoError(t, err)
	h, err := db.Load(t.Context(), "a")
	require.NoError(t, err)
	_, err = db.Swap(t.Context(), h, link.Tombstone(h))
	require.NoError(t, err)
	_, err = repo.Create(t.Context(), "last", []Entry{{0}})
	require.NoError(t, err)
	_, erased, err := delivered(t, db, logs(0))
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, erased)

	ignoring := aggregate.Handle(logs(0), func(context.Context, aggregate.Delivered[Entry]) error { return nil }, nil)
	require.NoError(t, ignoring(t.Context(), feed.Change{Erased: true}))
}

func TestEventsOfReturnsAllEventsOrAnError(t *testing.T) {
	events := aggregate.EventsOf(logs(0))
	good := `{"type":"entry","data":{"N":1}}` + "\n" + `{"type":"entry","data":{"N":2}}`
	c := feed.Change{Changeset: ropewalk.Changeset{Content: []byte(good)}}
	c.AggregateID, c.Version = "a", 7
	all, err := events(c)
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, 2, all[1].Event.N)
	require.Equal(t, "a", all[1].AggregateID)
	require.Equal(t, aggregate.Position{Version: 7, Index: 1}, all[1].Position)
	require.Equal(t, c, all[1].Change)

	c.Content = []byte(good + "\n" + `{"type":"unknown","data":1}`)
	all, err = events(c)
	require.Error(t, err)
	require.Empty(t, all)

	all, err = events(feed.Change{Erased: true})
	require.NoError(t, err)
	require.Empty(t, all)
	require.Panics(t, func() { aggregate.EventsOf(aggregate.Type[Log, Entry]{}) })
}

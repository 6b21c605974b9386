package aggregate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/aggregate/aggregatetest"
	"ropewalk/backends/memstore"
)

// pick is an event that makes a state one of those that a test has.
type pick struct{ N int }

// picks returns the type of an aggregate that has one state after the other,
// with a snapshot after each changeset.
func picks[S any](states ...S) aggregate.Type[S, pick] {
	return aggregate.Type[S, pick]{
		Name: "pick", Events: aggregate.Events[pick]{"pick": {}},
		Evolve:    func(_ S, p pick) S { return states[p.N] },
		Snapshots: aggregate.Snapshots[S]{Every: 1},
	}
}

// snapshotsOf saves states, and requires that the snapshot of each, if it has
// one, loads as an equal state. It returns how many have a snapshot, and the
// log.
func snapshotsOf[S any](t require.TestingT, ctx context.Context, equal func(a, b S) bool, states ...S) (written uint64, log string) {
	db := memstore.New()
	var lines bytes.Buffer
	typ, store := picks(states...), ropewalk.New(db, db, nil)
	repo := aggregate.New(store, typ, &aggregate.Options{Logger: slog.New(slog.NewTextHandler(&lines, nil))})
	l := aggregate.Loaded[S]{ID: "pick-1"}
	for i := range states {
		before := repo.Stats()
		var err error
		l, err = repo.Save(ctx, l, []pick{{i}})
		require.NoError(t, err, "a snapshot never fails a save")
		require.NoError(t, repo.Wait(ctx))
		after := repo.Stats()
		require.Equal(t, uint64(1), after.Written+after.Failed-before.Written-before.Failed)
		reader := aggregate.New(store, typ, nil)
		loaded, err := reader.Load(ctx, "pick-1")
		require.NoError(t, err)
		if after.Written > before.Written {
			require.Equal(t, aggregate.Stats{Used: 1}, reader.Stats())
		}
		require.True(t, equal(states[i], loaded.State), "%+v is loaded as %+v", states[i], loaded.State)
	}
	return repo.Stats().Written, lines.String()
}

func requireNoSnapshot[S any](t *testing.T, says string, state S) {
	t.Helper()
	t.Run(reflect.TypeFor[S]().String(), func(t *testing.T) {
		require.NoError(t, picks(state).Check(), "the type alone does not show it")
		same := func(a, b S) bool { return true } // both are made by Evolve
		written, log := snapshotsOf(t, t.Context(), same, state, state, state)
		require.Zero(t, written)
		require.Contains(t, log, says)
		if strings.Contains(log, "would not come back") {
			require.Equal(t, 1, strings.Count(log, "\n"), "a loss is logged once")
		}
	})
}

// lowered is a key whose text form loses the case of letters.
type lowered struct{ text string }

func (l lowered) MarshalText() ([]byte, error) { return []byte(strings.ToLower(l.text)), nil }
func (l *lowered) UnmarshalText(text []byte) error {
	l.text = string(text)
	return nil
}

// cents calls itself zero where it is less than a euro.
type cents struct{ N int }

func (c cents) IsZero() bool { return c.N < 100 }

// stub has a form that its own decoder panics on.
type stub struct{ N int }

func (stub) MarshalJSON() ([]byte, error) { return []byte(`1`), nil }
func (*stub) UnmarshalJSON([]byte) error  { panic("not written yet") }

type omitted struct {
	Lines map[string]int `json:",omitempty"`
}

type chained struct{ Next *chained }

// States that JSON cannot carry, although their types do not show it.
func TestStatesThatJSONLoses(t *testing.T) {
	requireNoSnapshot(t, "omitted.Lines", omitted{map[string]int{}})
	requireNoSnapshot(t, "cents", struct {
		C cents `json:",omitzero"`
	}{cents{99}})
	requireNoSnapshot(t, "map[aggregate_test.lowered]int", map[lowered]int{{"A"}: 1})
	requireNoSnapshot(t, "map[aggregate_test.lowered]int", map[lowered]int{{"A"}: 1, {"a"}: 2})
	requireNoSnapshot(t, "}.Text", struct{ Text string }{"\xff"})
	requireNoSnapshot(t, "}.Raw", struct{ Raw json.RawMessage }{})
	requireNoSnapshot(t, "NaN", []float64{math.NaN()})
	requireNoSnapshot(t, "type **int", new(*int))
	requireNoSnapshot(t, "not written yet", stub{1})
	requireNoSnapshot(t, "year outside", struct{ At time.Time }{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)})
	cycle := &chained{}
	cycle.Next = cycle
	requireNoSnapshot(t, "cycle", cycle)
}

func TestManualSnapshotsSayWhatWouldBeLost(t *testing.T) {
	db := memstore.New()
	typ := picks(omitted{map[string]int{}})
	typ.Snapshots.Manual = true
	repo := aggregate.New(ropewalk.New(db, db, nil), typ, nil)
	_, err := repo.Create(t.Context(), "pick-1", []pick{{0}})
	require.NoError(t, err)
	require.ErrorContains(t, repo.Snapshot(t.Context(), "pick-1"), "the field aggregate_test.omitted.Lines would not come back")
	require.Zero(t, repo.Stats().Written)
}

// A codec of its own is held to the same standard, unless it says what is equal.
func TestCodecsThatLose(t *testing.T) {
	db := memstore.New()
	typ := picks(omitted{map[string]int{"a": 1}})
	typ.Snapshots.Encode = func(omitted) ([]byte, error) { return nil, nil }
	typ.Snapshots.Decode = func([]byte) (omitted, error) { return omitted{}, nil }
	repo := aggregate.New(ropewalk.New(db, db, nil), typ, nil)
	_, err := repo.Create(t.Context(), "pick-1", []pick{{0}})
	require.NoError(t, err)
	require.NoError(t, repo.Wait(t.Context()))
	require.Equal(t, aggregate.Stats{Failed: 1}, repo.Stats())
	typ.Snapshots.Equal = func(a, b omitted) bool { return len(a.Lines) == len(b.Lines)+1 }
	repo = aggregate.New(ropewalk.New(db, db, nil), typ, nil)
	_, err = repo.Create(t.Context(), "pick-2", []pick{{0}})
	require.NoError(t, err)
	require.NoError(t, repo.Wait(t.Context()))
	require.Equal(t, aggregate.Stats{Written: 1}, repo.Stats())
}

// nasty is a state and an event with every kind of value that JSON may lose.
type nasty struct {
	Text   string
	Number float64
	Labels map[string]int `json:",omitempty"`
	Lines  []string       `json:",omitempty"`
	Keys   map[lowered]*bool
	Of     cents     `json:",omitzero"`
	At     time.Time `json:",omitzero"`
	Bytes  []byte
	More   *nasty
	Fixed  [2]**int
}

// oneOf draws a value that JSON carries, or now and then one that it may not.
func oneOf[V any](t *rapid.T, label string, carried, odd []V) V {
	if rapid.IntRange(0, 11).Draw(t, label+" is odd") == 11 {
		return rapid.SampledFrom(odd).Draw(t, label)
	}
	return rapid.SampledFrom(carried).Draw(t, label)
}

func textOf(t *rapid.T, label string) string {
	return oneOf(t, label, []string{"", "a", "é\u2028<&>", "\x00", "\ufffd"}, []string{"\xff", "a\xed\xa0\x80"})
}

var anyNasty = rapid.Custom(func(t *rapid.T) (n nasty) {
	n.Text = textOf(t, "text")
	n.Number = oneOf(t, "number", []float64{0, math.Copysign(0, -1), 1e300, math.SmallestNonzeroFloat64}, []float64{math.NaN(), math.Inf(1)})
	n.Labels = oneOf(t, "labels", []map[string]int{nil, {"a": 1}}, []map[string]int{{}, {"\xff": 1}})
	n.Lines = oneOf(t, "lines", [][]string{nil, {"a", ""}}, [][]string{{}, {"\xfe"}})
	n.Keys = oneOf(t, "keys", []map[lowered]*bool{nil, {}, {{"a"}: nil}, {{"a"}: new(bool)}}, []map[lowered]*bool{{{"A"}: nil}, {{"A"}: nil, {"a"}: nil}})
	n.Of = oneOf(t, "cents", []cents{{0}, {100}}, []cents{{99}})
	n.At = oneOf(t, "at", []time.Time{{}, time.Unix(1, 2).UTC()}, []time.Time{time.Unix(1<<60, 0).UTC()})
	n.Bytes = oneOf(t, "bytes", [][]byte{nil, {}, {0xff}}, [][]byte{nil})
	if rapid.Bool().Draw(t, "more") {
		n.More = &nasty{Text: textOf(t, "inner text"), Lines: oneOf(t, "inner lines", [][]string{nil}, [][]string{{}})}
	}
	n.Fixed[1] = oneOf(t, "fixed", []**int{nil}, []**int{new(*int)})
	return n
})

func deeplyEqual(a, b nasty) bool {
	return reflect.DeepEqual(a, b) && math.Signbit(a.Number) == math.Signbit(b.Number)
}

// Every snapshot that is written loads as an equal state.
func TestSnapshotsLoadAsEqualStates(t *testing.T) {
	var written, states uint64
	rapid.Check(t, func(rt *rapid.T) {
		drawn := rapid.SliceOfN(anyNasty, 1, 4).Draw(rt, "states")
		equal := func(a, b nasty) bool { return deeplyEqual(a, b) || a.Number != a.Number } // NaN is not written
		n, _ := snapshotsOf(rt, t.Context(), equal, drawn...)
		written, states = written+n, states+uint64(len(drawn))
	})
	require.NotZero(t, written)
	require.Less(t, written, states)
}

// Every event that Save accepts decodes to an equal event, with equal metadata.
// An event that Save rejects is not sent.
func TestSavedEventsDecodeToEqualEvents(t *testing.T) {
	typ := aggregate.Type[int, nasty]{
		Name: "nasty", Events: aggregate.Events[nasty]{"nasty": defaults()},
		Evolve: func(n int, _ nasty) int { return n + 1 },
	}
	saved, rejected := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		s := aggregatetest.NewStorage(nil)
		events := rapid.SliceOfN(anyNasty, 1, 2).Draw(rt, "events")
		key, value := textOf(rt, "key"), textOf(rt, "value")
		l, err := aggregate.New(s.Store, typ, nil).Create(t.Context(), "nasty-1", events, aggregate.With(key, value))
		if err != nil {
			require.Empty(rt, s.Script.Log(), "nothing was sent")
			rejected++
			return
		}
		saved++
		records, err := ropewalk.Collect(aggregate.New(s.Direct, typ, nil).Events(t.Context(), l.Head, 0, 0))
		require.NoError(rt, err)
		require.Len(rt, records, len(events))
		for i, r := range records {
			require.True(rt, deeplyEqual(events[i], r.Event), "%+v is read as %+v", events[i], r.Event)
			require.Equal(rt, map[string]string{key: value}, r.Metadata)
		}
	})
	require.NotZero(t, saved)
	require.NotZero(t, rejected)
	require.Equal(t, defaults(), typ.Events["nasty"], "decoding writes into copies of the defaults")
}

func defaults() nasty {
	return nasty{Text: "default", Bytes: []byte("default"), More: &nasty{Text: "default"}}
}

// A default that is a map or holds one is copied for each event. JSON adds to a
// map that it finds, so events without the default's keys cannot be saved.
func TestDefaultsAreCopied(t *testing.T) {
	prototype := func() nasty {
		return nasty{Labels: map[string]int{"default": 1}, More: &nasty{Labels: map[string]int{"default": 1}, Lines: []string{"default"}}}
	}
	typ := aggregate.Type[int, nasty]{Name: "nasty", Events: aggregate.Events[nasty]{"nasty": prototype()}, Evolve: func(n int, _ nasty) int { return n }}
	line := []byte(`{"type":"nasty","data":{"Labels":{"a":2},"More":{"Labels":{"a":2},"Lines":["a"]}}}`)
	records, err := typ.Decode(line)
	require.NoError(t, err)
	require.Equal(t, map[string]int{"default": 1, "a": 2}, records[0].Event.Labels)
	require.Equal(t, []string{"a"}, records[0].Event.More.Lines)
	require.Equal(t, prototype(), typ.Events["nasty"])
	_, err = typ.Encode(aggregate.Recorded[nasty]{Event: nasty{Labels: map[string]int{"a": 2}}})
	require.ErrorContains(t, err, "nasty.Labels would not come back")
}

type unexported struct{ n int }

func (unexported) isEvent() {}

func TestEventsThatJSONLosesAreNotSent(t *testing.T) {
	s := aggregatetest.NewStorage(nil)
	typ := orders
	typ.Events = aggregate.Events[Event]{"created": Created{}, "unexported": unexported{}}
	repo := aggregate.New(s.Store, typ, nil)
	for says, event := range map[string]Event{
		"the field aggregate_test.unexported.n":     unexported{1},
		"the field aggregate_test.Created.Customer": Created{"\xff"},
	} {
		_, err := repo.Create(t.Context(), "order-1", []Event{Created{"ann"}, event})
		require.ErrorContains(t, err, says+" would not come back from storage as it is")
		require.ErrorContains(t, err, "event 1")
	}
	for _, meta := range [][2]string{{"\xff", "a"}, {"a", "\xff"}} {
		_, err := repo.Create(t.Context(), "order-1", []Event{Created{"ann"}}, aggregate.With(meta[0], meta[1]))
		require.ErrorContains(t, err, "metadata, which is not UTF-8")
	}
	require.Empty(t, s.Script.Log(), "nothing was sent")
	_, err := repo.Create(t.Context(), "order-1", []Event{unexported{}})
	require.NoError(t, err, "what is not there is not lost")
	typ.Events = aggregate.Events[Event]{"\xff": Created{}}
	require.ErrorContains(t, typ.Check(), "not UTF-8")
}

// While a new form is rolled out, the old one is still stored, and an upcaster
// changes it when it is read. That is not a loss.
func TestUpcastersDoNotCountAsLoss(t *testing.T) {
	typ := orders
	typ.Upcasters = []aggregate.Upcaster{aggregate.Reshape("created", "line-added", func(c Created) LineAdded { return LineAdded{c.Customer, 1} })}
	db := memstore.New()
	l, err := aggregate.New(ropewalk.New(db, db, nil), typ, nil).Create(t.Context(), "order-1", []Event{Created{"rope"}})
	require.NoError(t, err)
	require.Equal(t, map[string]int{"rope": 1}, l.State.Quantity)
}

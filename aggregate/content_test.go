package aggregate_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
)

// The stored form of events is for good.
func TestStoredForm(t *testing.T) {
	at := time.Date(2026, 5, 4, 12, 0, 0, 7, time.FixedZone("CEST", 7200))
	content, err := orders.Encode(
		aggregate.Recorded[Event]{Event: Created{"<ann & ben>"}, ID: "1", Time: at, Metadata: map[string]string{"b": "2", "a": "1"}},
		aggregate.Recorded[Event]{Event: LineAdded{"rope\n", 2}, ID: "2", Time: at},
		aggregate.Recorded[Event]{Event: Shipped{}},
	)
	require.NoError(t, err)
	require.Equal(t, `{"type":"created","id":"1","time":"2026-05-04T10:00:00.000000007Z","data":{"Customer":"<ann & ben>"},"meta":{"a":"1","b":"2"}}
{"type":"line-added","id":"2","time":"2026-05-04T10:00:00.000000007Z","data":{"Item":"rope\n","Quantity":2}}
{"type":"shipped","data":{}}
`, string(content))
	records, err := orders.Decode(content)
	require.NoError(t, err)
	require.Equal(t, aggregate.Recorded[Event]{Event: LineAdded{"rope\n", 2}, Type: "line-added", ID: "2", Time: at.UTC(), Position: aggregate.Position{Index: 1}}, records[1])
	require.Equal(t, Shipped{}, records[2].Event)
}

func TestDecodingTakesWhatOthersWrite(t *testing.T) {
	records, err := orders.Decode([]byte("\n" + ` {"data": {"Customer":"ann","more":1}, "type": "created", "time": "2010-10-02T09:20:39.266+02:00", "aggregate":"x"}` + "\r\n\n" + `{"type":"shipped","data":{}}`))
	require.NoError(t, err)
	require.Len(t, records, 2)
	require.Equal(t, Created{"ann"}, records[0].Event)
	require.Equal(t, 7, records[0].Time.UTC().Hour())
}

func TestContentsThatAreNoEvents(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		index   int
		typ     string
	}{
		"no JSON":      {"created", 0, ""},
		"cut off":      {"{\"type\":\"shipped\",\"data\":{}}\n{\"type\":\"ship", 1, ""},
		"no type":      {`{"data":{}}`, 0, ""},
		"no data":      {`{"type":"shipped"}`, 0, "shipped"},
		"no time":      {`{"type":"shipped","time":"noon","data":{}}`, 0, "shipped"},
		"other data":   {`{"type":"created","data":{"Customer":1}}`, 0, "created"},
		"an array":     {`[]`, 0, ""},
		"failing":      {`{"type":"failing","data":{}}`, 0, "failing"},
		"not reshaped": {`{"type":"old","data":7}`, 0, "old"},
	} {
		t.Run(name, func(t *testing.T) {
			typ := orders
			typ.Upcasters = []aggregate.Upcaster{
				{From: "failing", To: func(aggregate.Raw) ([]aggregate.Raw, error) { return nil, errors.New("failed") }},
				aggregate.Reshape("old", "created", func(c Created) Created { return c }),
			}
			db := memstore.New()
			raw(t, db, "order-1", `{"type":"shipped","data":{}}`, c.content)
			_, err := aggregate.New(ropewalk.New(db, db, nil), typ, nil).Load(t.Context(), "order-1")
			var decode *aggregate.DecodeError
			require.ErrorAs(t, err, &decode)
			require.Equal(t, aggregate.Position{Version: 1, Index: c.index}, decode.Position)
			require.Equal(t, c.typ, decode.Type)
			require.Contains(t, err.Error(), "of order-1@1.")
			require.Error(t, errors.Unwrap(decode))
		})
	}
}

func TestUnknownEvents(t *testing.T) {
	db := memstore.New()
	h := raw(t, db, "order-1", `{"type":"created","data":{"Customer":"ann"}}`, `{"type":"lost","data":{"at":"sea"}}`)
	store := ropewalk.New(db, db, nil)
	_, err := aggregate.New(store, orders, nil).Load(t.Context(), "order-1")
	var unknown *aggregate.UnknownEventError
	require.ErrorAs(t, err, &unknown)
	require.Equal(t, &aggregate.UnknownEventError{Ref: h.Ref, Position: aggregate.Position{Version: 1}, Type: "lost"}, unknown)
	require.Contains(t, err.Error(), `"lost"`)

	kept := orders
	kept.Unknown = func(r aggregate.Raw) (Event, bool) { return keptRaw{r}, r.Type == "lost" }
	l, err := aggregate.New(store, kept, nil).Load(t.Context(), "order-1")
	require.NoError(t, err)
	require.Equal(t, "ann", l.State.Customer)
	records, err := ropewalk.Collect(aggregate.New(store, kept, nil).Events(t.Context(), l.Head, 1, 1))
	require.NoError(t, err)
	require.Equal(t, json.RawMessage(`{"at":"sea"}`), records[0].Event.(keptRaw).Data)
	require.Equal(t, "lost", records[0].Type)
	_, err = aggregate.New(store, kept, nil).Save(t.Context(), l, []Event{records[0].Event})
	require.ErrorContains(t, err, "not among the Events", "what is unknown cannot be saved")
}

type keptRaw struct{ aggregate.Raw }

func (keptRaw) isEvent() {}

// The four things that become of old events, and a chain of two of them.
func TestUpcasters(t *testing.T) {
	typ := orders
	typ.Events = aggregate.Events[Event]{"created": Created{}, "line-added@2": LineAdded{}, "shipped": Shipped{}}
	type line1 struct{ Items []string }
	type oldCreated struct{ First, Last string }
	typ.Upcasters = []aggregate.Upcaster{
		aggregate.Rename("opened", "created@1"),
		aggregate.Reshape("created@1", "created", func(o oldCreated) Created { return Created{o.First + " " + o.Last} }),
		{From: "line-added", To: func(r aggregate.Raw) ([]aggregate.Raw, error) { // split
			var old line1
			if err := json.Unmarshal(r.Data, &old); err != nil {
				return nil, err
			}
			var split []aggregate.Raw
			for _, item := range old.Items {
				one := r
				one.Type = "line-added@2"
				one.Data, _ = json.Marshal(LineAdded{item, 1})
				split = append(split, one)
			}
			return split, nil
		}},
		aggregate.Drop("viewed"),
		aggregate.Rename("shipped", "lost"), // after what it would have taken, were it first
		aggregate.Rename("lost", "shipped"),
	}
	db := memstore.New()
	h := raw(t, db, "order-1",
		`{"type":"opened","id":"7","data":{"First":"Ann","Last":"Lee"}}`+"\n"+`{"type":"viewed","data":{}}`,
		`{"type":"line-added","id":"8","time":"2020-01-01T00:00:00Z","data":{"Items":["rope","hook"]},"meta":{"a":"b"}}`,
		`{"type":"line-added@2","data":{"Item":"rope","Quantity":3}}`+"\n"+`{"type":"shipped","data":{}}`,
	)
	repo := aggregate.New(ropewalk.New(db, db, nil), typ, nil)
	records, err := ropewalk.Collect(repo.Events(t.Context(), h, 0, 2))
	require.NoError(t, err)
	at := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	require.Equal(t, []aggregate.Recorded[Event]{
		{Event: Created{"Ann Lee"}, Type: "created", ID: "7"},
		{Event: LineAdded{"rope", 1}, Type: "line-added@2", ID: "8", Time: at, Metadata: map[string]string{"a": "b"}, Position: aggregate.Position{Version: 1}},
		{Event: LineAdded{"hook", 1}, Type: "line-added@2", ID: "8", Time: at, Metadata: map[string]string{"a": "b"}, Position: aggregate.Position{Version: 1}},
		{Event: LineAdded{"rope", 3}, Type: "line-added@2", Position: aggregate.Position{Version: 2}},
		{Event: Shipped{}, Type: "shipped", Position: aggregate.Position{Version: 2, Index: 1}},
	}, records)
	l, err := repo.Load(t.Context(), "order-1")
	require.NoError(t, err)
	require.Equal(t, Order{Customer: "Ann Lee", Quantity: map[string]int{"rope": 4, "hook": 1}, Shipped: true}, l.State)
}

// Step is one struct for events of many names.
type Step struct {
	Name string `json:"-"`
	Who  string
}

func (s Step) EventName() string { return s.Name }

func TestNamedEvents(t *testing.T) {
	typ := aggregate.Type[[]Step, Step]{
		Name:   "case",
		Events: aggregate.Events[Step]{"checked": {Name: "checked", Who: "nobody"}, "stopped": {Name: "stopped"}},
		Evolve: func(s []Step, e Step) []Step { return append(s[:len(s):len(s)], e) },
	}
	content, err := typ.Encode(aggregate.Recorded[Step]{Event: Step{"checked", "ann"}})
	require.NoError(t, err)
	require.Equal(t, `{"type":"checked","data":{"Who":"ann"}}`+"\n", string(content))
	records, err := typ.Decode([]byte(`{"type":"checked","data":{}}` + "\n" + `{"type":"stopped","data":{"Who":"ben"}}`))
	require.NoError(t, err)
	require.Equal(t, Step{"checked", "nobody"}, records[0].Event, "the value in Events has the defaults")
	require.Equal(t, Step{"stopped", "ben"}, records[1].Event)
	_, err = typ.Encode(aggregate.Recorded[Step]{Event: Step{Name: "lost"}})
	require.ErrorContains(t, err, "calls itself")
}

// Pointer is an event whose methods need a pointer.
type Pointer struct{ N int }

func (*Pointer) isEvent() {}

func TestPointersAsEvents(t *testing.T) {
	typ := aggregate.Type[int, Event]{
		Name: "p", Events: aggregate.Events[Event]{"pointer": &Pointer{N: 7}, "nil": (*other)(nil)},
		Evolve: func(n int, e Event) int { return n + e.(*Pointer).N },
	}
	records, err := typ.Decode([]byte("{\"type\":\"pointer\",\"data\":{\"N\":1}}\n{\"type\":\"pointer\",\"data\":{}}\n{\"type\":\"nil\",\"data\":{}}"))
	require.NoError(t, err)
	require.Equal(t, &Pointer{1}, records[0].Event)
	require.Equal(t, &Pointer{7}, records[1].Event)
	require.Equal(t, &other{}, records[2].Event)
	require.Equal(t, 7, typ.Events["pointer"].(*Pointer).N)
	_, err = typ.Encode(aggregate.Recorded[Event]{Event: Created{}})
	require.ErrorContains(t, err, "not among the Events")
}

type other struct{}

func (*other) isEvent() {}

func TestTypesThatCannotBeUsed(t *testing.T) {
	type hidden struct{ n int }
	type skipped struct {
		Lines []struct {
			N int `json:"-"`
		}
	}
	type fine struct {
		At    time.Time
		Of    map[string]*fine
		Raw   json.RawMessage
		ID    changeset.ID
		Limit *big
		Keys  map[changeset.ID]bool
	}
	check := func(change func(*aggregate.Type[Log, Entry])) error {
		typ := logs(0)
		change(&typ)
		return typ.Check()
	}
	for says, err := range map[string]error{
		"needs a Name":      aggregate.Type[Log, Entry]{}.Check(),
		"no name or no val": aggregate.Type[Order, Event]{Name: "o", Evolve: orders.Evolve, Events: aggregate.Events[Event]{"created": nil}}.Check(),
		"share the type":    aggregate.Type[Order, Event]{Name: "o", Evolve: orders.Evolve, Events: aggregate.Events[Event]{"a": Created{}, "b": Created{}}}.Check(),
		"lacks From or To":  check(func(typ *aggregate.Type[Log, Entry]) { typ.Upcasters = []aggregate.Upcaster{{}} }),
		"every -1":          check(func(typ *aggregate.Type[Log, Entry]) { typ.Snapshots.Every = -1 }),
		"schema":            check(func(typ *aggregate.Type[Log, Entry]) { typ.Snapshots.Schema = strings.Repeat("s", 65) }),
		"or neither": check(func(typ *aggregate.Type[Log, Entry]) {
			typ.Snapshots.Encode = func(Log) ([]byte, error) { return nil, nil }
		}),
		"hidden.n":     lossy[hidden](),
		"N":            lossy[skipped](),
		"an interface": lossy[struct{ Of any }](),
		"a chan":       lossy[[]chan int](),
		"map's key":    lossy[map[[2]int]int](),
	} {
		require.ErrorContains(t, err, says)
	}
	require.NoError(t, lossy[fine]())
	require.PanicsWithError(t, `aggregate type "": it needs a Name, Evolve and Events`, func() {
		aggregate.New(nil, aggregate.Type[Log, Entry]{}, nil)
	})
}

type big struct{ n int }

func (b big) MarshalJSON() ([]byte, error)     { return json.Marshal(b.n) }
func (b *big) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, &b.n) }

// lossy checks a type whose state has snapshots in JSON.
func lossy[S any]() error {
	return aggregate.Type[S, Entry]{
		Name: "s", Events: aggregate.Events[Entry]{"entry": Entry{}},
		Evolve:    func(s S, _ Entry) S { return s },
		Snapshots: aggregate.Snapshots[S]{Every: 4},
	}.Check()
}

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
	_, err = w.Memory.Swap(t.Context(), h, h.Erase())
	require.NoError(t, err)
	_, err = w.repo.Load(t.Context(), "log-1")
	require.ErrorIs(t, err, ropewalk.ErrErased)
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"type":"created","id":"1","time":"2026-05-04T10:00:00.000000007Z","data":{"Customer":"ann"},"meta":{"a":"1"}}`))
	f.Add([]byte("{\"type\":\"shipped\",\"data\":{}}\n\n{\"type\":\"line-added\",\"data\":{\"Item\":\"x\"}}"))
	f.Fuzz(func(t *testing.T, content []byte) {
		records, err := orders.Decode(content)
		if err != nil {
			return
		}
		again, err := orders.Encode(records...)
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := orders.Decode(again)
		require.NoError(t, err)
		require.Len(t, decoded, len(records))
		for i := range decoded {
			require.Equal(t, records[i].Event, decoded[i].Event)
			require.True(t, records[i].Time.Equal(decoded[i].Time))
		}
	})
}

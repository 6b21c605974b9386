package aggregate_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
)

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
	_ = hidden{}.n // it is there, and JSON does not see it
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

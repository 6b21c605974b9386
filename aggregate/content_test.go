package aggregate_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/backends/memstore"
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

// Names of fields are exact, and times are in the format of RFC 3339.
func TestDecodingOddLines(t *testing.T) {
	for line, at := range map[string]string{
		`{"type":"created","data":{"Customer":"ann"},"Type":"other"}`:                                           "",
		`{"TYPE":7,"type":"created","data":{"Customer":"ann"},"DATA":{"Customer":"ben"}}`:                       "",
		`{"type":"created","data":{"Customer":"ann"},"ID":7,"Meta":[],"Time":1}`:                                "",
		`{"type":"created","data":{"Customer":"ann"},"time":"2016-12-31T23:59:60Z"}`:                            "2017-01-01T00:00:00Z",
		`{"type":"created","data":{"Customer":"ann"},"time":"2016-12-31t23:59:59z","TIME":"2020-01-01T00:00Z"}`: "2016-12-31T23:59:59Z",
	} {
		records, err := orders.Decode([]byte(line))
		require.NoError(t, err, line)
		require.Equal(t, Created{"ann"}, records[0].Event)
		require.Empty(t, records[0].ID)
		require.Nil(t, records[0].Metadata)
		if at != "" {
			require.Equal(t, at, records[0].Time.UTC().Format(time.RFC3339))
		}
	}
	for _, line := range []string{
		`{"type":"created","type":"created","data":{}}`, `{"type":"created","data":{},"data":{}}`, `{"type":"created","data":{},"meta":{"k":"1","k":"1"}}`,
		`{"type":"created","data":{},"time":"2016-12-31T23:59:59,5Z"}`, `{"type":"created","data":{},"time":"2016-12-31T23:59:59+24:00"}`,
		"\u00a0", "{\"type\":\"created\",\"data\":{\"Customer\":\"\xff\"}}",
	} {
		_, err := orders.Decode([]byte(line))
		require.ErrorAs(t, err, new(*aggregate.DecodeError), line)
	}
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

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"type":"created","id":"1","time":"2026-05-04T10:00:00.000000007Z","data":{"Customer":"ann"},"meta":{"a":"1"}}`))
	f.Add([]byte("{\"type\":\"shipped\",\"data\":{}}\n\n{\"type\":\"line-added\",\"data\":{\"Item\":\"x\"}}"))
	f.Fuzz(func(t *testing.T, content []byte) {
		records, err := orders.Decode(content)
		if err != nil {
			return
		}
		if slices.ContainsFunc(records, func(r aggregate.Recorded[Event]) bool { y := r.Time.UTC().Year(); return y < 0 || y > 9999 }) {
			return // the time has an offset that takes it out of the years of UTC that can be written
		}
		again, err := orders.Encode(records...)
		require.NoError(t, err)
		decoded, err := orders.Decode(again)
		require.NoError(t, err)
		require.Len(t, decoded, len(records))
		for i := range decoded {
			require.Equal(t, records[i].Event, decoded[i].Event)
			require.True(t, records[i].Time.Equal(decoded[i].Time))
		}
	})
}

package eventline_test

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"ropewalk/internal/eventline"
)

// member is a field of an object as the reference reads it.
type member struct {
	name  string
	value json.RawMessage
}

// referenceMembers reads a JSON object slowly, token by token.
func referenceMembers(text []byte) (members []member, ok bool) {
	d := json.NewDecoder(bytes.NewReader(text))
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		return nil, false
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, false
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, false
		}
		members = append(members, member{name.(string), value})
	}
	if _, err := d.Token(); err != nil {
		return nil, false
	}
	_, err := d.Token()
	return members, err == io.EOF
}

// referenceEvent reads a line slowly. It reports whether the line is an event,
// and whether each of its fields has its form.
func referenceEvent(text []byte) (e eventline.Event, isEvent, sound bool) {
	members, ok := referenceMembers(text)
	if !ok || !utf8.Valid(text) {
		return e, false, false
	}
	fields := map[string]json.RawMessage{}
	for _, m := range members {
		known := m.name == "type" || m.name == "id" || m.name == "time" || m.name == "data" || m.name == "meta"
		if _, repeated := fields[m.name]; repeated && known {
			return e, false, false
		}
		fields[m.name] = m.value
	}
	keys, _ := referenceMembers(fields["meta"])
	meta := map[string]bool{}
	for _, key := range keys {
		if meta[key.name] {
			return e, false, false
		}
		meta[key.name] = true
	}
	if json.Unmarshal(fields["type"], &e.Type) != nil || e.Type == "" {
		return e, false, false
	}
	return referenceFields(e, fields)
}

func referenceFields(e eventline.Event, fields map[string]json.RawMessage) (_ eventline.Event, isEvent, sound bool) {
	var at string
	sound = fields["data"] != nil
	for name, to := range map[string]any{"id": &e.ID, "time": &at, "meta": &e.Metadata} {
		if fields[name] != nil && json.Unmarshal(fields[name], to) != nil {
			sound = false
		}
	}
	e.Data = fields["data"]
	if at != "" {
		var valid bool
		e.Time, valid = referenceTime(at)
		sound = sound && valid
	}
	return e, true, sound
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		`{"type":"named","data":{"Name":"x"},"Type":"other"}`,
		`{"type":"named","data":{"Name":"x"},"DATA":{"Name":"y"}}`,
		`{"type":"named","data":{"Name":"x"},"ID":7}`,
		`{"type":"named","data":{"Name":"x"},"time":"2016-12-31T23:59:60Z"}`,
		`{"type":"a","id":"1","time":"2026-05-04T10:00:00.000000007Z","data":[1,{"c":"]\"\\"}],"meta":{"a":"1","b":null}}`,
		`{"type":"a","type":"b","data":1}`, `{"type":"a","data":1,"meta":{"k":"1","\u006b":"2"}}`, `{"\u0074ype":"\ud800","data":1e5}`,
		` { "type" : "a" , "data" : [ ] , "x" : { } , "x" : "," } `, `{"type":"a","data":null,"id":null,"meta":null,"time":null}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		want, isEvent, sound := referenceEvent(text)
		line, err := eventline.Parse(text)
		require.Equal(t, isEvent, err == nil, "%q: %v", text, err)
		if err != nil {
			return
		}
		require.Equal(t, want.Type, line.Type)
		requireOther(t, text, line)
		got, err := line.Event()
		require.Equal(t, sound, err == nil, "%q: %v", text, err)
		if err == nil {
			require.True(t, want.Time.Equal(got.Time))
			got.Time = want.Time
			require.Equal(t, want, got)
		}
	})
}

// requireOther requires that every field of a line is in one place of it.
func requireOther(t *testing.T, text []byte, line eventline.Line) {
	t.Helper()
	members, _ := referenceMembers(text)
	other := []member{}
	if line.Other != nil {
		other, _ = referenceMembers(line.Other)
	}
	for _, m := range members {
		taken := m.name == "data" || m.name == "type" || m.name == "meta" && m.value[0] == '{' ||
			(m.name == "id" || m.name == "time") && m.value[0] == '"' && string(m.value) != `""`
		if taken {
			continue
		}
		require.NotEmpty(t, other, m.name)
		require.Equal(t, m, other[0])
		other = other[1:]
	}
	require.Empty(t, other)
	for name, value := range eventline.Fields(bytes.TrimSpace(text)) {
		require.Equal(t, members[0], member{name, value})
		members = members[1:]
	}
}

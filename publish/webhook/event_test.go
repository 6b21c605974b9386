package webhook_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"ropewalk/feed"
	"ropewalk/publish/webhook"
)

var update = flag.Bool("update", false, "write the golden files again")

// The bodies are frozen: receivers depend on them.
func TestBodiesAreGolden(t *testing.T) {
	full := change(
		`{"type":"placed","id":"0199","time":"2026-11-28T11:02:11.5+01:00","data":{"b":1.0, "a":"<ü>"},"meta":{"correlation":"91c2","causation":"77","traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","ip":"private"}}`,
		`{"type":"paid","data":null}`,
	)
	erased := feed.Change{Erased: true, Position: full.Position}
	erased.Ref = full.Ref
	text := change(`{"a": 1}`)
	text.ContentType = "application/vnd.example+json"
	binary := change("\xff\x00")
	binary.ContentType = "not a media type"

	m := always(204)
	s := sender(t, m, webhook.Options{Source: "https://example.com/orders", TypePrefix: "com.example."})
	var got strings.Builder
	for _, c := range []feed.Change{full, text, binary, erased} {
		require.NoError(t, s.Handle(t.Context(), c))
	}
	for _, r := range m.all() {
		got.Write(r.body)
		got.WriteByte('\n')
		require.Equal(t, "application/cloudevents+json; charset=utf-8", r.header.Get("Content-Type"))
		r.event(t)
	}
	file := filepath.Join("testdata", "bodies.ndjson.golden")
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got.String()), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got.String(), "go test -update writes it again")
}

// A receiver decodes the attributes and the data by the SDK.
func TestReceiversDecodeTheEvents(t *testing.T) {
	m := always(200)
	s := sender(t, m, webhook.Options{})
	require.NoError(t, s.Handle(t.Context(), change(`{"type":"placed","data":{"total":12}}`)))
	require.Len(t, m.all(), 1)
	e := m.all()[0].event(t)
	require.Equal(t, "0199a0b2-0000-7000-8000-000000000001-0", e.ID())
	require.Equal(t, "placed", e.Type())
	require.Equal(t, "order-1", e.Subject())
	require.Equal(t, "/ropewalk", e.Source())
	require.Equal(t, recordedAt, e.Time(), "an event without a time")
	require.Equal(t, "7", e.Extensions()["version"])
	require.EqualValues(t, 0, e.Extensions()["index"])
	var data struct{ Total int }
	require.NoError(t, e.DataAs(&data))
	require.Equal(t, 12, data.Total)
}

// JSON stays JSON, and all other content is base64, so that its bytes arrive.
func TestContentThatIsNotEvents(t *testing.T) {
	for name, test := range map[string]struct {
		contentType, content, sentType string
		isJSON                         bool
	}{
		"JSON":                 {"application/json; charset=utf-8", `[1, 2]`, "application/json; charset=utf-8", true},
		"a JSON type":          {"application/problem+json", `"x"`, "application/problem+json", false},
		"not what it says":     {"application/json", `{"a":`, "application/json", false},
		"JSON, but not UTF-8":  {"application/json", "\"\xff\"", "application/json", false},
		"nothing":              {"application/json", "", "application/json", false},
		"text":                 {"text/plain", "hello\n", "text/plain", false},
		"bytes":                {"application/octet-stream", "\x00\xff", "application/octet-stream", false},
		"a type of no meaning": {"bytes of mine", "x", "application/octet-stream", false},
	} {
		t.Run(name, func(t *testing.T) {
			m := always(200)
			c := change(test.content)
			c.ContentType = test.contentType
			require.NoError(t, sender(t, m, webhook.Options{TypePrefix: "com.example."}).Handle(t.Context(), c))
			require.Len(t, m.all(), 1)
			require.True(t, json.Valid(m.all()[0].body))
			e := m.all()[0].event(t)
			require.Equal(t, "0199a0b2-0000-7000-8000-000000000001", e.ID())
			require.Equal(t, webhook.TypeChangeset, e.Type())
			require.Equal(t, test.sentType, e.DataContentType())
			require.Equal(t, test.content, string(e.Data()))
			require.Equal(t, test.isJSON, !strings.Contains(string(m.all()[0].body), "data_base64"))
			require.NotContains(t, e.Extensions(), "index")
		})
	}
}

func TestAChangesetWithoutEventsSendsNothing(t *testing.T) {
	m := always(500)
	require.NoError(t, sender(t, m, webhook.Options{}).Handle(t.Context(), change("", " ")))
	require.Empty(t, m.all())
}

// What cannot be an event is refused before anything is sent, also what comes before
// it: a part of a changeset is not published.
func TestEventsThatCannotBeSent(t *testing.T) {
	for line, says := range map[string]string{
		`{"type":""}`:                  `"type" is missing`,
		`{"type":"a"}`:                 `"data" is missing`,
		`{"type":"a","data":1`:         "not JSON",
		"{\"type\":\"\xff\"}":          "not UTF-8",
		`{"type":"a","data":1}x`:       "not JSON",
		`{"type":"a","data":1,"id":1}`: `"id" has a value of another kind`,
	} {
		m := always(200)
		err := sender(t, m, webhook.Options{}).Handle(t.Context(), change(`{"type":"placed","data":1}`, line))
		require.ErrorContains(t, err, says, line)
		require.ErrorContains(t, err, "line 1 of order-1@7.0199a0b2-0000-7000-8000-000000000001")
		require.Empty(t, m.all())
	}
}

func TestAttributesThatCannotBeSent(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*event.Event)
		says   string
	}{
		"no ID":            {func(e *event.Event) { e.SetID("") }, "not a CloudEvent"},
		"a dot":            {func(e *event.Event) { e.SetID("a.1") }, "cannot be signed"},
		"a space":          {func(e *event.Event) { e.SetID("a 1") }, "cannot be signed"},
		"a line break":     {func(e *event.Event) { e.SetID("a\r\nx: y") }, "cannot be signed"},
		"an umlaut":        {func(e *event.Event) { e.SetID("ä") }, "cannot be signed"},
		"a long ID":        {func(e *event.Event) { e.SetID(strings.Repeat("a", 256)) }, "cannot be signed"},
		"no type":          {func(e *event.Event) { e.SetType("") }, "not a CloudEvent"},
		"no source":        {func(e *event.Event) { e.SetSource("") }, "not a CloudEvent"},
		"a strange type":   {func(e *event.Event) { e.SetType("a\nb") }, "attribute type has a control character"},
		"a strange name":   {func(e *event.Event) { e.SetExtension("a_b", "x") }, "not a CloudEvent"},
		"a strange value":  {func(e *event.Event) { e.SetExtension("correlationid", "\x07") }, "correlationid has a control character"},
		"a strange object": {func(e *event.Event) { e.SetSubject("a\u0085b") }, "subject has a control character"},
	} {
		m := always(200)
		e := placed()
		test.change(&e)
		require.ErrorContains(t, sender(t, m, webhook.Options{}).Send(t.Context(), e), test.says, name)
		require.Empty(t, m.all(), name)
	}
}

func TestOptionsThatCannotBeUsed(t *testing.T) {
	for name, test := range map[string]struct {
		url     string
		secrets []webhook.Secret
		options webhook.Options
		says    string
	}{
		"no TLS":              {"http://receiver.example/", []webhook.Secret{secret}, webhook.Options{}, "plain http must be allowed"},
		"another scheme":      {"ftp://receiver.example/", []webhook.Secret{secret}, webhook.Options{AllowHTTP: true}, "not https"},
		"no scheme":           {"receiver.example/hooks", []webhook.Secret{secret}, webhook.Options{}, "not https"},
		"no host":             {"https:///hooks", []webhook.Secret{secret}, webhook.Options{}, "no host"},
		"a port alone":        {"https://:443/hooks", []webhook.Secret{secret}, webhook.Options{}, "no host"},
		"no URL":              {"https://a b/hidden", []webhook.Secret{secret}, webhook.Options{}, "cannot be parsed"},
		"no secret":           {receiverURL, nil, webhook.Options{}, "needs a secret"},
		"a secret of nothing": {receiverURL, []webhook.Secret{secret, {}}, webhook.Options{}, "needs a secret"},
		"a source":            {receiverURL, []webhook.Secret{secret}, webhook.Options{Source: ":"}, "not a URI reference"},
		"a header of two":     {receiverURL, []webhook.Secret{secret}, webhook.Options{Header: map[string][]string{"A": {"hidden\r\nB: c"}}}, "line break"},
	} {
		_, err := webhook.New(test.url, test.secrets, &test.options)
		require.ErrorContains(t, err, test.says, name)
		require.NotContains(t, err.Error(), "hidden", name)
	}
	_, err := webhook.New("http://receiver.example/", []webhook.Secret{secret}, &webhook.Options{AllowHTTP: true})
	require.NoError(t, err)
}

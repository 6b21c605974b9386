package webhook_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/feed"
	"ropewalk/publish/webhook"
)

const receiverURL = "https://user:password@receiver.example/hooks?token=hidden"

var (
	secret    = must(webhook.ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
	newSecret = webhook.NewSecret()
	loopback  = netip.MustParsePrefix("127.0.0.0/8")
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// request is a request as the receiver got it, with its time.
type request struct {
	header http.Header
	body   []byte
	at     time.Time
}

func (r request) id() string { return r.header.Get(webhook.HeaderID) }

func (r request) event(t *testing.T) (e event.Event) {
	t.Helper()
	require.NoError(t, e.UnmarshalJSON(r.body))
	require.NoError(t, e.Validate())
	require.Equal(t, r.id(), e.ID())
	return e
}

// memory is a receiver that is reached without a network.
type memory struct {
	answer func(n int, r request) *http.Response // nil: a connection that fails

	mu       sync.Mutex
	requests []request
}

// RoundTrip answers the request number n, from 0.
func (m *memory) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	n := len(m.requests)
	m.requests = append(m.requests, request{r.Header.Clone(), body, time.Now()})
	last := m.requests[n]
	m.mu.Unlock()
	response := m.answer(n, last)
	if response == nil {
		return nil, io.ErrUnexpectedEOF
	}
	response.Request = r
	return response, nil
}

func (m *memory) all() []request {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]request(nil), m.requests...)
}

// reply is an answer with a status, and headers as pairs.
func reply(status int, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader("body of " + fmt.Sprint(status)))}
}

// always answers all requests with a status.
func always(status int, header ...string) *memory {
	return &memory{answer: func(int, request) *http.Response { return reply(status, header...) }}
}

// sender returns a sender to a receiver in memory.
func sender(t *testing.T, m *memory, options webhook.Options) *webhook.Sender {
	t.Helper()
	options.Transport = m
	s, err := webhook.New(receiverURL, []webhook.Secret{secret}, &options)
	require.NoError(t, err)
	return s
}

// logTo returns a logger to a buffer.
func logTo(b *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

var recordedAt = time.Date(2026, 11, 28, 10, 2, 11, 123456789, time.UTC)

// change is version 7 of an order, with content in the form of package aggregate.
func change(lines ...string) feed.Change {
	id := must(ropewalk.ParseRef("order-1@7.0199a0b2-0000-7000-8000-000000000001"))
	position := must(feed.ParsePosition("l.0123456789abcdef.42.0011223344556677.7"))
	return feed.Change{Position: position, Changeset: ropewalk.Changeset{
		Header:  ropewalk.Header{Ref: id, ContentType: aggregate.ContentType, RecordedAt: recordedAt},
		Content: []byte(strings.Join(lines, "\n")),
	}}
}

// placed is an event that can be sent.
func placed() event.Event {
	e := event.New()
	e.SetID("0199-0")
	e.SetSource("/test")
	e.SetType("placed")
	return e
}

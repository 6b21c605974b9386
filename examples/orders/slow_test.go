package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/aggregate/aggregatetest"
)

// pipes is a listener whose connections hold no byte that the other end has not read.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error {
	close(p.closed)
	return nil
}

func (pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// dial connects, and sends the beginning of what a client would send.
func (p pipes) dial(t *testing.T, beginning string) net.Conn {
	t.Helper()
	client, server := net.Pipe()
	p.accepted <- server
	_, err := client.Write([]byte(beginning))
	require.NoError(t, err)
	return client
}

// A client that never reads or never ends its request loses its connection soon,
// and does not delay the end of the service.
func TestSlowClientsAreDisconnected(t *testing.T) {
	const get = "GET /orders/4711 HTTP/1.1\r\nHost: orders\r\n"
	const put = "PUT /orders/new HTTP/1.1\r\nHost: orders\r\nIf-None-Match: *\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
	for name, test := range map[string]struct {
		sent string
		held time.Duration // how long the service keeps the connection
	}{
		"never reads":     {get + "\r\n", writeTimeout},
		"half the header": {get, 5 * time.Second},
		"half the body":   {put, 10*time.Second + writeTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { holdOn(t, test.sent, test.held) })
		})
	}
}

func holdOn(t *testing.T, sent string, held time.Duration) {
	storage := aggregatetest.NewStorage(nil)
	s := newService(storage.Store, nameKey, slog.New(slog.DiscardHandler))
	_, err := s.repo.Create(t.Context(), "4711", []Event{Created{"ann"}})
	require.NoError(t, err)
	listener := pipes{make(chan net.Conn), make(chan struct{})}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, listener, s, http.NotFoundHandler()) }()

	clients := make([]net.Conn, 40)
	for i := range clients {
		clients[i] = listener.dial(t, sent)
	}
	time.Sleep(held + time.Millisecond)
	for _, c := range clients {
		require.ErrorIs(t, c.SetReadDeadline(time.Time{}), io.ErrClosedPipe, "the service has closed it")
	}

	listener.dial(t, sent)
	start := time.Now()
	stop()
	require.NoError(t, <-ended)
	require.LessOrEqual(t, time.Since(start), held+time.Second)
}

// The largest order has an answer of bounded size, so that many slow clients
// hold little memory.
func TestLargestAnswer(t *testing.T) {
	c, storage := start(t)
	s := newService(storage.Direct, nameKey, slog.New(slog.DiscardHandler))
	wide := strings.Repeat("<", maxText) // takes six bytes for each in JSON
	var events []Event
	for i := range maxLines {
		events = append(events, LineAdded{fmt.Sprint(i, wide)[:maxText], maxQuantity})
	}
	_, err := s.repo.Create(t.Context(), "4711", append([]Event{Created{wide}}, events...))
	require.NoError(t, err)

	full := c.send("GET", "/orders/4711", "")
	require.Equal(t, 200, full.status)
	require.Less(t, len(full.body), 256<<10)
	more := c.send("POST", "/orders/4711/lines", rope)
	require.Equal(t, 422, more.status)
	var refused failure
	require.NoError(t, json.Unmarshal([]byte(more.body), &refused))
	require.Equal(t, "an order has at most 200 items", refused.Error)
}

package lab

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"
)

// Wire is an HTTP transport to a server that is further away than it is: every
// response comes later by the latency, and keeps its connection until then, as
// on a network. It counts the requests, and is safe for concurrent use.
type Wire struct {
	latency  time.Duration
	inner    http.RoundTripper
	requests atomic.Int64
}

// NewWire returns a transport that keeps as many idle connections as requests
// may be under way.
func NewWire(latency time.Duration, connections int) *Wire {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy = nil
	t.MaxIdleConns, t.MaxIdleConnsPerHost = connections, connections
	t.DisableCompression = true
	return &Wire{latency: latency, inner: t}
}

// Client returns an HTTP client over the wire.
func (w *Wire) Client() *http.Client { return &http.Client{Transport: w} }

// RoundTrip sends a request and holds its response back.
func (w *Wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.requests.Add(1)
	response, err := w.inner.RoundTrip(r)
	if err != nil || w.latency == 0 {
		return response, err
	}
	if err := wait(r.Context(), w.latency); err != nil {
		_ = response.Body.Close()
		return nil, err
	}
	return response, nil
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Requests returns how many requests do has sent.
func (w *Wire) Requests(do func() error) (int, error) {
	before := w.requests.Load()
	err := do()
	return int(w.requests.Load() - before), err
}

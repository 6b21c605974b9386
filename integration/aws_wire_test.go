//go:build integration

package integration_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
)

// awsWire is a transport that records the requests which pass, and loses
// replies: the server acts on the request, and the client sees a failure.
type awsWire struct {
	mu       sync.Mutex
	requests []string
	lose     func(*http.Request) (*http.Response, error)
	losses   int
	skip     int // how many replies pass before the losses begin
}

// RoundTrip sends the request, and loses its reply while there are losses left.
func (w *awsWire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.requests = append(w.requests, awsOperation(r))
	lose, lost := w.lose, w.skip == 0 && w.losses > 0
	if lost {
		w.losses--
	}
	w.skip = max(0, w.skip-1)
	w.mu.Unlock()
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || !lost {
		return response, err
	}
	_, _ = io.Copy(io.Discard, response.Body)
	response.Body.Close()
	return lose(r)
}

// losing makes the wire lose the next n replies in that way, and forget what
// it has recorded.
func (w *awsWire) losing(n int, lose func(*http.Request) (*http.Response, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests, w.losses, w.lose = nil, n, lose
}

// losingOne returns the account over a wire that loses the first reply.
func (a *awsAccount) losingOne(lose func(*http.Request) (*http.Response, error)) (*awsAccount, *awsWire) {
	wire := &awsWire{}
	wire.losing(1, lose)
	return a.with(wire), wire
}

// sent returns the requests since the last time that it was asked.
func (w *awsWire) sent() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	sent := w.requests
	w.requests = nil
	return sent
}

// awsOperation names a request: DynamoDB's by its operation, S3's by method
// and, for listings, "LIST".
func awsOperation(r *http.Request) string {
	if _, operation, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "."); ok {
		return operation
	}
	if r.URL.Query().Has("list-type") {
		return "LIST"
	}
	return r.Method
}

// awsLosses are the ways to lose a reply.
var awsLosses = map[string]func(*http.Request) (*http.Response, error){
	"connection reset": func(*http.Request) (*http.Response, error) { return nil, syscall.ECONNRESET },
	"connection cut":   func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF },
	"time limit":       func(*http.Request) (*http.Response, error) { return nil, timeLimit{} },
	"500":              awsAnswer(http.StatusInternalServerError),
	"503":              awsAnswer(http.StatusServiceUnavailable),
}

func awsAnswer(status int) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Header: http.Header{"Content-Type": {"text/plain"}}, Body: http.NoBody,
			Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		}, nil
	}
}

// timeLimit is what an HTTP client with a time limit of its own returns.
type timeLimit struct{}

func (timeLimit) Error() string   { return "timeout awaiting response headers" }
func (timeLimit) Timeout() bool   { return true }
func (timeLimit) Temporary() bool { return true }

// awsHanging holds the reply back until the request's context ends.
func awsHanging(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, context.Cause(r.Context())
}

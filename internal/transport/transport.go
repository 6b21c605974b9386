// Package transport guards the HTTP client of a storage backend against what a
// server, or a proxy in front of it, may reply: a body without an end, and a
// redirect that leads in a circle or to another host.
package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// The limits of a reply's body in bytes. A reply above its limit does not come
// from the storage.
const (
	// ErrorLimit is the limit of every reply with a status of 300 and above.
	ErrorLimit = 1 << 20
	// DefaultLimit is the limit of a success whose request sets none: a head,
	// a setting, the acknowledgement of a write.
	DefaultLimit = 4 << 20
	// ListingLimit is the limit of a page of a listing.
	ListingLimit = 16 << 20
)

// ErrTooLarge means that the body of a reply is above its limit; the error that
// wraps it gives the limit.
var ErrTooLarge = errors.New("the reply is too large")

// ErrRedirected means that the HTTP client followed a redirect to another host.
var ErrRedirected = errors.New("the request was redirected to another host")

// Client sends a request. An *http.Client is one, and so is every client that
// the SDKs of AWS and Azure take.
type Client interface {
	Do(*http.Request) (*http.Response, error)
}

type limitKey struct{}

// WithLimit returns a context under which the body of a success may have as
// many bytes. A limit below 0 means no limit: it is for content, whose reader
// knows the size and reads no further.
func WithLimit(ctx context.Context, bytes int64) context.Context {
	return context.WithValue(ctx, limitKey{}, bytes)
}

// Guard returns a client that sends requests through inner, bounds every body
// (see [WithLimit]) and follows no redirect, so that neither credentials nor
// content leave for another host: the caller gets the redirect as the reply.
// It keeps the connections, the time limits and the cookies of an *http.Client,
// and leaves inner itself as it is.
//
// A client of another type must not follow redirects to other hosts. The reply
// to a request that did so is an error that matches [ErrRedirected].
func Guard(inner Client) Client {
	if c, ok := inner.(*http.Client); ok {
		own := *c
		own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		inner = &own
	}
	return guarded{inner}
}

type guarded struct{ inner Client }

func (g guarded) Do(r *http.Request) (*http.Response, error) {
	response, err := g.inner.Do(r)
	if err != nil || response == nil || response.Body == nil {
		return response, err
	}
	if strayed(r, response) {
		_ = response.Body.Close()
		return nil, fmt.Errorf("%w, %s", ErrRedirected, response.Request.URL.Host)
	}
	if limit := limitOf(r.Context(), response.StatusCode); limit >= 0 {
		response.Body = &bounded{body: response.Body, limit: limit, left: limit}
	}
	return response, nil
}

// strayed reports whether the reply came from another host, to which a redirect
// led. A transport that only rewrites the address, such as one for tests, sets
// no Response.
func strayed(r *http.Request, response *http.Response) bool {
	last := response.Request
	return last != nil && last.Response != nil && (last.URL.Host != r.URL.Host || last.URL.Scheme != r.URL.Scheme)
}

func limitOf(ctx context.Context, status int) int64 {
	if status >= 300 {
		return ErrorLimit
	}
	if limit, ok := ctx.Value(limitKey{}).(int64); ok {
		return limit
	}
	return DefaultLimit
}

// bounded is a body that fails beyond its limit.
type bounded struct {
	body        io.ReadCloser
	limit, left int64
}

// Read reads at most one byte beyond the limit, to know whether there is one.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, fmt.Errorf("%w: it has more than %d bytes", ErrTooLarge, b.limit)
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.body.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n - 1, fmt.Errorf("%w: it has more than %d bytes", ErrTooLarge, b.limit)
	}
	return n, err
}

func (b *bounded) Close() error { return b.body.Close() }

package azurestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"ropewalk/internal/transport"
)

// do sends one request, unless the context has already ended, logs it, and
// makes its error one that people can read. op says what for, and at where.
func do[T any](ctx context.Context, s *Store, op, at string, request func(context.Context) (T, error)) (T, error) {
	if err := ctx.Err(); err != nil {
		var none T
		return none, explain(op, location(at), err)
	}
	var failed error // by the latest attempt
	began := time.Now()
	response, err := request(context.WithValue(ctx, failedKey{}, &failed))
	if ended(err) && failed != nil {
		err = &endedError{err, failed}
	}
	err = explain(op, location(at), err)
	s.log.DebugContext(ctx, "azure request", "op", op, "at", location(at), "took", time.Since(began), "err", err)
	return response, err
}

// document is do for a reply that must be an XML document with that root
// element: the SDK takes every root for the right one, and an empty body for a
// document without elements.
func document[T any](ctx context.Context, s *Store, op, at, root string, request func(context.Context) (T, error)) (T, error) {
	return do(ctx, s, op, at, func(ctx context.Context) (T, error) {
		var reply *http.Response
		ctx = policy.WithCaptureResponse(transport.WithLimit(ctx, transport.ListingLimit), &reply)
		decoded, err := request(ctx)
		if reply == nil || reply.StatusCode != http.StatusOK {
			return decoded, err
		}
		body, unread := runtime.Payload(reply)
		if unread != nil || is[*foreignError](err) {
			return decoded, cmp.Or(err, unread)
		}
		if err != nil || rootOf(body) != root {
			return decoded, &foreignError{reason: "it is not a document of type " + root, err: err}
		}
		return decoded, nil
	})
}

// pages yields the pages of a listing, or its first error. look returns a page's
// marker of the next page, and whether the page has the element of its items.
func pages[T any](ctx context.Context, s *Store, c *container.Client, pager *runtime.Pager[T], look func(T) (*string, bool)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var m markers
		for pager.More() {
			page, err := document(ctx, s, "list", c.URL(), "EnumerationResults", func(ctx context.Context) (T, error) {
				page, err := pager.NextPage(ctx)
				if err != nil {
					return page, err
				}
				return page, m.follow(look(page))
			})
			if !yield(page, err) || err != nil {
				return
			}
		}
	}
}

// markers notices a listing that goes in a circle: it keeps one marker, and
// a later one after 1, 2, 4, 8 … pages.
type markers struct {
	kept           string
	since, renewal int
}

// follow takes the marker of the next page, empty on the last page.
func (m *markers) follow(next *string, hasItems bool) error {
	switch {
	case next == nil || !hasItems:
		return &foreignError{reason: "the page of the listing is not whole"}
	case *next != "" && *next == m.kept:
		return &foreignError{reason: "the listing does not end: it has the same marker twice"}
	}
	if m.since++; m.since >= m.renewal {
		m.kept, m.since, m.renewal = *next, 0, max(1, 2*m.renewal)
	}
	return nil
}

func flatPage(p container.ListBlobsFlatResponse) (next *string, hasItems bool) {
	return p.NextMarker, p.Segment != nil
}

func hierarchyPage(p container.ListBlobsHierarchyResponse) (next *string, hasItems bool) {
	return p.NextMarker, p.Segment != nil
}

// failedKey is the context's key of a *error that gets the failure of each attempt.
type failedKey struct{}

// wire is the way to the service. It holds every reply to the marks of the
// service, below the SDK's retries, and bounds its body. It gives each attempt
// of a write a body of its own.
type wire struct{ next transport.Client }

// Do implements [policy.Transporter].
func (w wire) Do(r *http.Request) (*http.Response, error) {
	// A proxy that compresses a reply changes its ETag.
	r.Header.Set("Accept-Encoding", "identity")
	reply, err := w.next.Do(withBodyOfItsOwn(r))
	if errors.Is(err, transport.ErrRedirected) {
		err = &foreignError{reason: "another host has sent it", err: err}
	}
	if err == nil && reply != nil {
		if reply.Body == nil {
			reply.Body = http.NoBody
		}
		if err = checkMarks(r.Method, reply); err != nil {
			_ = reply.Body.Close()
			reply = nil
		}
	}
	note(r.Context(), reply, err)
	return reply, err
}

// note keeps why an attempt has failed: the SDK forgets it if the context ends
// before the next attempt.
func note(ctx context.Context, reply *http.Response, err error) {
	failed, ok := ctx.Value(failedKey{}).(*error)
	if !ok || ctx.Err() != nil {
		return
	}
	switch sent, ok := errors.AsType[*url.Error](err); {
	case ok:
		*failed = sent.Err // without the URL, which can hold a signature
	case err != nil:
		*failed = err
	case reply != nil && reply.StatusCode >= 400:
		*failed = &statusError{reply}
	}
}

// statusError is a reply that the SDK may try to better.
type statusError struct{ reply *http.Response }

func (e *statusError) Error() string {
	if !fromService(e.reply) {
		return describe(e.reply)
	}
	return answers(e.reply.StatusCode, e.reply.Header.Get(errorCodeHeader))
}

// endedError is a context's error that came between two attempts.
type endedError struct{ ended, failed error }

func (e *endedError) Error() string {
	return fmt.Sprintf("%v; the attempt before: %v", e.ended, e.failed)
}

func (e *endedError) Unwrap() []error { return []error{e.ended, e.failed} }

func ended(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

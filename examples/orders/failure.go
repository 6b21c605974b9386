package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"ropewalk"
	"ropewalk/aggregate"
)

// rejected is a request that the service does not accept. Its text is for the client.
type rejected struct {
	status int
	text   string
}

// Error returns the text.
func (r rejected) Error() string { return r.text }

// missing returns the rejection of a request without a header that it needs.
func missing(header string) error {
	return rejected{http.StatusPreconditionRequired, "the request needs the header " + header}
}

// badRequest returns the rejection of a request that the service does not understand.
func badRequest(text string) error { return rejected{http.StatusBadRequest, text} }

// failure is the body of every answer that is not a success.
type failure struct {
	Error string `json:"error"`
	// Request is the ID under which the log has the details.
	Request string `json:"request"`
	// Ref and Settle are set if it is unknown whether the request took effect:
	// a POST to Settle finds out.
	Ref    string `json:"ref,omitempty"`
	Settle string `json:"settle,omitempty"`
}

// fail answers a request that failed and logs the details, which clients never
// see: errors of the library name files, buckets, tables and objects.
func (s *service) fail(w http.ResponseWriter, r *http.Request, err error) {
	answer := answerTo(err)
	body := failure{Error: answer.text, Request: w.Header().Get(requestIDHeader)}
	if uncertain, ok := errors.AsType[*ropewalk.UncertainError](err); ok {
		body.Ref = uncertain.Ref.String()
		body.Settle = fmt.Sprintf("/settle/%s?after-revision=%d", url.PathEscape(body.Ref), uncertain.AfterRevision)
		w.Header().Set("Link", "<"+body.Settle+`>; rel="settle"`)
	} else if conflict, ok := errors.AsType[*ropewalk.ConflictError](err); ok && conflict.Actual.Exists() {
		w.Header().Set("ETag", conflict.Actual.ETag())
	}
	level := slog.LevelInfo
	switch {
	case answer.status == http.StatusServiceUnavailable:
		level = slog.LevelWarn
		w.Header().Set("Retry-After", "1")
	case answer.status >= 500:
		level = slog.LevelError
	}
	s.log.Log(r.Context(), level, "request failed", "request", body.Request,
		"method", r.Method, "path", r.URL.Path, "status", answer.status, "error", err)
	s.write(w, answer.status, body)
}

// answerTo returns what the client learns of an error. Only rejections and the
// refusals of the domain speak for themselves. An uncertain outcome comes first,
// since it can wrap any cause.
func answerTo(err error) rejected {
	if is[*ropewalk.UncertainError](err) {
		return rejected{http.StatusServiceUnavailable, "it is unknown yet whether the request took effect"}
	}
	if refusal, ok := errors.AsType[Refusal](err); ok {
		return rejected{http.StatusUnprocessableEntity, refusal.Error()}
	}
	if rejection, ok := errors.AsType[rejected](err); ok {
		return rejection
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return rejected{http.StatusServiceUnavailable, "no answer in time: nothing was saved"}
	case refusedBySettle(err):
		return rejected{http.StatusPreconditionFailed, "the request did not take effect, and never will: it can be sent again"}
	case is[*ropewalk.ConflictError](err): // a *aggregate.PreconditionError is one, too
		return rejected{http.StatusPreconditionFailed, "the order exists already, or has changed"}
	case errors.Is(err, ropewalk.ErrErased):
		return rejected{http.StatusGone, "the order was erased"}
	case errors.Is(err, ropewalk.ErrNotFound):
		return rejected{http.StatusNotFound, "there is no such order"}
	case errors.Is(err, aggregate.ErrInvalidKey):
		return rejected{http.StatusBadRequest, "the header Idempotency-Key holds no valid key"}
	case errors.Is(err, ropewalk.ErrInvalidAggregateID):
		return rejected{http.StatusBadRequest, "this cannot be the ID of an order"}
	}
	return rejected{http.StatusInternalServerError, "internal error"}
}

// refusedBySettle reports whether an uncertain save has turned out to be refused.
func refusedBySettle(err error) bool {
	conflict, ok := errors.AsType[*ropewalk.ConflictError](err)
	return ok && !conflict.Settled.ID.IsZero()
}

// is reports whether an error is, or wraps, an error of a type.
func is[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"ropewalk"
	"ropewalk/aggregate"
)

// badRequest is a request that cannot be understood.
type badRequest struct{ error }

// Unwrap returns the cause, such as a body that is too large.
func (b badRequest) Unwrap() error { return b.error }

// missing is a header without which a request is not tried.
type missing string

// Error names the header.
func (m missing) Error() string { return "the request needs a header " + string(m) }

// failure is the body of every answer that is not a success.
type failure struct {
	Error string `json:"error"`
	// Ref and Settle are set where nobody knows yet whether the request took
	// effect: a POST to Settle ends that.
	Ref    string `json:"ref,omitempty"`
	Settle string `json:"settle,omitempty"`
}

// fail turns the outcome of a request into its answer. What is uncertain comes
// first, since it may wrap any cause.
func (s *service) fail(w http.ResponseWriter, r *http.Request, err error) {
	body := failure{Error: err.Error()} // but for what the storage says, which is not for clients
	var uncertain *ropewalk.UncertainError
	var conflict *ropewalk.ConflictError
	if errors.As(err, &uncertain) {
		body.Error = "nobody knows yet whether the request took effect"
		body.Ref = uncertain.Ref.String()
		body.Settle = "/settle/" + url.PathEscape(body.Ref)
		w.Header().Set("Link", "<"+body.Settle+`>; rel="settle"`)
	} else if errors.As(err, &conflict) && conflict.Actual.Exists() {
		w.Header().Set("ETag", conflict.Actual.ETag())
	}
	status := statusOf(err)
	switch status {
	case http.StatusServiceUnavailable:
		s.log.Warn("request to be repeated", "method", r.Method, "path", r.URL.Path, "error", err)
		w.Header().Set("Retry-After", "1")
	case http.StatusInternalServerError:
		s.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		body.Error = "internal error"
	}
	s.write(w, status, body)
}

// statusOf returns the status of an outcome.
func statusOf(err error) int {
	switch {
	case is[*ropewalk.UncertainError](err),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled): // nothing was committed
		return http.StatusServiceUnavailable
	case is[*ropewalk.ConflictError](err): // a *aggregate.PreconditionError is one, too
		return http.StatusPreconditionFailed
	case errors.Is(err, ropewalk.ErrErased):
		return http.StatusGone
	case errors.Is(err, ropewalk.ErrNotFound):
		return http.StatusNotFound
	case is[Refusal](err):
		return http.StatusUnprocessableEntity
	case is[missing](err):
		return http.StatusPreconditionRequired
	case is[*http.MaxBytesError](err):
		return http.StatusRequestEntityTooLarge
	case is[badRequest](err), errors.Is(err, aggregate.ErrInvalidKey), errors.Is(err, ropewalk.ErrInvalidAggregateID):
		return http.StatusBadRequest
	default:
		return http.StatusInternalServerError
	}
}

// is reports whether an error is, or wraps, one of a type.
func is[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

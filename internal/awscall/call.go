// Package awscall holds what the two AWS backends share about a request: how
// it is sent and repeated, which replies count, how an SDK's error is read, and
// what an error says of the one attempt of a swap.
package awscall

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"ropewalk/internal/finding"
)

// Call watches one call of an SDK's client, so that it can be said afterwards
// whether anything of it has left this process, and what was received.
type Call struct {
	service string
	foreign func(operation string, reply *http.Response) string
	sent    atomic.Bool
	name    string // the operation
	lacks   string // what the last reply lacks; "" for a reply of the service
	cause   error  // of the last attempt that did not fail by its context
}

// NotOffered reports whether the service itself replied that it does not have
// the operation, or not with such parameters.
func (c *Call) NotOffered(operation string, err error) bool {
	status, _ := Response(err)
	return c.name == operation && c.lacks == "" && status == http.StatusNotImplemented
}

// watch is an API option of the call.
func (c *Call) watch(stack *middleware.Stack) error {
	outermost := middleware.DeserializeMiddlewareFunc("ropewalk:cause", c.keepCause)
	// The last one of the last step: only the HTTP client comes after it.
	innermost := middleware.DeserializeMiddlewareFunc("ropewalk:reply", c.inspect)
	return errors.Join(stack.Deserialize.Add(outermost, middleware.Before), stack.Deserialize.Add(innermost, middleware.After))
}

// keepCause keeps an attempt's error: if the context ends while the SDK waits
// for the next attempt, the SDK returns the context's error alone.
func (c *Call) keepCause(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
	out, metadata, err := next.HandleDeserialize(ctx, in)
	if err != nil && !ended(err) {
		c.cause = err
	}
	return out, metadata, err
}

// withCause adds the last cause to the error of a context.
func (c *Call) withCause(err error) error {
	if ended(err) && c.cause != nil && !errors.Is(err, c.cause) {
		return fmt.Errorf("%w: %w", err, c.cause)
	}
	return err
}

// inspect marks the call as sent, and makes an error of a reply that is not the
// service's. A status of 500 and above keeps its own error, which the SDK's
// retries know.
func (c *Call) inspect(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
	c.sent.Store(true)
	out, metadata, err := next.HandleDeserialize(ctx, in)
	reply, ok := out.RawResponse.(*smithyhttp.Response)
	if err != nil || !ok || reply.Response == nil {
		return out, metadata, err
	}
	c.name = middleware.GetOperationName(ctx)
	c.lacks = c.foreign(c.name, reply.Response)
	if c.lacks != "" && reply.StatusCode < http.StatusInternalServerError {
		_ = reply.Body.Close()
		reply.Body = http.NoBody // the SDK reads what is left
		err = &foreignError{c.lacks}
	}
	return out, metadata, err
}

// Code returns the service's own error code; empty where none was received.
func Code(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

// Response returns the status and the header of the service's answer; 0 if no
// answer was received.
func Response(err error) (int, http.Header) {
	answer, ok := errors.AsType[*awshttp.ResponseError](err)
	if ok && answer.Response != nil && answer.Response.Response != nil {
		return answer.HTTPStatusCode(), answer.Response.Header
	}
	return 0, nil
}

// denied are the codes by which either service refuses who asks.
var denied = map[string]bool{
	"AccessDenied": true, "AccessDeniedException": true, "AccountProblem": true, "AllAccessDisabled": true,
	"AuthFailure": true, "ExpiredToken": true, "ExpiredTokenException": true, "IncompleteSignature": true,
	"IncompleteSignatureException": true, "InvalidAccessKeyId": true, "InvalidClientTokenId": true,
	"InvalidSecurity": true, "InvalidSignatureException": true, "InvalidToken": true, "MissingAuthenticationToken": true,
	"MissingAuthenticationTokenException": true, "MissingSecurityHeader": true, "NotSignedUp": true,
	"OptInRequired": true, "RequestExpired": true, "RequestTimeTooSkewed": true, "SignatureDoesNotMatch": true,
	"TokenRefreshRequired": true, "UnrecognizedClientException": true,
}

// denies reports whether a code refuses the caller. Forbidden is all that the
// reply to a HEAD says.
func denies(code string) bool { return denied[code] || code == "Forbidden" }

// Setup returns a [*finding.SetupError] around an error that only a change of
// the setup ends and that both services share; any other error as it is.
func (c *Call) Setup(err error) error {
	code := Code(err)
	switch {
	case ended(err):
		return err
	case c.isForeign(err):
		return Foreign(c.service, err)
	case code == "RequestTimeTooSkewed" || refusedByClock(err):
		return c.wrongClock(err)
	case denies(code):
		return &finding.SetupError{What: c.service + " denies access", Hint: "check the credentials, and that their policy allows this operation", Err: err}
	case code != "":
		return err
	case !c.sent.Load():
		return &finding.SetupError{What: "no request could be made to " + c.service, Hint: "check that credentials, a region and an endpoint are configured", Err: err}
	case unreachable(err):
		return &finding.SetupError{What: c.service + " cannot be reached", Hint: "check the endpoint, the region and the network", Err: err}
	}
	return err
}

func (c *Call) wrongClock(err error) error {
	by := ""
	if d := skew(err); d != 0 {
		by = " by " + d.Abs().String()
	}
	return &finding.SetupError{
		What: "the clock of this machine differs from the clock of " + c.service + by,
		Hint: "set the clock of this machine; if it is right, check the credentials", Err: err,
	}
}

// ended reports whether the error comes from a context.
func ended(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// unreachable reports whether the last attempt made no connection.
func unreachable(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

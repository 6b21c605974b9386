// Package awscall holds what the two AWS backends share about a request: how
// it is repeated, how an SDK's error is read, and what an error tells of the
// one attempt of a swap.
package awscall

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"ropewalk/internal/finding"
)

// Call watches one call of an SDK's client, so that it can be said afterwards
// whether anything of it has left this process.
type Call struct{ sent atomic.Bool }

// Watch is an API option of the call. It marks the call as sent when a request
// is handed to the HTTP client.
func (c *Call) Watch(stack *middleware.Stack) error {
	mark := func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
		c.sent.Store(true)
		return next.HandleDeserialize(ctx, in)
	}
	// The last one of the last step: behind it there is only the HTTP client.
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("ropewalk:sent", mark), middleware.After)
}

// Code returns the service's own error code; empty where none was received.
func Code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// Response returns the status and the header of the service's answer; 0 where
// none was received.
func Response(err error) (int, http.Header) {
	var answer *awshttp.ResponseError
	if errors.As(err, &answer) && answer.Response != nil && answer.Response.Response != nil {
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

// Setup returns a [*finding.SetupError] around an error that only a change of
// the set-up ends and that both services share; any other error as it is. The
// service is named as people know it, such as "S3".
func (c *Call) Setup(err error, service string) error {
	code := Code(err)
	switch {
	case denied[code] || code == "Forbidden": // all that the answer to a HEAD tells
		return &finding.SetupError{What: service + " denies access", Hint: "check the credentials, and that their policy allows this operation", Err: err}
	case code != "" || ended(err):
		return err
	case !c.sent.Load():
		return &finding.SetupError{What: "no request could be made to " + service, Hint: "check that credentials, a region and an endpoint are configured", Err: err}
	case unreachable(err):
		return &finding.SetupError{What: service + " cannot be reached", Hint: "check the endpoint, the region and the network", Err: err}
	}
	return err
}

// ended reports whether the error is that of a context.
func ended(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// unreachable reports whether the last attempt made no connection.
func unreachable(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

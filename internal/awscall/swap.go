package awscall

import (
	"errors"
	"net/http"

	smithyhttp "github.com/aws/smithy-go/transport/http"

	"ropewalk/head"
)

// Refusals are the error codes by which a service refuses a conditional write
// before it takes effect, except the codes that deny access. The value says
// whether the same write may succeed a little later.
type Refusals map[string]bool

// SwapError says what an error means for the one attempt of a swap: a
// [*head.NotAppliedError] if nothing of it can have arrived, or if one of the codes
// refuses it under a status below 500. After any other error the outcome is
// unknown, and the error is returned as it is.
func (c *Call) SwapError(err error, refusals Refusals) error {
	sent := c.sent.Load()
	if !sent || unreachable(err) {
		return &head.NotAppliedError{Retryable: sent, Err: err}
	}
	code := Code(err)
	status, _ := Response(err)
	retryable, refused := refusals[code]
	if (refused || denied[code]) && 300 <= status && status < 500 {
		return &head.NotAppliedError{Retryable: retryable, Err: err}
	}
	return err
}

// MayPass reports whether a read that has failed may succeed a little later:
// no answer came, or one that blames the service.
func MayPass(err error) bool {
	_, lost := errors.AsType[*smithyhttp.RequestSendError](err)
	status, _ := Response(err)
	return lost || status >= 500 || status == http.StatusTooManyRequests
}

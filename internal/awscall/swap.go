package awscall

import (
	"context"
	"errors"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"ropewalk/head"
)

// OneAttempt is the retryer of a swap. The SDK's own would send the request
// again after a lost reply, meet its first attempt, and report a conflict.
var OneAttempt aws.Retryer = aws.NopRetryer{}

// Refusals are the error codes by which a service refuses a conditional write
// before it takes effect, but for those that deny access. The value says
// whether the same write may succeed a little later.
type Refusals map[string]bool

// SwapError tells what an error means for the one attempt of a swap: a
// [*head.NotApplied] where nothing of it can have arrived, or where one of the
// codes refuses it under a status below 500. About any other error nobody
// knows. The result wraps text, which is the error as people should read it.
func (c *Call) SwapError(err, text error, refusals Refusals) error {
	sent := c.sent.Load()
	if !sent || unreachable(err) {
		return &head.NotApplied{Retryable: sent, Err: text}
	}
	code := Code(err)
	status, _ := Response(err)
	retryable, refused := refusals[code]
	if (refused || denied[code]) && 300 <= status && status < 500 {
		return &head.NotApplied{Retryable: retryable, Err: text}
	}
	return text
}

// Current begins every swap: it checks it, and prepares it for a store that
// needs the stored record's token or its unknown fields. Where old has no
// token, it loads the record and returns that in old's place, and next with
// what next could not know of it. Its errors are those of a swap.
func Current(ctx context.Context, heads head.Store, old, next head.Head) (head.Head, head.Head, error) {
	if err := head.CheckSwap(old, next); err != nil {
		return old, next, err
	}
	if err := ctx.Err(); err != nil {
		return old, next, &head.NotApplied{Err: err}
	}
	if !old.Exists() || old.Token() != "" {
		return old, next, nil
	}
	stored, err := heads.Load(ctx, old.AggregateID)
	if err != nil {
		return old, next, &head.NotApplied{Retryable: mayPass(err), Err: err}
	}
	if !stored.SameRecord(old) {
		return old, next, &head.SwapConflict{Winner: &stored}
	}
	next = next.Inherit(stored)
	return stored, next, head.CheckSwap(stored, next)
}

// mayPass reports whether a read that has failed may succeed a little later:
// no answer came, or one that blames the service.
func mayPass(err error) bool {
	var lost *smithyhttp.RequestSendError
	status, _ := Response(err)
	return status >= 500 || status == http.StatusTooManyRequests || errors.As(err, &lost)
}

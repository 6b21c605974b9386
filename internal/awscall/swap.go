package awscall

import (
	"context"
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
// [*head.NotApplied] if nothing of it can have arrived, or if one of the codes
// refuses it under a status below 500. After any other error the outcome is
// unknown, and the error is returned as it is.
func (c *Call) SwapError(err error, refusals Refusals) error {
	sent := c.sent.Load()
	if !sent || unreachable(err) {
		return &head.NotApplied{Retryable: sent, Err: err}
	}
	code := Code(err)
	status, _ := Response(err)
	retryable, refused := refusals[code]
	if (refused || denied[code]) && 300 <= status && status < 500 {
		return &head.NotApplied{Retryable: retryable, Err: err}
	}
	return err
}

// Current begins every swap: it checks it, and prepares it for a store that
// needs the stored record's token or its unknown fields. If old has no token,
// it loads the record and returns that in old's place, and next with what next
// could not know of it. Its errors are errors of the swap.
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

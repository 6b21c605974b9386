// Package swap has the steps of a swap that several backends share.
package swap

import (
	"context"

	"ropewalk/head"
)

// Current begins the swap of a backend that needs the token or the unknown
// fields of the stored record. It checks the swap. If old has no token, it loads
// the record and returns it in place of old, and next with the fields of the
// record that next lacks. Its errors are the errors of a swap; after a load that
// failed, retryable says whether the same swap may succeed a little later.
func Current(ctx context.Context, heads head.Store, old, next head.Head, retryable func(error) bool) (head.Head, head.Head, error) {
	if err := head.CheckSwap(old, next); err != nil {
		return old, next, err
	}
	if err := ctx.Err(); err != nil {
		return old, next, &head.NotAppliedError{Err: err}
	}
	if old.IsZero() || old.Token() != "" {
		return old, next, nil
	}
	stored, err := heads.Load(ctx, old.AggregateID)
	if err != nil {
		return old, next, &head.NotAppliedError{Retryable: retryable(err), Err: err}
	}
	if !stored.SameRecord(old) {
		return old, next, &head.ConflictError{Winner: &stored}
	}
	next = next.Inherit(old, stored)
	return stored, next, head.CheckSwap(stored, next)
}

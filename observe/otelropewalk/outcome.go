package otelropewalk

import (
	"context"
	"errors"

	"ropewalk"
	"ropewalk/feed"
	"ropewalk/head"
)

// The outcomes.
const (
	outcomeCommitted = "committed"
	outcomeSettled   = "settled"
	outcomeConflict  = "conflict"
	outcomeUncertain = "uncertain"
	outcomeDone      = "done"
	outcomeFailed    = "failed"
)

// writes reports whether an operation has an outcome in the chain.
func writes(o ropewalk.OperationName) bool {
	switch o {
	case ropewalk.OperationAppend, ropewalk.OperationCommit, ropewalk.OperationUpdate, ropewalk.OperationSettle, ropewalk.OperationRelay:
		return true
	}
	return false
}

// outcomeOf returns the outcome of an operation. A committed append is settled if the reply
// to one of its swaps did not say so, and the outcome was looked up.
func outcomeOf(o ropewalk.OperationName, err error, c counts) string {
	switch {
	case writes(o) && errors.Is(err, ropewalk.ErrConflict):
		return outcomeConflict
	case writes(o) && errors.Is(err, ropewalk.ErrUncertain):
		return outcomeUncertain
	case err != nil:
		return outcomeFailed
	case !writes(o):
		return outcomeDone
	case o == ropewalk.OperationSettle || c.doubted:
		return outcomeSettled
	case o == ropewalk.OperationUpdate && c.swaps == 0:
		return outcomeDone
	}
	return outcomeCommitted
}

// errorTypes are the values of error.type, the first that matches.
var errorTypes = []struct {
	err  error
	name string
}{
	{ropewalk.ErrConflict, "conflict"},
	{ropewalk.ErrUncertain, "uncertain"},
	{ropewalk.ErrHeadLost, "head_lost"},
	{ropewalk.ErrErased, "erased"},
	{ropewalk.ErrMoved, "moved"},
	{ropewalk.ErrNotFound, "not_found"},
	{ropewalk.ErrInvalidDraft, "invalid"},
	{ropewalk.ErrInvalidAggregateID, "invalid"},
	{ropewalk.ErrTooLarge, "too_large"},
	{ropewalk.ErrUnsupportedFormat, "unsupported_format"},
	{context.DeadlineExceeded, "timeout"},
	{context.Canceled, "canceled"},
}

// errorTypeOf returns the value of error.type, of which there are few; empty without an
// error.
func errorTypeOf(err error) string {
	if err == nil {
		return ""
	}
	if _, ok := errors.AsType[*ropewalk.CorruptError](err); ok {
		return "corrupt"
	}
	if _, ok := errors.AsType[*feed.PanicError](err); ok {
		return "panic"
	}
	if swapConflict(err) {
		return "conflict"
	}
	for _, t := range errorTypes {
		if errors.Is(err, t.err) {
			return t.name
		}
	}
	return "_OTHER"
}

// swapConflict reports whether a swap was refused because the head had changed.
func swapConflict(err error) bool {
	_, one := errors.AsType[*head.ConflictError](err)
	_, several := errors.AsType[*head.ConflictsError](err)
	return one || several
}

// doubtful reports whether the outcome of a swap is unknown after its reply.
func doubtful(err error) bool {
	_, notApplied := errors.AsType[*head.NotAppliedError](err)
	return err != nil && !swapConflict(err) && !notApplied
}

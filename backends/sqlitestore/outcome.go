package sqlitestore

import (
	"errors"

	"ropewalk/head"
)

// refused returns the error of a request that failed and changed nothing.
func refused(err error) error {
	if _, ok := errors.AsType[*head.NotAppliedError](err); ok {
		return err
	}
	return &head.NotAppliedError{Err: err}
}

func isConflict(err error) bool {
	_, one := errors.AsType[*head.ConflictError](err)
	_, several := errors.AsType[*head.ConflictsError](err)
	return one || several
}

func isRetryable(err error) bool {
	refused, ok := errors.AsType[*head.NotAppliedError](err)
	return ok && refused.Retryable
}

// afterCommit returns the outcomes of a batch whose COMMIT failed with err. A
// conflict wrote nothing, so its request may be repeated: it may have met a
// request of the same batch, which perhaps never happened. That helps only if
// a later COMMIT can succeed.
func afterCommit(outcomes []error, err error) []error {
	refused, definite := errors.AsType[*head.NotAppliedError](err)
	for i, outcome := range outcomes {
		switch {
		case isConflict(outcome) && !errors.Is(err, ErrReplaced):
			outcomes[i] = &head.NotAppliedError{Retryable: true, Err: err}
		case definite:
			outcomes[i] = refused
		default:
			outcomes[i] = err
		}
	}
	return outcomes
}

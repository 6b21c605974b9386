// Package cliexit turns an error into what the command ends with: the class of the
// failure, its exit code, and a hint what to do about it.
package cliexit

import (
	"errors"
	"fmt"
)

// Class is a class of failures: the exit code, and the code of --json.
type Class struct {
	Exit int
	Code string
}

// The exit codes are part of the command's contract.
var (
	Failed        = Class{1, "failed"}
	Usage         = Class{2, "usage"}
	BadLine       = Class{2, "bad-line"} // a line of an import
	InvalidID     = Class{2, "invalid-aggregate-id"}
	InvalidDraft  = Class{2, "invalid-draft"}
	TooLarge      = Class{2, "too-large"}
	NotFound      = Class{3, "not-found"}
	NoFeed        = Class{3, "no-feed"}
	Conflict      = Class{4, "conflict"}
	Moved         = Class{4, "moved"}
	OtherHistory  = Class{4, "other-history"}
	FeedReplaced  = Class{4, "feed-replaced"}
	Erased        = Class{4, "erased"}
	Uncertain     = Class{5, "uncertain"}
	Corrupt       = Class{6, "corrupt"}
	Oversized     = Class{6, "stored-too-large"}
	HeadLost      = Class{6, "head-lost"}
	UnknownFormat = Class{6, "unsupported-format"}
	Found         = Class{6, "found"} // verify found a fault
	Storage       = Class{7, "storage"}
	Archived      = Class{7, "archived"}
	CheckFailed   = Class{7, "check-failed"}
	Interrupted   = Class{130, "interrupted"}
	ClosedPipe    = Class{141, "closed-pipe"} // the exit code of a process that SIGPIPE ended
)

// cliError is an error of the command itself. It has a class, a hint, or both.
type cliError struct {
	class *Class // nil if the cause has one
	err   error
	hint  string
}

// Error returns the message of the cause.
func (e *cliError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *cliError) Unwrap() error { return e.err }

// Wrap returns an error of a class. Its message is the cause's.
func Wrap(c Class, err error) error { return &cliError{class: &c, err: err} }

// Usagef returns a formatted error of class [Usage].
func Usagef(format string, args ...any) error { return Wrap(Usage, fmt.Errorf(format, args...)) }

// WithHint adds a hint to an error: what to do about it.
func WithHint(err error, format string, args ...any) error {
	return &cliError{err: err, hint: fmt.Sprintf(format, args...)}
}

// IsOwn reports whether an error comes from the command itself.
func IsOwn(err error) bool { return first(err, func(*cliError) bool { return true }) != nil }

// first returns the outermost error of the command that has what is asked for;
// nil if none has it.
func first(err error, has func(*cliError) bool) *cliError {
	for {
		e, ok := errors.AsType[*cliError](err)
		if !ok || has(e) {
			return e
		}
		err = e.err
	}
}

// OutputError is the error of a write to stdout.
type OutputError struct{ Err error }

// Error returns the message of the cause, after what failed.
func (e *OutputError) Error() string { return "write to stdout: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *OutputError) Unwrap() error { return e.Err }

// IsOutput reports whether a write to stdout has failed.
func IsOutput(err error) bool { return is[*OutputError](err) }

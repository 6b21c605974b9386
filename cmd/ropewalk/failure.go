package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"ropewalk"
	"ropewalk/backends/sqlitestore"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/internal/finding"
)

// class is a kind of failure: the exit code, and the code that --json gives.
type class struct {
	exit int
	code string
}

// The exit codes are part of the command's contract.
var (
	failed        = class{1, "failed"}
	usage         = class{2, "usage"}
	badLine       = class{2, "bad-line"}
	invalidID     = class{2, "invalid-aggregate-id"}
	invalidDraft  = class{2, "invalid-draft"}
	tooLarge      = class{2, "too-large"}
	oversized     = class{6, "stored-too-large"}
	notFound      = class{3, "not-found"}
	conflict      = class{4, "conflict"}
	erased        = class{4, "erased"}
	uncertain     = class{5, "uncertain"}
	corrupt       = class{6, "corrupt"}
	headLost      = class{6, "head-lost"}
	unknownFormat = class{6, "unsupported-format"}
	found         = class{6, "found"} // what verify found
	storage       = class{7, "storage"}
	checkFailed   = class{7, "check-failed"}
	interrupted   = class{130, "interrupted"}
	closedPipe    = class{141, "closed-pipe"} // as a shell reports a process that SIGPIPE ended
)

// problem is an error of the command's own: it adds a hint, or decides the
// class, or both.
type problem struct {
	class *class // nil where the cause decides
	err   error
	hint  string
}

func (p *problem) Error() string { return p.err.Error() }

func (p *problem) Unwrap() error { return p.err }

func usagef(format string, args ...any) error {
	return &problem{class: &usage, err: fmt.Errorf(format, args...)}
}

// withHint adds what to do about an error.
func withHint(err error, format string, args ...any) error {
	return &problem{err: err, hint: fmt.Sprintf(format, args...)}
}

// own returns the first of the command's own problems in an error that decide
// what is asked of it; nil if none does.
func own(err error, decides func(*problem) bool) *problem {
	var p *problem
	for errors.As(err, &p) {
		if decides(p) {
			return p
		}
		err = p.err
	}
	return nil
}

// classify returns the class of an error: the first that it matches. An
// uncertain append comes before all else, since the caller must settle it.
func classify(ctx context.Context, err error) class {
	p := own(err, func(p *problem) bool { return p.class != nil })
	switch {
	case is[*ropewalk.UncertainError](err):
		return uncertain
	case is[*outputError](err) && errors.Is(err, syscall.EPIPE):
		return closedPipe
	case p != nil:
		return *p.class
	case errors.Is(err, context.Canceled):
		return interrupted
	case is[*ropewalk.ConflictError](err):
		return conflict
	case errors.Is(err, ropewalk.ErrErased):
		return erased
	case is[*ropewalk.CorruptError](err):
		return corrupt
	case errors.Is(err, ropewalk.ErrStoredTooLarge):
		return oversized
	case errors.Is(err, ropewalk.ErrHeadLost):
		return headLost
	case errors.Is(err, ropewalk.ErrUnsupportedFormat):
		return unknownFormat
	case ctx.Err() != nil: // in whatever words the storage puts it
		return interrupted
	case unavailable(err):
		return storage
	case errors.Is(err, ropewalk.ErrNotFound):
		return notFound
	case errors.Is(err, ropewalk.ErrInvalidAggregateID):
		return invalidID
	case errors.Is(err, ropewalk.ErrInvalidDraft):
		return invalidDraft
	case errors.Is(err, ropewalk.ErrTooLarge):
		return tooLarge
	default:
		return failed
	}
}

func is[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

// unavailable reports whether an error says that the storage is missing,
// denied, unreachable or busy.
func unavailable(err error) bool {
	return is[*finding.SetupError](err) || is[*net.OpError](err) || silent(err) || denied(err) ||
		errors.Is(err, sqlitestore.ErrBusy) || errors.Is(err, sqlitestore.ErrNotRopewalk) ||
		errors.Is(err, sqlitestore.ErrReplaced) || errors.Is(err, sqlitestore.ErrUnavailable)
}

// denied reports whether the system denied access to the store's file.
func denied(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)
}

// silent reports whether a connection gave no answer in time.
func silent(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// hintFor returns what to do about an error; empty where nothing helps.
func hintFor(err error) string {
	if p := own(err, func(p *problem) bool { return p.hint != "" }); p != nil {
		return p.hint
	}
	var setup *finding.SetupError
	if errors.As(err, &setup) && setup.Hint != "" {
		return setup.Hint
	}
	if u, ok := errors.AsType[*ropewalk.UncertainError](err); ok {
		return "end it for good: " + settleLine(u)
	}
	if c, ok := errors.AsType[*ropewalk.ConflictError](err); ok {
		return conflictHint(c)
	}
	if hint := fileHint(err); hint != "" {
		return hint
	}
	if denied(err) {
		return "check the modes of the file and of its folder, and whether the disk can be written to"
	}
	if errors.Is(err, ropewalk.ErrHeadLost) {
		return "the storage was restored or tampered with: see \"Restored heads\" in DESIGN.md"
	}
	return ""
}

// fileHint returns what to do about a failure of a SQLite file.
func fileHint(err error) string {
	corrupt, isCorrupt := errors.AsType[*ropewalk.CorruptError](err)
	switch {
	case errors.Is(err, sqlitestore.ErrBusy):
		return "another program holds the lock of the file: find out which, or try again later"
	case errors.Is(err, sqlitestore.ErrReplaced):
		return "find out what replaced the file; programs must be stopped before a store is restored"
	case errors.Is(err, syscall.ENOSPC):
		return "free space on the disk; nothing was committed"
	case errors.Is(err, sqlitestore.ErrForeignWAL):
		return "stop every program that uses the store, and remove the two files; ropewalk restore would have moved them"
	case isCorrupt && corrupt.Ref.AggregateID == "" && strings.HasPrefix(corrupt.Object, "sqlite:"):
		return "keep a copy of the file with its -wal and -shm files; ropewalk restore puts a backup in its place"
	default:
		return ""
	}
}

// unavailableHint says what to do about a storage that does not answer, by its
// kind.
func (a *app) unavailableHint(err error) string {
	scheme, _, _ := strings.Cut(a.storeURL(), ":")
	switch {
	case !silent(err):
		return ""
	case scheme == "file":
		return "the file does not answer: another process may hold its lock, or its disk may hang"
	case scheme == "azure":
		return "the storage does not answer: check the account, the endpoint and the network"
	default:
		return "the storage does not answer: check the endpoint, the region and the network"
	}
}

func conflictHint(c *ropewalk.ConflictError) string {
	id := c.Actual.AggregateID
	switch {
	case !c.Actual.Exists():
		return ""
	case c.Settled != changeset.Ref{}:
		return "to append it again: " + ui.Flagged("ropewalk append", idArgument(id), fmt.Sprintf("--after %d", c.Actual.Version))
	case c.Expected.Exists() && c.Expected.Version < c.Actual.Version:
		return "read what is new: ropewalk log " + ui.Operand(fmt.Sprintf("%s@%d..", id, c.Expected.Version+1))
	case c.Expected.Exists() && c.Expected.Version == c.Actual.Version:
		return "read it: ropewalk show " + ui.Operand(fmt.Sprintf("%s@%d", id, c.Actual.Version))
	default:
		return "read it: ropewalk log " + ui.Operand(idArgument(id))
	}
}

// end reports an error, if there is one, and returns the exit code.
func (a *app) end(ctx context.Context, err error) int {
	if err == nil {
		return 0
	}
	c := classify(ctx, err)
	if c == closedPipe {
		return c.exit
	}
	message, hint := a.message(err), a.redacted(cmp.Or(hintFor(err), a.unavailableHint(err)))
	if c == interrupted {
		message = "interrupted"
	}
	a.complain("error:", red, message)
	if hint != "" {
		a.complain("hint:", cyan, hint)
	}
	if a.json {
		// A failure here cannot be reported any further.
		_ = a.emit(newFailureJSON(c, message, hint, err))
	}
	return c.exit
}

// failureJSON is the last line of a failure with --json.
type failureJSON struct {
	V     int       `json:"v"`
	Error errorJSON `json:"error"`
}

type errorJSON struct {
	Code    string `json:"code"`
	Exit    int    `json:"exit"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	// Ref is the changeset that is uncertain, corrupt, or refused by settle.
	Ref string `json:"ref,omitempty"`
	// AfterRevision is the revision that an uncertain append was built on.
	AfterRevision *uint64 `json:"after_revision,omitempty"`
	// Line is the line of the input at which an import has failed.
	Line int64 `json:"line,omitempty"`
	// Object is the corrupt object's name in its storage.
	Object string `json:"object,omitempty"`
	// Expected and Actual are the heads of a conflict, null where there was to be none.
	Expected any `json:"expected,omitempty"`
	Actual   any `json:"actual,omitempty"`
}

func newFailureJSON(c class, message, hint string, err error) failureJSON {
	e := errorJSON{Code: c.code, Exit: c.exit, Message: message, Hint: hint}
	var u *ropewalk.UncertainError
	var bad *ropewalk.CorruptError
	var refused *ropewalk.ConflictError
	if at, ok := errors.AsType[*lineError](err); ok {
		e.Line = at.line
	}
	switch {
	case errors.As(err, &u):
		e.Ref, e.AfterRevision = u.Ref.String(), &u.AfterRevision
	case errors.As(err, &refused) && refused.Settled != changeset.Ref{}:
		e.Ref, e.Actual = refused.Settled.String(), newPointJSON(refused.Actual)
	case errors.As(err, &refused):
		e.Expected, e.Actual = newPointJSON(refused.Expected), newPointJSON(refused.Actual)
	case errors.As(err, &bad):
		e.Object = bad.Object
		if !bad.Ref.ID.IsZero() {
			e.Ref = bad.Ref.String()
		}
	}
	return failureJSON{1, e}
}

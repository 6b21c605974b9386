package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/importer"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
)

// hintFor returns what to do about an error, or nothing.
func hintFor(err error) string { return cliexit.Hint(err, appendHint) }

// appendHint returns what to do about an append that is uncertain or refused.
func appendHint(err error) string {
	if u, ok := errors.AsType[*ropewalk.UncertainError](err); ok {
		return "end it for good: " + settleLines(u)
	}
	if c, ok := errors.AsType[*ropewalk.ConflictError](err); ok {
		return conflictHint(c)
	}
	return ""
}

func conflictHint(c *ropewalk.ConflictError) string {
	id := c.Actual.AggregateID
	switch {
	case c.Settled != changeset.Ref{} && !c.Actual.Exists():
		return "to append it again: " + ui.Flagged("ropewalk append", reference.Argument(id), "--new")
	case !c.Actual.Exists():
		return ""
	case c.Settled != changeset.Ref{}:
		return "to append it again: " + ui.Flagged("ropewalk append", reference.Argument(id), fmt.Sprintf("--after %d", c.Actual.Version))
	case c.Expected.Exists() && c.Expected.Version < c.Actual.Version:
		return "read what is new: ropewalk log " + ui.Operand(fmt.Sprintf("%s@%d..", id, c.Expected.Version+1))
	case c.Expected.Exists() && c.Expected.Version == c.Actual.Version:
		return "read it: ropewalk show " + ui.Operand(fmt.Sprintf("%s@%d", id, c.Actual.Version))
	default:
		return "read it: ropewalk log " + reference.Operand(id)
	}
}

// end reports the error of a command, if it has one, and returns the exit code.
func end(ctx context.Context, std *ui.Streams, storeURL string, err error) int {
	if err == nil {
		return 0
	}
	c := cliexit.Classify(ctx, err)
	if c == cliexit.ClosedPipe {
		return c.Exit
	}
	message, hint := std.Message(err), std.Redacted(cmp.Or(hintFor(err), cliexit.SilentHint(err, storeURL)))
	if c == cliexit.Interrupted {
		message = "interrupted"
	}
	std.ReportError(message, hint)
	if std.JSON {
		// A failure here cannot be reported any further.
		_ = std.Emit(newFailureJSON(c, message, hint, err))
	}
	return c.Exit
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
	// Others are the changesets of the other aggregates of an uncertain commit.
	Others []unsettledJSON `json:"others,omitempty"`
	// Line is the line of the input at which an import failed.
	Line int64 `json:"line,omitempty"`
	// Object is the name of the corrupt object in the storage.
	Object string `json:"object,omitempty"`
	// Expected and Actual are the heads of a conflict. Expected is null if the chain was
	// not to exist.
	Expected any `json:"expected,omitempty"`
	Actual   any `json:"actual,omitempty"`
}

// unsettledJSON is what settle needs to settle an uncertain commit by one of its
// aggregates.
type unsettledJSON struct {
	Ref           string `json:"ref"`
	AfterRevision uint64 `json:"after_revision"`
}

func newFailureJSON(c cliexit.Class, message, hint string, err error) failureJSON {
	e := errorJSON{Code: c.Code, Exit: c.Exit, Message: message, Hint: hint}
	if at, ok := errors.AsType[*importer.LineError](err); ok {
		e.Line = at.Line
	}
	if u, ok := errors.AsType[*ropewalk.UncertainError](err); ok {
		e.Ref, e.AfterRevision = u.Ref.String(), &u.AfterRevision
		for _, o := range u.Others {
			e.Others = append(e.Others, unsettledJSON{o.Ref.String(), o.AfterRevision})
		}
	} else if refused, ok := errors.AsType[*ropewalk.ConflictError](err); ok {
		e.setConflict(refused)
	} else if bad, ok := errors.AsType[*ropewalk.CorruptError](err); ok {
		e.setCorrupt(bad)
	}
	return failureJSON{1, e}
}

func (e *errorJSON) setConflict(refused *ropewalk.ConflictError) {
	e.Actual = newPointJSON(refused.Actual)
	if refused.Settled != (changeset.Ref{}) {
		e.Ref = refused.Settled.String()
		return
	}
	e.Expected = newPointJSON(refused.Expected)
}

func (e *errorJSON) setCorrupt(bad *ropewalk.CorruptError) {
	e.Object = bad.Object
	if !bad.Ref.ID.IsZero() {
		e.Ref = bad.Ref.String()
	}
}

// explainReference adds a hint to the error of something that was not found: another hint if
// the ID looks like a reference.
func explainReference(args []string, err error) error {
	if !errors.Is(err, ropewalk.ErrNotFound) || hintFor(err) != "" {
		return err
	}
	for _, arg := range args {
		r, parsed := reference.Parse(arg)
		if parsed == nil && r.Form == reference.Bare && r.ID == arg && strings.Contains(arg, "@") && strings.Contains(err.Error(), arg) {
			return cliexit.WithHint(err, "%s was taken as an aggregate ID; references to its changesets have the forms %s", ui.Quote(arg), reference.Forms)
		}
	}
	return cliexit.WithHint(err, "ropewalk ls lists the aggregates, and ropewalk log ID the versions of an aggregate")
}

// settleLine returns the command that settles an uncertain append.
func settleLine(ref changeset.Ref, afterRevision uint64) string {
	return ui.Flagged("ropewalk settle", ref.String(), fmt.Sprintf("--after-revision %d", afterRevision))
}

package soak

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"ropewalk/changeset"
)

// Kind is what an operation does.
type Kind string

// The kinds of operations.
const (
	Append Kind = "append"
	Repeat Kind = "repeat" // of a command that was sent before
	Update Kind = "update"
	Batch  Kind = "batch" // an append that does not depend on the latest head
	Read   Kind = "read"
	Erase  Kind = "erase"
)

// Outcome is how an operation ended, as reported to its caller.
type Outcome string

// The outcomes of operations.
const (
	Done    Outcome = "done"    // committed, read, erased
	Refused Outcome = "refused" // another append came first
	Gone    Outcome = "gone"    // the aggregate is erased
	Unknown Outcome = "unknown" // and no later call could find out
	Failed  Outcome = "failed"  // with no effect, now or later
)

// forever is when an operation ends whose effect may come at any time.
const forever = math.MaxInt64

// Operation is one call on a chain, as a client saw it. Contents are unique,
// except in repeated commands, and stand for changesets.
type Operation struct {
	Client       int
	Kind         Kind
	Call, Return int64 // by one clock, in nanoseconds
	Outcome      Outcome
	// Uncertain says that the outcome was reported as uncertain at first.
	Uncertain bool
	// Base is the newest content before an append; "" for none.
	Base string
	// Command is an append's command ID.
	Command string
	// Contents are what an append adds.
	Contents []string
	// Ref is the last changeset of an append, as far as its caller knows it.
	Ref changeset.Ref
	// Settles is what settles an append that is uncertain: its own Ref, except
	// for batches.
	Settles Settles
	// Length is how many changesets the chain had that was read. Seen holds the
	// ones that were read, starting at From.
	Length, From int
	Seen         []string
	// Err is the error that the caller got, for people.
	Err error
}

// Settles is what [ropewalk.Chain.Settle] needs.
type Settles struct {
	Ref           changeset.Ref
	AfterRevision uint64
}

// isWrite reports whether an operation adds to the chain.
func (op *Operation) isWrite() bool { return op.Kind != Read && op.Kind != Erase }

// last returns the last content of an append.
func (op *Operation) last() string { return op.Contents[len(op.Contents)-1] }

// String describes the operation in one line.
func (op *Operation) String() string {
	at := func(t int64) string {
		if t == forever {
			return "…"
		}
		return time.Unix(0, t).UTC().Format("05.000000")
	}
	line := fmt.Sprintf("client %d  %s to %s  %s %s", op.Client, at(op.Call), at(op.Return), op.Kind, op.Outcome)
	switch {
	case op.Kind == Read:
		line += fmt.Sprintf(" %d of %d from %d: %v", len(op.Seen), op.Length, op.From, op.Seen)
	case op.isWrite():
		line += fmt.Sprintf(" %v after %q, command %q, %s", op.Contents, op.Base, op.Command, op.Ref)
	}
	if op.Err != nil {
		line += fmt.Sprintf(" (%v)", op.Err)
	}
	return line
}

// describe lists the operations one by one, in the order of their calls.
func describe(operations []*Operation) string {
	sorted := slices.Clone(operations)
	slices.SortStableFunc(sorted, func(a, b *Operation) int { return cmp.Compare(a.Call, b.Call) })
	var text strings.Builder
	for _, op := range sorted {
		fmt.Fprintln(&text, op)
	}
	return text.String()
}

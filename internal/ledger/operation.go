package ledger

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Kind is what an operation does.
type Kind string

// The kinds of operations.
const (
	Move   Kind = "move"   // several accounts in one commit
	Note   Kind = "note"   // an append of nothing to one account
	Batch  Kind = "batch"  // the same, wherever the account ends
	Read   Kind = "read"   // of one account
	Settle Kind = "settle" // of a move or a note
)

// Outcome is how an operation ended, as reported to its caller.
type Outcome string

// The outcomes of operations.
const (
	Done    Outcome = "done"
	Refused Outcome = "refused"
	Unknown Outcome = "unknown"
	Failed  Outcome = "failed" // with no effect, now or later
)

// forever is when an operation ends whose effect may come at any time.
const forever = math.MaxInt64

// Operation is one call, as a client saw it.
type Operation struct {
	Client       int
	Kind         Kind
	Call, Return int64 // by one clock, in nanoseconds
	Outcome      Outcome
	// Name is the name of a move or a note, also in the operations that settle it.
	Name string
	// Parts are what a move or a note does with each of its accounts.
	Parts []Part
	// Account is the account that was read, or through which a move was settled. Seen are
	// all entries that were read.
	Account int
	Seen    []string
	// Err is the error that the caller got, for people.
	Err string
}

// Part is what a move does with one account.
type Part struct {
	Account int
	// Base is the newest entry before; "" if the account is empty.
	Base string
	// Entry is appended; if it is "", the account must be unchanged.
	Entry string
}

// entry returns the content of a changeset: an amount that a move adds to an account.
func entry(name string, amount int) string { return name + ":" + strconv.Itoa(amount) }

// sum returns the balance of an account.
func sum(entries []string) (total int, err error) {
	for _, e := range entries {
		_, amount, _ := strings.Cut(e, ":")
		n, err := strconv.Atoi(amount)
		if err != nil {
			return 0, fmt.Errorf("entry %q: %w", e, err)
		}
		total += n
	}
	return total, nil
}

func newest(entries []string) string {
	if len(entries) == 0 {
		return ""
	}
	return entries[len(entries)-1]
}

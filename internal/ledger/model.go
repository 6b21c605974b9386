package ledger

import (
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// Linearizable checks that one order of all operations, each at some moment between its
// call and its return, explains all reported outcomes. A move of unknown outcome may have
// happened, at any later time, or not; but never after a Settle has refused it.
func Linearizable(operations []*Operation, timeout time.Duration) porcupine.CheckResult {
	return check(operations, timeout, func(op *Operation) bool { return op.Kind != Read || op.Client == lastReader })
}

// LinearizableReads is [Linearizable] for storage in which the accounts of a move change
// at one moment, so that reads of several accounts agree.
func LinearizableReads(operations []*Operation, timeout time.Duration) porcupine.CheckResult {
	return check(operations, timeout, func(*Operation) bool { return true })
}

// LinearizableAccount checks the operations of one account alone, reads among them.
func LinearizableAccount(operations []*Operation, account int, timeout time.Duration) porcupine.CheckResult {
	var own []*Operation
	for _, op := range operations {
		if projected, ok := op.of(account); ok {
			own = append(own, projected)
		}
	}
	return check(own, timeout, func(*Operation) bool { return true })
}

// of returns what an operation means for one account. Another account may be the cause of
// a refusal, and may show a move earlier.
func (op *Operation) of(account int) (*Operation, bool) {
	if op.Kind == Read {
		return op, op.Account == account
	}
	if op.Outcome == Refused && op.Kind != Settle || op.Outcome == Done && op.Kind == Settle && op.Account != account {
		return nil, false
	}
	projected := *op
	projected.Parts = slices.DeleteFunc(slices.Clone(op.Parts), func(p Part) bool { return p.Account != account })
	return &projected, slices.ContainsFunc(projected.Parts, func(p Part) bool { return p.Entry != "" })
}

func check(operations []*Operation, timeout time.Duration, counts func(*Operation) bool) porcupine.CheckResult {
	var history []porcupine.Operation
	for _, op := range operations {
		if op.Outcome != Failed && counts(op) {
			history = append(history, porcupine.Operation{ClientId: op.Client, Input: op, Call: op.Call, Output: op, Return: op.Return})
		}
	}
	return porcupine.CheckOperationsTimeout(model.ToModel(), history, timeout)
}

// state has a line for each account, with each entry followed by a space, and the names of
// the moves that Settle has refused, which can never come to stand.
type state struct {
	accounts [Accounts]string
	refused  string
}

var model = porcupine.NondeterministicModel{
	Init: func() []any { return []any{opening()} },
	Step: func(before, _, operation any) []any {
		s, op := before.(state), operation.(*Operation)
		switch op.Kind {
		case Read:
			return s.when(slices.Equal(strings.Fields(s.accounts[op.Account]), op.Seen))
		case Settle:
			return s.settle(op)
		default:
			return s.move(op)
		}
	},
}

// opening is the state in which the clients begin.
func opening() (s state) {
	for i := range opened {
		s.accounts[i] = entry(openingName, openingBalance) + " "
	}
	return s
}

func (s state) move(op *Operation) []any {
	fits := op.Kind == Batch || !slices.ContainsFunc(op.Parts, func(p Part) bool {
		return newest(strings.Fields(s.accounts[p.Account])) != p.Base
	})
	can := fits && !strings.Contains(s.refused, " "+op.Name+" ")
	moved := s
	for _, p := range op.Parts {
		if p.Entry != "" {
			moved.accounts[p.Account] += p.Entry + " "
		}
	}
	switch {
	case op.Outcome == Refused:
		return s.when(!fits)
	case op.Outcome == Unknown && can:
		return []any{s, moved}
	case op.Outcome == Unknown:
		return []any{s}
	case can:
		return []any{moved}
	}
	return nil
}

func (s state) settle(op *Operation) []any {
	committed := false
	for _, p := range op.Parts {
		committed = committed || p.Entry != "" && strings.Contains(" "+s.accounts[p.Account], " "+p.Entry+" ")
	}
	if op.Outcome == Done || committed {
		return s.when(op.Outcome == Done && committed)
	}
	if !strings.Contains(s.refused, " "+op.Name+" ") {
		s.refused += " " + op.Name + " "
	}
	return []any{s}
}

// when returns the unchanged state if that explains the operation.
func (s state) when(explained bool) []any {
	if explained {
		return []any{s}
	}
	return nil
}

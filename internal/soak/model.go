package soak

import (
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// Linearizable checks that one order of all operations, each at some moment
// between its call and its return, explains all reported outcomes. An operation of
// unknown outcome may have happened, at any later time, or not. Collections
// are no operations: no client may notice them.
func Linearizable(operations []*Operation, timeout time.Duration) porcupine.CheckResult {
	var history []porcupine.Operation
	for _, op := range operations {
		if op.Outcome != Failed {
			history = append(history, porcupine.Operation{ClientId: op.Client, Input: op, Call: op.Call, Output: op, Return: op.Return})
		}
	}
	return porcupine.CheckOperationsTimeout(model.ToModel(), history, timeout)
}

// state is a chain: its contents, each followed by a space.
type state struct {
	history string
	erased  bool
}

var model = porcupine.NondeterministicModel{
	Init: func() []any { return []any{state{}} },
	Step: func(before, _, operation any) []any {
		s, op := before.(state), operation.(*Operation)
		switch op.Kind {
		case Read:
			return s.read(op)
		case Erase:
			return s.erase(op)
		default:
			return s.append(op)
		}
	},
}

func (s state) read(op *Operation) []any {
	if op.Outcome == Gone {
		return s.when(s.erased)
	}
	contents := strings.Fields(s.history)
	return s.when(!s.erased && len(contents) == op.Length &&
		slices.Equal(contents[op.From:op.From+len(op.Seen)], op.Seen))
}

func (s state) erase(op *Operation) []any {
	erased := state{s.history, true}
	switch {
	case op.Outcome == Unknown && s.history == "":
		return []any{s}
	case op.Outcome == Unknown:
		return []any{s, erased}
	case s.history == "":
		return nil // what does not exist is not erased
	default:
		return []any{erased}
	}
}

func (s state) append(op *Operation) []any {
	extended := state{history: s.history + strings.Join(op.Contents, " ") + " "}
	fits := op.Kind == Batch || s.newest() == op.Base
	switch {
	case s.erased:
		return s.when(op.Outcome == Gone || op.Outcome == Unknown)
	case s.processed(op):
		return s.when(op.Outcome == Done || op.Outcome == Unknown)
	case op.Outcome == Refused:
		return s.when(!fits)
	case !fits:
		return s.when(op.Outcome == Unknown)
	case op.Outcome == Unknown:
		return []any{s, extended}
	default: // Gone, too: it was committed, and erased before its outcome was seen
		return []any{extended}
	}
}

// when returns the unchanged state if that explains the operation.
func (s state) when(explained bool) []any {
	if explained {
		return []any{s}
	}
	return nil
}

func (s state) newest() string {
	contents := strings.Fields(s.history)
	if len(contents) == 0 {
		return ""
	}
	return contents[len(contents)-1]
}

// processed reports whether the chain has an append of the operation's command
// in the operation's place.
func (s state) processed(op *Operation) bool {
	if op.Command == "" {
		return false
	}
	rest := s.history
	if op.Base != "" {
		_, rest, _ = strings.Cut(" "+s.history, " "+op.Base+" ")
	}
	first, _, _ := strings.Cut(rest, " ")
	return strings.HasSuffix(first, "#"+op.Command)
}

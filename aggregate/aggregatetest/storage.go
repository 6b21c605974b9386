package aggregatetest

import (
	"time"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/faults"
)

// Storage is a store in memory for the tests of services, in which requests go
// wrong on demand. It is safe for concurrent use. Its methods are about saves of one
// aggregate; faults of [faults.SwapAll] in Script strike an aggregate.Commit.
type Storage struct {
	// Store is what the code under test uses.
	Store *ropewalk.Store
	// Direct is a store over the same memory in which nothing goes wrong: for
	// what others do in the meantime, and for looking at the outcome.
	Direct *ropewalk.Store
	// Memory holds all objects and heads.
	Memory *memstore.Store
	// Script can make any other request of Store go wrong.
	Script *faults.Script
}

// NewStorage returns an empty storage. Nil options are the store's defaults,
// but that an outcome is looked for only for 100 milliseconds.
func NewStorage(options *ropewalk.Options) *Storage {
	if options == nil {
		options = &ropewalk.Options{SettleTimeout: 100 * time.Millisecond}
	}
	memory, script := memstore.New(), &faults.Script{}
	return &Storage{
		Store:  ropewalk.New(script.Changesets(memory), faults.TwoSteps(script.Heads(memory)), options),
		Direct: ropewalk.New(memory, memory, options),
		Memory: memory,
		Script: script,
	}
}

// BeforeNextSave runs a function right before the next save through Store is
// committed. If the function saves to the same aggregate, through Direct, the
// save through Store meets a conflict.
func (s *Storage) BeforeNextSave(do func()) { s.Script.Next(faults.Swap, faults.Fault{Before: do}) }

// LoseReply lets the next save through Store be committed, and its reply be
// lost. The library looks the outcome up, so that the save succeeds.
func (s *Storage) LoseReply() { s.Script.Next(faults.Swap, faults.Fault{Kind: faults.Lost}) }

// Uncertain lets the next save through Store end in a *ropewalk.UncertainError:
// committed or not, its reply is lost and no head can be loaded, until the
// function that it returns is called.
func (s *Storage) Uncertain(committed bool) (recover func()) {
	kind := faults.Dropped
	if committed {
		kind = faults.Lost
	}
	s.Script.Next(faults.Swap, faults.Fault{Kind: kind, After: func() {
		s.Script.Every(faults.Load, faults.Fault{Kind: faults.Dropped})
	}})
	return func() { s.Script.Every(faults.Load, faults.Fault{}) }
}

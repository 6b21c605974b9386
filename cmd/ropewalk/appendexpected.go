package main

import (
	"context"
	"errors"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/head"
)

// expectation is what an append expects of a chain.
type expectation struct {
	create, any bool
	after       string
	afterGiven  bool
	commandID   string
}

// expectationWords are how the caller says what is expected: in the flags, or in a line.
type expectationWords struct{ create, after, value, anyChain string }

// check refuses an append that does not expect exactly one thing.
func (x expectation) check(words expectationWords) error {
	given := 0
	for _, is := range []bool{x.create, x.any, x.afterGiven} {
		if is {
			given++
		}
	}
	if given != 1 {
		return cliexit.WithHint(cliexit.Usagef("exactly one of %s, %s and %s is required", words.create, words.after, words.anyChain),
			"%s begins a chain, %s continues it, %s appends in any case", words.create, words.value, words.anyChain)
	}
	if x.any && x.commandID != "" {
		return cliexit.WithHint(cliexit.Usagef("%s and --command-id do not go together: after another changeset the content would be stored again", words.anyChain),
			"%s --command-id KEY stores it once, however often it is sent", words.value)
	}
	return nil
}

// head returns the head to append after: the zero Head for a chain that is new.
func (x expectation) head(ctx context.Context, s *store, chain *ropewalk.Chain) (head.Head, error) {
	switch {
	case x.create:
		return head.Head{}, nil
	case x.any:
		h, err := chain.Head(ctx)
		if errors.Is(err, ropewalk.ErrNotFound) {
			err = nil
		}
		return h, err
	default:
		return x.named(ctx, s, chain)
	}
}

// named returns the head that after names. If the chain has another head, it returns
// the conflict at once, unless the append has a command ID: the head may then be the
// result of an earlier try.
func (x expectation) named(ctx context.Context, s *store, chain *ropewalk.Chain) (head.Head, error) {
	r, err := reference.ParseAfter(chain.AggregateID(), x.after)
	if err != nil {
		return head.Head{}, err
	}
	h, err := chain.Head(ctx)
	if errors.Is(err, ropewalk.ErrNotFound) {
		err = cliexit.WithHint(err, "--new begins the chain")
	}
	if err != nil {
		return head.Head{}, err
	}
	if r.Form == reference.Single && r.First == h.Version {
		return h, nil
	}
	named := changeset.Ref{AggregateID: r.ID, Version: r.First}
	if r.Form == reference.Exact {
		l, err := s.locateExact(ctx, r)
		if err != nil || l.ref == h.Ref {
			return h, err
		}
		named = l.ref
	}
	refused := &ropewalk.ConflictError{Expected: head.Head{Ref: named}, Actual: h}
	if x.commandID == "" || r.First >= h.Version {
		return head.Head{}, refused
	}
	expected, err := chain.HeadAt(ctx, r.First)
	if err == nil && !named.ID.IsZero() && expected.ID != named.ID {
		err = refused
	}
	return expected, err
}

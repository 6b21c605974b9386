// Package aggregatetest tests aggregates of package aggregate.
//
// Decisions are tested without storage, in the words of the domain:
//
//	aggregatetest.For(t, orders).
//		Given(Created{"ann"}, LineAdded{"rope", 2}).
//		When(Order.Ship).
//		Then(Shipped{})
//
// [Spec.Golden] pins the stored form of every event, so that a change that
// history does not survive fails a test. A [Storage] holds a store in memory
// for the tests of services, whose next save can be made to meet a conflict,
// to lose its reply, or to stay uncertain.
package aggregatetest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/aggregate"
)

// Spec is an aggregate type under test. A failure ends the test at once.
type Spec[S, E any] struct {
	t     testing.TB
	typ   aggregate.Type[S, E]
	state S
}

// For returns the spec of a type, without history. The type must be one that
// aggregate.New takes.
func For[S, E any](t testing.TB, typ aggregate.Type[S, E]) *Spec[S, E] {
	t.Helper()
	require.NoError(t, typ.Check())
	return &Spec[S, E]{t: t, typ: typ}
}

// Given adds events to the history. They are encoded and decoded first, so
// that the state is made of what storage would keep of them.
func (s *Spec[S, E]) Given(events ...E) *Spec[S, E] {
	s.t.Helper()
	return s.GivenStored(s.stored(events))
}

// GivenStored adds the events of a stored content, such as one of an earlier
// version of the program.
func (s *Spec[S, E]) GivenStored(content []byte) *Spec[S, E] {
	s.t.Helper()
	records, err := s.typ.Decode(content)
	require.NoError(s.t, err)
	next := *s
	for _, record := range records {
		next.state = s.typ.Evolve(next.state, record.Event)
	}
	return &next
}

// stored returns the events as they are stored. It fails, as a Save does, if
// one of them would not come back equal.
func (s *Spec[S, E]) stored(events []E) []byte {
	s.t.Helper()
	var records []aggregate.Recorded[E]
	for _, event := range events {
		records = append(records, aggregate.Recorded[E]{Event: event})
	}
	content, err := s.typ.Encode(records...)
	require.NoError(s.t, err)
	return content
}

// When decides on the state of the history.
func (s *Spec[S, E]) When(decide func(S) ([]E, error)) *Outcome[S, E] {
	events, err := decide(s.state)
	return &Outcome[S, E]{s, events, err}
}

// State returns the state of the history.
func (s *Spec[S, E]) State() S { return s.state }

// Outcome is what became of a decision.
type Outcome[S, E any] struct {
	spec   *Spec[S, E]
	events []E
	err    error
}

// Then requires that exactly these events were decided, and that a Save would
// take them: that each comes back equal from its stored form. Without events,
// Then requires that nothing was decided.
func (o *Outcome[S, E]) Then(events ...E) *Outcome[S, E] {
	t := o.spec.t
	t.Helper()
	require.NoError(t, o.err, "the decision")
	require.Equal(t, append([]E{}, events...), append([]E{}, o.events...), "the events that were decided")
	_, err := o.spec.typ.Decode(o.spec.stored(o.events))
	require.NoError(t, err)
	return o
}

// ThenError requires that the decision was refused with an error that matches
// the target, and without events.
func (o *Outcome[S, E]) ThenError(target error) {
	o.spec.t.Helper()
	require.ErrorIs(o.spec.t, o.err, target, "the decision")
	require.Empty(o.spec.t, o.events, "events beside the error")
}

// State returns the state after what was decided.
func (o *Outcome[S, E]) State() S { return o.spec.typ.Fold(o.spec.state, o.events...) }

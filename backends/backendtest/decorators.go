package backendtest

import (
	"context"
	"reflect"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
)

// TestChangesetDecorator holds a [changeset.Decorator] to its contract: it has
// the optional interfaces of the store that it wraps, no more and no less, and
// each first call reaches that store once. The function must return a new
// decorator of the store.
func TestChangesetDecorator(t *testing.T, decorate func(t testing.TB, inner changeset.Store) changeset.Store) {
	for _, c := range changesetDecoratorChecks {
		t.Run(c.name, func(t *testing.T) { c.run(t, decorate) })
	}
}

// TestHeadDecorator holds a [head.Decorator] to its contract, as
// [TestChangesetDecorator] does.
func TestHeadDecorator(t *testing.T, decorate func(t testing.TB, inner head.Store) head.Store) {
	for _, c := range headDecoratorChecks {
		t.Run(c.name, func(t *testing.T) { c.run(t, decorate) })
	}
}

// decoratorCheck is one demand of the contract of decorators of stores S.
type decoratorCheck[S any] struct {
	name string
	run  func(t testing.TB, decorate func(testing.TB, S) S)
}

var changesetDecoratorChecks = []decoratorCheck[changeset.Store]{
	{"Unwrap: returns the wrapped store", changesetUnwrap},
	{"As: has the optional interfaces of the wrapped store, no more and no less", func(t testing.TB, d func(testing.TB, changeset.Store) changeset.Store) {
		hasWhatItWraps(t, changesetOptions, d)
	}},
	{"Every method reaches the wrapped store", func(t testing.TB, d func(testing.TB, changeset.Store) changeset.Store) {
		reachesWhatItWraps(t, changesetOptions, d)
	}},
}

var headDecoratorChecks = []decoratorCheck[head.Store]{
	{"Unwrap: returns the wrapped store", headUnwrap},
	{"As: has the optional interfaces of the wrapped store, no more and no less", func(t testing.TB, d func(testing.TB, head.Store) head.Store) {
		hasWhatItWraps(t, headOptions, d)
	}},
	{"Every method reaches the wrapped store", func(t testing.TB, d func(testing.TB, head.Store) head.Store) {
		reachesWhatItWraps(t, headOptions, d)
	}},
}

func changesetUnwrap(t testing.TB, decorate func(testing.TB, changeset.Store) changeset.Store) {
	inner := &probe{}
	d, ok := decorate(t, inner).(changeset.Decorator)
	require.True(t, ok, "it is no changeset.Decorator")
	for range 2 {
		require.Same(t, inner, d.Unwrap())
	}
}

func headUnwrap(t testing.TB, decorate func(testing.TB, head.Store) head.Store) {
	inner := &headProbe{}
	d, ok := decorate(t, inner).(head.Decorator)
	require.True(t, ok, "it is no head.Decorator")
	for range 2 {
		require.Same(t, inner, d.Unwrap())
	}
}

// option is one interface of a store S, the one that every store has included.
type option[S any] struct {
	name string
	// alone is a store that has no other optional interface.
	alone S
	has   func(s S) bool
	// calls calls each method that must reach a wrapped store, by its name.
	calls map[string]func(t testing.TB, s S)
	// whole returns a store with all interfaces, and its counts of calls.
	whole func() (S, *calls)
}

// hasWhatItWraps decorates stores that each have one optional interface.
func hasWhatItWraps[S any](t testing.TB, options []option[S], decorate func(testing.TB, S) S) {
	for _, inner := range options {
		decorated := decorate(t, inner.alone)
		for _, o := range options {
			require.Equal(t, o.has(inner.alone), o.has(decorated), "%s, in front of a store with %s", o.name, inner.name)
		}
	}
}

// reachesWhatItWraps calls each method of new decorators.
func reachesWhatItWraps[S any](t testing.TB, options []option[S], decorate func(testing.TB, S) S) {
	for _, o := range options {
		for name, call := range o.calls {
			inner, counted := o.whole()
			call(t, decorate(t, inner))
			require.Equal(t, map[string]int{name: 1}, counted.n)
		}
	}
}

// calls counts calls by the names of their methods.
type calls struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *calls) count(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	c.n[name]++
}

// having describes the optional interface T of stores S.
func having[S, T any](as func(S) (T, bool), whole func() (S, *calls), alone S, methods map[string]func(ctx context.Context, s T) error) option[S] {
	o := option[S]{
		name: reflect.TypeFor[T]().String(), alone: alone, whole: whole,
		has:   func(s S) bool { _, ok := as(s); return ok },
		calls: map[string]func(testing.TB, S){},
	}
	for name, method := range methods {
		o.calls[name] = func(t testing.TB, s S) {
			has, ok := as(s)
			require.True(t, ok, o.name)
			require.NoError(t, method(t.Context(), has), name)
		}
	}
	return o
}

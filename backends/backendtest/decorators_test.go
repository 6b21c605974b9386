package backendtest

import (
	"context"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
	"ropewalk/head"
)

// decoratorBreakage is a decorator that breaks the contract in a way that one
// check must notice.
type decoratorBreakage[S any] struct {
	caughtBy func(testing.TB, func(testing.TB, S) S)
	name     string
	decorate func(inner S) S
}

// intact is a decorator with nothing broken.
type intact struct{ changeset.PassThrough }

type intactHeads struct{ head.PassThrough }

// These stores each break one rule.
type (
	noUnwrap      struct{ changeset.Store }
	noUnwrapHeads struct{ head.Store }
	// claiming has all interfaces, even if the wrapped store has none.
	claiming struct {
		changeset.Store
		changeset.ManyGetter
		changeset.Lister
		changeset.Deleter
		changeset.Locator
	}
	claimingHeads struct {
		head.Store
		head.Refresher
		head.Combined
		head.Locator
	}
	otherInner      struct{ changeset.PassThrough }
	otherInnerHeads struct{ head.PassThrough }
	forgetful       struct{ changeset.PassThrough }
	hasty           struct{ head.PassThrough }
	repeating       struct{ changeset.PassThrough }
)

func (s otherInner) Unwrap() changeset.Store { return &s }

func (s otherInnerHeads) Unwrap() head.Store { return &s }

// GetMany reads one by one.
func (s forgetful) GetMany(ctx context.Context, refs []changeset.Ref, admission changeset.Admission) ([]changeset.Changeset, error) {
	return many(s)(ctx, refs, admission)
}

// Refresh loads.
func (s hasty) Refresh(ctx context.Context, seen head.Head) (head.Head, error) {
	return s.Load(ctx, seen.AggregateID)
}

func (s repeating) Delete(ctx context.Context, ref changeset.Ref) error {
	_ = s.PassThrough.Delete(ctx, ref)
	return s.PassThrough.Delete(ctx, ref)
}

func intactDecorator(inner changeset.Store) changeset.Store {
	return intact{changeset.NewPassThrough(inner)}
}

func intactHeadDecorator(inner head.Store) head.Store {
	return intactHeads{head.NewPassThrough(inner)}
}

var decoratorBreakages = []decoratorBreakage[changeset.Store]{
	{changesetUnwrap, "a wrapper has no Unwrap", func(inner changeset.Store) changeset.Store { return noUnwrap{inner} }},
	{changesetUnwrap, "Unwrap returns another store", func(inner changeset.Store) changeset.Store {
		return otherInner{changeset.NewPassThrough(inner)}
	}},
	{changesetDecoratorChecks[1].run, "a wrapper hides what it wraps", func(inner changeset.Store) changeset.Store { return noUnwrap{inner} }},
	{changesetDecoratorChecks[1].run, "a wrapper claims all interfaces", func(inner changeset.Store) changeset.Store {
		all := intact{changeset.NewPassThrough(inner)}
		return claiming{inner, all, all, all, all}
	}},
	{changesetDecoratorChecks[2].run, "GetMany reads one by one", func(inner changeset.Store) changeset.Store {
		return forgetful{changeset.NewPassThrough(inner)}
	}},
	{changesetDecoratorChecks[2].run, "Delete is sent twice", func(inner changeset.Store) changeset.Store {
		return repeating{changeset.NewPassThrough(inner)}
	}},
}

var headDecoratorBreakages = []decoratorBreakage[head.Store]{
	{headUnwrap, "a wrapper has no Unwrap", func(inner head.Store) head.Store { return noUnwrapHeads{inner} }},
	{headUnwrap, "Unwrap returns another store", func(inner head.Store) head.Store {
		return otherInnerHeads{head.NewPassThrough(inner)}
	}},
	{headDecoratorChecks[1].run, "a wrapper hides what it wraps", func(inner head.Store) head.Store { return noUnwrapHeads{inner} }},
	{headDecoratorChecks[1].run, "a wrapper claims all interfaces", func(inner head.Store) head.Store {
		all := intactHeads{head.NewPassThrough(inner)}
		return claimingHeads{inner, all, all, all}
	}},
	{headDecoratorChecks[2].run, "Refresh loads", func(inner head.Store) head.Store { return hasty{head.NewPassThrough(inner)} }},
}

func TestBrokenDecoratorsAreCaught(t *testing.T) {
	t.Run("changesets", func(t *testing.T) {
		testDecorators(t, changesetDecoratorChecks, intactDecorator, decoratorBreakages)
	})
	t.Run("heads", func(t *testing.T) {
		testDecorators(t, headDecoratorChecks, intactHeadDecorator, headDecoratorBreakages)
	})
}

// testDecorators demands that the checks pass for the intact decorator, that
// each breakage is caught, and that each check catches one.
func testDecorators[S any](t *testing.T, checks []decoratorCheck[S], intact func(S) S, breakages []decoratorBreakage[S]) {
	failure := func(check func(testing.TB, func(testing.TB, S) S), decorate func(S) S) string {
		return outcome(t, func(t testing.TB, _ Harness) {
			check(t, func(_ testing.TB, inner S) S { return decorate(inner) })
		}, Harness{})
	}
	catching := map[uintptr]bool{}
	for _, b := range breakages {
		require.NotEmpty(t, failure(b.caughtBy, b.decorate), b.name)
		catching[reflect.ValueOf(b.caughtBy).Pointer()] = true
	}
	for _, c := range checks {
		require.Empty(t, failure(c.run, intact), c.name)
		require.True(t, catching[reflect.ValueOf(c.run).Pointer()], "nothing shows that this check can fail: %s", c.name)
	}
}

package changeset_test

import (
	"context"
	"errors"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/changeset"
)

// plain has no optional interface, and deleting has one.
type (
	plain    struct{ changeset.Store }
	deleting struct {
		plain
		err error
	}
)

func (d *deleting) Delete(context.Context, changeset.Ref) error { return d.err }

// see wraps a store and implements nothing else, refusing refuses to delete.
type (
	see      struct{ inner changeset.Store }
	refusing struct {
		changeset.PassThrough
		err error
	}
)

func (s see) Put(ctx context.Context, c changeset.Changeset) error { return s.inner.Put(ctx, c) }

func (s see) Get(ctx context.Context, ref changeset.Ref, a changeset.Admission) (changeset.Changeset, error) {
	return s.inner.Get(ctx, ref, a)
}

func (s see) Stat(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
	return s.inner.Stat(ctx, ref)
}

func (s see) Unwrap() changeset.Store { return s.inner }

func (r refusing) Delete(context.Context, changeset.Ref) error { return r.err }

func TestAsReturnsTheOutermostThatImplements(t *testing.T) {
	stored, refused := errors.New("stored"), errors.New("refused")
	inner := &deleting{err: stored}
	through := changeset.NewPassThrough(inner)
	for name, test := range map[string]struct {
		store changeset.Store
		want  error
	}{
		"no decorator":                        {inner, stored},
		"a decorator without the interface":   {see{inner}, stored},
		"a pass-through":                      {through, stored},
		"a decorator with the interface":      {refusing{through, refused}, refused},
		"such a decorator below another":      {see{refusing{through, refused}}, refused},
		"such a decorator below pass-through": {changeset.NewPassThrough(refusing{through, refused}), refused},
	} {
		deleter, ok := changeset.As[changeset.Deleter](test.store)
		require.True(t, ok, name)
		require.Same(t, test.want, deleter.Delete(t.Context(), changeset.Ref{}), name)
	}
}

func TestAsReportsNothingThatTheInnermostStoreLacks(t *testing.T) {
	for name, s := range map[string]changeset.Store{
		"no decorator":                   plain{},
		"a pass-through":                 changeset.NewPassThrough(plain{}),
		"a decorator with the interface": refusing{changeset.NewPassThrough(plain{}), nil},
		"a decorator of a pass-through":  see{changeset.NewPassThrough(plain{})},
	} {
		_, ok := changeset.As[changeset.Deleter](s)
		require.False(t, ok, name)
	}
}

func TestPassThroughFailsWhereTheStoreLacksAnInterface(t *testing.T) {
	through := changeset.NewPassThrough(plain{})
	_, err := through.GetMany(t.Context(), []changeset.Ref{{}}, nil)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorIs(t, through.Delete(t.Context(), changeset.Ref{}), errors.ErrUnsupported)
	require.ErrorIs(t, only(through.Objects(t.Context(), "a")), errors.ErrUnsupported)
	require.ErrorIs(t, only(through.Aggregates(t.Context(), "")), errors.ErrUnsupported)
	require.Empty(t, through.Locate(changeset.Ref{}))
}

// only returns the error of a listing that yields no more than an error.
func only[T any](listing iter.Seq2[T, error]) (err error) {
	for _, err = range listing {
		continue
	}
	return err
}

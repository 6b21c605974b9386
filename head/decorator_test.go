package head_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/head"
)

// plain keeps one head, and has no optional interface.
type plain struct {
	head.Store
	kept head.Head
}

func (p plain) Load(context.Context, string) (head.Head, error) { return p.kept, nil }

type located struct{ plain }

func (located) LocateHead(string) string { return "inner" }

type relocated struct{ head.PassThrough }

func (relocated) LocateHead(string) string { return "outer" }

func TestAsReturnsTheOutermostThatImplements(t *testing.T) {
	through := head.NewPassThrough(located{})
	for want, s := range map[string]head.Store{"inner": through, "outer": head.NewPassThrough(relocated{through})} {
		locator, ok := head.As[head.Locator](s)
		require.True(t, ok)
		require.Equal(t, want, locator.LocateHead("a"))
	}
	_, ok := head.As[head.Locator](relocated{head.NewPassThrough(plain{})})
	require.False(t, ok, "the innermost store lacks it")
}

func TestPassThroughDoesNoHarmWhereTheStoreLacksAnInterface(t *testing.T) {
	kept := head.Head{Revision: 7}
	through := head.NewPassThrough(plain{kept: kept})
	got, err := through.Refresh(t.Context(), head.Head{})
	require.NoError(t, err)
	require.Equal(t, kept, got, "it loads")
	_, err = through.Commit(t.Context(), nil, head.Head{}, kept)
	require.ErrorAs(t, err, new(*head.NotAppliedError))
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.False(t, through.Holds(nil))
	require.Empty(t, through.LocateHead("a"))
}

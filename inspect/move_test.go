package inspect_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/inspect"
	"ropewalk/internal/link"
)

// A head that moves and is rolled forward goes on to refuse appends.
func TestRebuiltHeadsKeepTheirMove(t *testing.T) {
	s := memstore.New()
	h, err := ropewalk.New(s, s, nil).Chain("order").Create(t.Context(), changeset.Draft{Content: []byte("x")})
	require.NoError(t, err)
	moved := link.Move(h, head.Move{To: "s3://acme", Done: true})
	_, err = s.Swap(t.Context(), h, moved)
	require.NoError(t, err)
	built, _, err := link.Extend(link.Stay(moved), "order", []changeset.Draft{{Content: []byte("y")}}, h.UpdatedAt)
	require.NoError(t, err)
	require.NoError(t, s.Put(t.Context(), built[0]))
	in := inspect.New(s, s, nil)
	plan, err := in.Rebuild(t.Context(), "order")
	require.NoError(t, err)
	require.Equal(t, inspect.Behind, plan.Condition)
	now, err := in.Apply(t.Context(), plan, changeset.Ref{})
	require.NoError(t, err)
	require.Equal(t, built[0].Ref, now.Ref)
	require.Equal(t, moved.Move, now.Move)
	require.ErrorIs(t, now.CheckAppendable(), ropewalk.ErrMoved)
}

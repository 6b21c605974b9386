package ropewalk_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
)

// A program needs no other package of the module than the root and a backend.
func TestApplicationsImportTheRootAlone(t *testing.T) {
	db := memstore.New()
	order := ropewalk.New(db, db, nil).Chain("order-1")
	var h ropewalk.Head
	require.Zero(t, h.Len())
	for n := range 3 {
		var err error
		h, err = order.Append(t.Context(), h, ropewalk.Draft{Content: fmt.Append(nil, n)})
		require.NoError(t, err)
		require.EqualValues(t, n+1, h.Len())
	}
	var newest ropewalk.Ref = h.Ref
	r, err := order.Reader(t.Context())
	require.NoError(t, err)
	c, err := r.At(t.Context(), newest.Version)
	require.NoError(t, err)
	require.Equal(t, newest, c.Ref)
	for _, parsed := range []func() (ropewalk.Ref, error){
		func() (ropewalk.Ref, error) { return ropewalk.ParseRef(newest.String()) },
		func() (ropewalk.Ref, error) { return ropewalk.ParseETag("order-1", h.ETag()) },
	} {
		ref, err := parsed()
		require.NoError(t, err)
		require.Equal(t, newest, ref)
	}
}

func TestOutcomesMatchTheirSentinels(t *testing.T) {
	conflict := fmt.Errorf("save: %w", &ropewalk.ConflictError{})
	uncertain := fmt.Errorf("save: %w", &ropewalk.UncertainError{Err: errors.New("no answer")})
	require.ErrorIs(t, conflict, ropewalk.ErrConflict)
	require.NotErrorIs(t, conflict, ropewalk.ErrUncertain)
	require.ErrorIs(t, uncertain, ropewalk.ErrUncertain)
	require.NotErrorIs(t, uncertain, ropewalk.ErrConflict)
}

package meter_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/backendtest"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/meter"
)

func TestCountedStoresHaveWhatTheyWrap(t *testing.T) {
	t.Run("changesets", func(t *testing.T) {
		backendtest.TestChangesetDecorator(t, func(_ testing.TB, inner changeset.Store) changeset.Store {
			return meter.New(0).Changesets(inner)
		})
	})
	t.Run("heads", func(t *testing.T) {
		backendtest.TestHeadDecorator(t, func(_ testing.TB, inner head.Store) head.Store { return meter.New(0).Heads(inner) })
	})
}

// manyStore has a GetMany that finds nothing.
type manyStore struct{ changeset.Store }

func (manyStore) GetMany(context.Context, []changeset.Ref, changeset.Admission) ([]changeset.Changeset, error) {
	return nil, nil
}

func TestReadOfManyIsOneRequest(t *testing.T) {
	m := meter.New(0)
	many, ok := changeset.As[changeset.ManyGetter](m.Changesets(manyStore{}))
	require.True(t, ok)
	_, err := many.GetMany(t.Context(), make([]changeset.Ref, 3), nil)
	require.NoError(t, err)
	_, err = many.GetMany(t.Context(), nil, nil)
	require.NoError(t, err)
	require.Equal(t, meter.Counts{GetMany: 1}, m.Count(), "nothing is no request")
}

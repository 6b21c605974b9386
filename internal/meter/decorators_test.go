package meter_test

import (
	"testing"

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

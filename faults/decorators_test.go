package faults_test

import (
	"testing"

	"ropewalk/backends/backendtest"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
)

func TestScriptedStoresHaveWhatTheyWrap(t *testing.T) {
	t.Run("changesets", func(t *testing.T) {
		backendtest.TestChangesetDecorator(t, func(_ testing.TB, inner changeset.Store) changeset.Store {
			return new(faults.Script).Changesets(inner)
		})
	})
	t.Run("heads", func(t *testing.T) {
		backendtest.TestHeadDecorator(t, func(_ testing.TB, inner head.Store) head.Store { return new(faults.Script).Heads(inner) })
	})
	t.Run("two steps", func(t *testing.T) {
		backendtest.TestHeadDecorator(t, func(_ testing.TB, inner head.Store) head.Store { return faults.TwoSteps(inner) })
	})
}

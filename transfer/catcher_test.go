package transfer

import (
	"testing"

	"ropewalk/backends/backendtest"
	"ropewalk/changeset"
)

func TestCatcherIsADecorator(t *testing.T) {
	backendtest.TestChangesetDecorator(t, func(_ testing.TB, inner changeset.Store) changeset.Store { return newCatcher(inner) })
}

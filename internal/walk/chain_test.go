package walk

import (
	"testing"

	"ropewalk/backends/backendtest"
	"ropewalk/changeset"
)

func TestFinderHasWhatItWraps(t *testing.T) {
	backendtest.TestChangesetDecorator(t, func(_ testing.TB, inner changeset.Store) changeset.Store {
		return finder{changeset.NewPassThrough(inner)}
	})
}

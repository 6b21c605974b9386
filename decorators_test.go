package ropewalk

import (
	"testing"

	"ropewalk/backends/backendtest"
	"ropewalk/changeset"
)

func TestReadCacheHasTheInterfacesOfItsStore(t *testing.T) {
	backendtest.TestChangesetDecorator(t, func(_ testing.TB, inner changeset.Store) changeset.Store {
		return &readCache{PassThrough: changeset.NewPassThrough(inner), read: map[changeset.Ref]changeset.Changeset{}}
	})
}

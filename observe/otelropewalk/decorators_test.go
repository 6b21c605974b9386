package otelropewalk_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/backendtest"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/observe/otelropewalk"
)

func telemetry(t testing.TB) *otelropewalk.Telemetry {
	out, err := otelropewalk.New(nil)
	require.NoError(t, err)
	return out
}

func TestChangesetsHaveTheInterfacesOfTheirStore(t *testing.T) {
	backendtest.TestChangesetDecorator(t, func(t testing.TB, inner changeset.Store) changeset.Store { return telemetry(t).Changesets(inner) })
}

func TestHeadsHaveTheInterfacesOfTheirStore(t *testing.T) {
	backendtest.TestHeadDecorator(t, func(t testing.TB, inner head.Store) head.Store { return telemetry(t).Heads(inner) })
}

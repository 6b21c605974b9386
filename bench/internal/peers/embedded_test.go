package peers_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"ropewalk/bench/internal/peers"
)

// Every peer stores what it is given, in order, and refuses a version twice:
// else it would be measured at less than what it is compared in.
func TestEmbeddedPeers(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) (peers.Embedded, error){
		"sqlite": func(t *testing.T) (peers.Embedded, error) { return peers.OpenRawSQLite(t.Context(), t.TempDir()) },
		"padded sqlite": func(t *testing.T) (peers.Embedded, error) {
			return peers.OpenPaddedSQLite(t.Context(), t.TempDir(), peers.Padding{Key: 1, Event: 2, Version: 3, Log: 4})
		},
		"bolt":      func(t *testing.T) (peers.Embedded, error) { return peers.OpenBolt(t.TempDir(), 1) },
		"jetstream": func(t *testing.T) (peers.Embedded, error) { return peers.OpenJetStream(t.Context(), t.TempDir()) },
	} {
		t.Run(name, func(t *testing.T) {
			store, err := open(t)
			require.NoError(t, err)
			defer func() { require.NoError(t, store.Close()) }()
			fill(t, store)
			for id, want := range map[string]int{"a": 3, "b": 1, "c": 0} {
				n, err := store.Read(t.Context(), id)
				require.NoError(t, err)
				require.Equal(t, want, n, id)
			}
			if name != "jetstream" { // it counts for itself
				require.ErrorIs(t, store.Append(t.Context(), "a", 2, nil), peers.ErrConflict)
				require.ErrorIs(t, store.Append(t.Context(), "a", 4, nil), peers.ErrConflict)
			}
		})
	}
}

func fill(t *testing.T, store peers.Embedded) {
	ctx := context.WithoutCancel(t.Context())
	for version := range uint64(3) {
		require.NoError(t, store.Append(ctx, "a", version, []byte("event")))
	}
	require.NoError(t, store.Append(ctx, "b", 0, []byte("event")))
}

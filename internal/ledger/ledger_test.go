package ledger_test

import (
	"flag"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/internal/ledger"
)

var histories = flag.Int("histories", 100, "how many histories of ledgers there are over memory")

// patience bounds each search for an order.
const patience = 30 * time.Second

// Memory, in virtual time: in every other history the heads of a commit change one after
// the other.
func TestLedgersOverMemory(t *testing.T) {
	n := uint64(*histories)
	if testing.Short() {
		n = 20
	}
	for seed := range n {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			var h *ledger.History
			var err error
			synctest.Test(t, func(t *testing.T) {
				db := memstore.New()
				h, err = ledger.Run(t.Context(), ledger.Place{Changesets: db, Heads: db, Unit: time.Second, Gradual: seed%2 > 0}, seed)
			})
			require.NoError(t, err)
			requireSound(t, h)
		})
	}
}

func requireSound(t *testing.T, h *ledger.History) {
	t.Helper()
	require.True(t, h.Check(patience), "the search for an order took too long")
	require.Empty(t, h.Violations, "%s", h)
}

//go:build integration

package integration_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"ropewalk/internal/ledger"
	"ropewalk/internal/soak"
)

// TestSoakLedgers moves money between aggregates in every storage that swaps several
// heads in one step, and requires every move to stand in all its aggregates or in none.
// In every other history the heads change one after the other.
func TestSoakLedgers(t *testing.T) {
	for _, s := range storagesUnderSoak() {
		if s.name == "s3" || s.name == "azure" {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			n := s.short
			if *soakFull {
				n = s.full
			}
			var histories []*ledger.History
			for first := 0; first < n; first += s.atOnce {
				s.soak(t, func(t *testing.T, p soak.Place) {
					histories = append(histories, liveLedgers(t, p, first, min(s.atOnce, n-first))...)
				})
			}
			outcomes := map[string]int{}
			for _, h := range histories {
				require.True(t, h.Check(time.Minute), "the search for an order took too long")
				require.Empty(t, h.Violations, "%s", h)
				for _, op := range h.Operations {
					outcomes[fmt.Sprint(op.Kind, " ", op.Outcome)]++
				}
			}
			t.Logf("%d histories: %v", len(histories), outcomes)
		})
	}
}

// liveLedgers lives n histories at the same time in one place.
func liveLedgers(t *testing.T, p soak.Place, first, n int) []*ledger.History {
	histories := make([]*ledger.History, n)
	var group errgroup.Group
	for i := range n {
		group.Go(func() (err error) {
			seed := *soakSeed + uint64(first+i)
			histories[i], err = ledger.Run(t.Context(), ledger.Place{Changesets: p.Changesets, Heads: p.Heads, Unit: p.Unit, Gradual: seed%2 > 0}, seed)
			return err
		})
	}
	require.NoError(t, group.Wait())
	return histories
}

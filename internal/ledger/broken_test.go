package ledger_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk/backends/memstore"
	"ropewalk/head"
	"ropewalk/internal/ledger"
)

// broken is a storage whose steps break their contract.
type broken struct {
	*memstore.Store
	swapAll func(ctx context.Context, s *memstore.Store, exchanges []head.Exchange) ([]head.Head, error)
}

func (b broken) SwapAll(ctx context.Context, exchanges []head.Exchange) ([]head.Head, error) {
	return b.swapAll(ctx, b.Store, exchanges)
}

// Each rule of a step, when it is broken, is found by a few histories.
func TestBrokenStepsAreFound(t *testing.T) {
	for name, swapAll := range map[string]func(context.Context, *memstore.Store, []head.Exchange) ([]head.Head, error){
		"one by one": func(ctx context.Context, s *memstore.Store, exchanges []head.Exchange) (heads []head.Head, err error) {
			for _, e := range exchanges {
				h := e.Old
				if !e.Next.IsZero() {
					if h, err = s.Commit(ctx, e.Changesets, e.Old, e.Next); err != nil {
						return nil, err
					}
				}
				heads = append(heads, h)
			}
			return heads, nil
		},
		"unchanged heads are not tested": func(ctx context.Context, s *memstore.Store, exchanges []head.Exchange) (heads []head.Head, err error) {
			var swaps []head.Exchange
			for _, e := range exchanges {
				if !e.Next.IsZero() {
					swaps = append(swaps, e)
				}
			}
			swapped, err := s.SwapAll(ctx, swaps)
			for _, e := range exchanges {
				h := e.Old
				if !e.Next.IsZero() && err == nil {
					h, swapped = swapped[0], swapped[1:]
				}
				heads = append(heads, h)
			}
			return heads, err
		},
		"success is reported as a conflict": func(ctx context.Context, s *memstore.Store, exchanges []head.Exchange) ([]head.Head, error) {
			heads, err := s.SwapAll(ctx, exchanges)
			if err == nil {
				return nil, &head.ConflictsError{Winners: map[string]*head.Head{heads[0].AggregateID: nil}}
			}
			return heads, err
		},
		"a refusal is reported as success": func(ctx context.Context, s *memstore.Store, exchanges []head.Exchange) ([]head.Head, error) {
			heads, err := s.SwapAll(ctx, exchanges)
			if err != nil {
				heads = nil
				for _, e := range exchanges {
					heads = append(heads, e.Next)
				}
			}
			return heads, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			var found []string
			for seed := uint64(0); seed < 400 && len(found) == 0; seed += 2 {
				var h *ledger.History
				synctest.Test(t, func(t *testing.T) {
					db := memstore.New()
					h, _ = ledger.Run(t.Context(), ledger.Place{Changesets: db, Heads: broken{db, swapAll}, Unit: time.Second}, seed)
				})
				h.Check(patience)
				found = h.Violations
			}
			require.NotEmpty(t, found)
			t.Log(found)
		})
	}
}

package names

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/faults"
)

var key = []byte("a secret of the tests")

// TestRacingClaimants: 64 claimants race for three names while replies are lost, requests
// are refused, and steps arrive late. Which requests meet a fault depends on the scheduler as
// well as on the seed, so the races go on until they have met every outcome.
func TestRacingClaimants(t *testing.T) {
	seeds := uint64(12)
	if testing.Short() {
		seeds = 3
	}
	var total Result
	uncertain := 0
	missing := func() bool { return min(total.Claims, total.Releases, total.Swaps, uncertain) == 0 }
	for seed := uint64(0); seed < seeds || missing() && seed < 200; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, doubts := race(t, seed)
				total.Claims += r.Claims
				total.Releases += r.Releases
				total.Swaps += r.Swaps
				uncertain += doubts
			})
		})
	}
	require.False(t, missing(), "%+v, %d uncertain", total, uncertain)
}

func race(t *testing.T, seed uint64) (*Result, int) {
	db, script := memstore.New(), &faults.Script{}
	script.Draw(trouble(rand.New(rand.NewPCG(seed, 0))))
	heads := script.Heads(db)
	if seed%3 > 0 {
		heads = faults.TwoSteps(heads)
	}
	var mu sync.Mutex
	var acknowledged []ropewalk.Ref
	doubts := 0
	var group sync.WaitGroup
	for n := range Rivals {
		options := &ropewalk.Options{Packed: seed%2 > 0, SettleTimeout: 2 * time.Second}
		c := &Claimant{
			Customers: Customers{ropewalk.New(script.Changesets(db), heads, options), key},
			Number:    n, Rand: rand.New(rand.NewPCG(seed, uint64(n)+1)), Settle: n%2 > 0,
			Acknowledged: func(refs []ropewalk.Ref) {
				mu.Lock()
				defer mu.Unlock()
				acknowledged = append(acknowledged, refs...)
			},
		}
		group.Go(func() {
			for range 10 {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				err := c.Do(ctx)
				cancel()
				mu.Lock()
				if _, uncertain := errors.AsType[*ropewalk.UncertainError](err); uncertain {
					doubts++
				}
				mu.Unlock()
				if errors.Is(err, ropewalk.ErrHeadLost) || errors.Is(err, ropewalk.ErrErased) {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	script.Draw(nil)
	time.Sleep(time.Minute) // virtual: what was late has arrived
	script.Release()
	r, err := Prove(t.Context(), Customers{ropewalk.New(db, faults.TwoSteps(db), nil), key}, acknowledged)
	require.NoError(t, err)
	return r, doubts
}

// trouble makes one request in eight fail: before or after it takes effect, late, or without
// a reply.
func trouble(random *rand.Rand) func(faults.Op, int) faults.Fault {
	kinds := []faults.Kind{faults.Dropped, faults.Lost, faults.Late, faults.Refused, faults.HangBefore, faults.HangAfter}
	return func(faults.Op, int) faults.Fault {
		f := faults.Fault{DelayBefore: time.Duration(random.IntN(40)) * time.Millisecond}
		if random.IntN(8) == 0 {
			f.Kind = kinds[random.IntN(len(kinds))]
			f.LateBy = time.Duration(1+random.IntN(20_000)) * time.Millisecond
		}
		return f
	}
}

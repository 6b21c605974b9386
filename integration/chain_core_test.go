//go:build integration

package integration_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/faults"
	"ropewalk/internal/chaintest"
)

// chosen is an append that goes wrong at one request.
type chosen struct {
	situation chaintest.Situation
	step      chaintest.Step
}

func (c chosen) String() string { return fmt.Sprintf("%+v, %s", c.situation, c.step) }

// choose returns each step of an append of one changeset and of one of three,
// in one of n situations, never the same ones; n is 16 at most.
func choose(n int) (all []chosen) {
	for _, size := range []int{1, 3} {
		situations := slices.DeleteFunc(chaintest.Situations(), func(s chaintest.Situation) bool {
			return s.Size != size || s.Combined // no cloud puts and swaps in one step
		})
		for i, step := range situations[0].Steps(unit) {
			for j, situation := range situations {
				if (i+j)%n == 0 {
					all = append(all, chosen{situation, step})
				}
			}
		}
	}
	return all
}

// TestChainOutcomes: with any fault in a request of an append, the outcome
// reported to the caller matches the chain.
func TestChainOutcomes(t *testing.T) {
	t.Parallel()
	overClouds(t, func(t *testing.T, c cloud) {
		place := storage(t, c.open(t), c.over(direct))
		atOnce(t, choose(16), chosen.String, func(t *testing.T, c chosen) {
			chaintest.TestOutcome(t, another(place), c.situation, c.step)
		})
	})
}

// TestChainModel holds chains against slices.
func TestChainModel(t *testing.T) {
	setFlag(t, "rapid.checks", "6")
	setFlag(t, "rapid.steps", "15")
	here := func(t *testing.T, test func(*testing.T)) { test(t) }
	overClouds(t, func(t *testing.T, c cloud) {
		place := storage(t, c.open(t), c.over(direct))
		chaintest.TestModel(t, here, func() chaintest.Storage { return another(place) })
	})
}

// setFlag sets a flag of the test binary for the time of a test.
func setFlag(t *testing.T, name, value string) {
	before := flag.Lookup(name).Value.String()
	require.NoError(t, flag.Set(name, value))
	t.Cleanup(func() { require.NoError(t, flag.Set(name, before)) })
}

const (
	racers   = 6
	perRacer = 12 // operations
)

// TestChainLinearizable lets writers race, while nothing goes wrong: then every
// operation has an outcome.
func TestChainLinearizable(t *testing.T) {
	overClouds(t, func(t *testing.T, c cloud) {
		place := storage(t, c.open(t), c.over(direct))
		place.Unit = time.Minute
		operations := race(t, place, &faults.Script{}, 1, time.Minute)
		require.Len(t, operations, racers*perRacer)
		for _, op := range operations {
			require.NotEqual(t, chaintest.Unknown, op.Outcome)
		}
		chaintest.RequireLinearizable(t, operations)
	})
}

// TestChainLinearizableUnderFaults does so while one request in four goes wrong.
func TestChainLinearizableUnderFaults(t *testing.T) {
	t.Parallel()
	overClouds(t, func(t *testing.T, c cloud) {
		place := storage(t, c.open(t), c.over(direct))
		atOnce(t, []uint64{1, 2, 3}, func(seed uint64) string { return fmt.Sprint(seed) }, func(t *testing.T, seed uint64) {
			operations := race(t, another(place), randomFaults(seed), seed, unit)
			time.Sleep(maxLate) // what is late arrives before the place is removed
			chaintest.RequireLinearizable(t, operations)
		})
	})
}

// race lets clients of one chain race. With even seeds, every second client makes it a
// packed chain.
func race(t *testing.T, s chaintest.Storage, script *faults.Script, seed uint64, timeout time.Duration) []chaintest.Operation {
	var clients []*chaintest.Client
	for n := range racers {
		s.Mine = ropewalk.Options{Packed: seed%2 == 0 && n%2 > 0, TipSize: 700}
		clients = append(clients, &chaintest.Client{
			Chain: s.Faulty(script, true), Number: n, Timeout: timeout,
			Rand: rand.New(rand.NewPCG(seed, uint64(n)+2)),
		})
	}
	return chaintest.Race(t, clients, perRacer)
}

// maxLate is how late a late request is at most.
const maxLate = 10 * unit

// randomFaults lets one request in four go wrong, and delays others a little.
func randomFaults(seed uint64) *faults.Script {
	var script faults.Script
	random := rand.New(rand.NewPCG(seed, 1))
	kinds := []faults.Kind{faults.Dropped, faults.Lost, faults.Late, faults.Refused, faults.HangBefore, faults.HangAfter}
	script.Draw(func(faults.Op, int) faults.Fault {
		f := faults.Fault{
			DelayBefore: time.Duration(random.Int64N(int64(unit / 25))),
			DelayAfter:  time.Duration(random.Int64N(int64(unit / 25))),
		}
		if random.IntN(4) == 0 {
			f.Kind = kinds[random.IntN(len(kinds))]
			f.Retryable = random.IntN(2) == 0
			f.LateBy = time.Millisecond + time.Duration(random.Int64N(int64(maxLate)))
		}
		return f
	})
	return &script
}

package ropewalk_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"ropewalk/faults"
	"ropewalk/internal/chaintest"
)

// Many writers race over memory, while one request in four goes wrong.
func TestLinearizableUnderFaults(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			var operations []chaintest.Operation
			synctest.Test(t, func(t *testing.T) {
				operations = raceUnderFaults(t, seed)
			})
			chaintest.RequireLinearizable(t, operations)
		})
	}
}

func raceUnderFaults(t *testing.T, seed uint64) []chaintest.Operation {
	s, script := inMemory(), &faults.Script{}
	random := rand.New(rand.NewPCG(seed, 1))
	kinds := []faults.Kind{faults.Dropped, faults.Lost, faults.Late, faults.Refused, faults.HangBefore, faults.HangAfter}
	script.Draw(func(faults.Op, int) faults.Fault {
		f := faults.Fault{
			DelayBefore: time.Duration(random.IntN(40)) * time.Millisecond,
			DelayAfter:  time.Duration(random.IntN(40)) * time.Millisecond,
		}
		if random.IntN(4) == 0 {
			f.Kind = kinds[random.IntN(len(kinds))]
			f.Retryable = random.IntN(2) == 0
			f.LateBy = time.Duration(1+random.IntN(20_000)) * time.Millisecond
		}
		return f
	})
	var clients []*chaintest.Client
	for n := range 5 {
		clients = append(clients, &chaintest.Client{
			Chain: s.Faulty(script, seed%3 > 0), Number: n, Timeout: time.Second,
			Rand: rand.New(rand.NewPCG(seed, uint64(n)+2)),
		})
	}
	operations := chaintest.Race(t, clients, 12)
	time.Sleep(time.Minute) // virtual: what was late has arrived
	return operations
}

// The check itself must be able to fail.
func TestLinearizabilityIsCheckedInEarnest(t *testing.T) {
	ok := chaintest.Operation{Call: 1, Return: 2, Content: "a", Outcome: chaintest.OK}
	lost := chaintest.Operation{Client: 1, Call: 3, Return: 4, Read: true, Outcome: chaintest.OK}
	twice := chaintest.Operation{Client: 1, Call: 3, Return: 4, Content: "b", Outcome: chaintest.OK}
	unfounded := chaintest.Operation{Client: 1, Call: 3, Return: 4, After: "a", Content: "b", Outcome: chaintest.Refused}
	require.Equal(t, porcupine.Ok, chaintest.Linearizable([]chaintest.Operation{ok}))
	for _, bad := range []chaintest.Operation{lost, twice, unfounded} {
		require.Equal(t, porcupine.Illegal, chaintest.Linearizable([]chaintest.Operation{ok, bad}))
	}
}

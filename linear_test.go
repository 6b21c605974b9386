package ropewalk_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/faults"
	"ropewalk/internal/chaintest"
)

// Many writers race over memory, some with an appender, while one request in
// four goes wrong, writers settle their uncertain appends, and a bystander
// settles any changeset that is stored.
func TestLinearizableUnderFaults(t *testing.T) {
	for seed := range seeds(60) {
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

// raceFormats are the options of the clients of a race: in half of the races the chain is
// packed, by clients with different tips, or by some of the clients.
var raceFormats = [][]ropewalk.Options{
	{{}},
	{{Packed: true, TipSize: 64 << 10}},
	{{}},
	{{Packed: true, TipSize: 700}, {}, {Packed: true, TipSize: -1}},
}

// raceUnderFaults lets many or few clients race. Few leave uncertain appends
// with a head that has not moved, so that a late swap could still commit them.
func raceUnderFaults(t *testing.T, seed uint64) []chaintest.Operation {
	s, script, writers := inMemory(), &faults.Script{}, 5
	if seed%2 == 0 {
		s.Unit, writers = 30*time.Millisecond, 2
	}
	script.Draw(faultsAtRandom(rand.New(rand.NewPCG(seed, 1))))
	var chains []*ropewalk.Chain
	for _, o := range raceFormats[seed/6%uint64(len(raceFormats))] {
		s.Mine = o
		chains = append(chains, s.Faulty(script, seed%3 > 0))
	}
	chain := chains[0]
	appender := chain.NewAppender(nil)
	var clients []*chaintest.Client
	for n := range writers {
		clients = append(clients, &chaintest.Client{
			Chain: chains[n%len(chains)], Number: n, Timeout: time.Second,
			Rand: rand.New(rand.NewPCG(seed, uint64(n)+2)),
		})
		if n%2 == 1 {
			clients[n].Appender = appender
		}
	}
	clients = append(clients, &chaintest.Client{
		Chain: chain, Number: writers, Timeout: time.Second, Objects: s.Changesets.(chaintest.Objects),
		Rand: rand.New(rand.NewPCG(seed, 99)),
	})
	operations := chaintest.Race(t, clients, 12)
	script.Draw(nil)
	time.Sleep(time.Minute) // virtual: what was late has arrived
	script.Release()
	return append(operations, lastRead(t, s))
}

// lastRead is one more operation: a read when everything has arrived.
func lastRead(t *testing.T, s chaintest.Storage) chaintest.Operation {
	reader := chaintest.Client{Chain: s.Direct(), Number: -1, Timeout: time.Second}
	op, err := reader.ReadAll(t.Context())
	require.NoError(t, err)
	return op
}

func faultsAtRandom(random *rand.Rand) func(faults.Op, int) faults.Fault {
	kinds := []faults.Kind{faults.Dropped, faults.Lost, faults.Late, faults.Refused, faults.HangBefore, faults.HangAfter}
	return func(faults.Op, int) faults.Fault {
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
	}
}

// The check itself must be able to fail.
func TestLinearizabilityIsCheckedInEarnest(t *testing.T) {
	ok := chaintest.Operation{Call: 1, Return: 2, Kind: chaintest.Append, ID: "a", Outcome: chaintest.OK}
	unknown := chaintest.Operation{Call: 1, Return: math.MaxInt64, Kind: chaintest.Append, ID: "a", Outcome: chaintest.Unknown}
	later := func(op chaintest.Operation) chaintest.Operation {
		op.Client, op.Call, op.Return = 1, 3, 4
		return op
	}
	empty := later(chaintest.Operation{Kind: chaintest.Read, Outcome: chaintest.OK})
	twice := later(chaintest.Operation{Kind: chaintest.Append, ID: "b", Outcome: chaintest.OK})
	unfounded := later(chaintest.Operation{Kind: chaintest.Append, After: "a", ID: "b", Outcome: chaintest.Refused})
	refused := later(chaintest.Operation{Kind: chaintest.Settle, ID: "a", Outcome: chaintest.Refused})
	committed := later(chaintest.Operation{Kind: chaintest.Settle, ID: "a", Outcome: chaintest.OK})
	late := chaintest.Operation{Client: 2, Call: 5, Return: 6, Kind: chaintest.Read, History: []string{"a"}, Outcome: chaintest.OK}
	for _, good := range [][]chaintest.Operation{{ok}, {ok, committed}, {unknown, refused}, {unknown, committed, late}, {unknown, late}} {
		require.Equal(t, porcupine.Ok, chaintest.Linearizable(good))
	}
	for _, bad := range [][]chaintest.Operation{
		{ok, empty}, {ok, twice}, {ok, unfounded}, {ok, refused}, {committed}, {unknown, refused, late}, {unknown, refused, {Client: 2, Call: 5, Return: 6, Kind: chaintest.Settle, ID: "a", Outcome: chaintest.OK}},
	} {
		require.Equal(t, porcupine.Illegal, chaintest.Linearizable(bad))
	}
}

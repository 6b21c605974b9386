package ropewalk_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"ropewalk/backends/memstore"
	"ropewalk/internal/chaintest"
)

// contextFor returns a context that ends soon enough for a request that hangs.
func contextFor(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), time.Minute)
}

// seeds returns how many of n seeds a test draws: with -short a fifth.
func seeds(n uint64) uint64 {
	if testing.Short() {
		return n / 5
	}
	return n
}

// sampled reports whether a test of all cases runs this case: with -short, each fourth.
func sampled(number int) bool { return !testing.Short() || number%4 == 0 }

func newWorld(t *testing.T, s chaintest.Situation) *chaintest.World {
	return chaintest.NewWorld(t, inMemory(), s)
}

// db returns the memory that a world is in.
func db(w *chaintest.World) *memstore.Store { return w.Storage.Heads.(*memstore.Store) }

// bubble runs a test in virtual time, and lets a failure of rapid's, which is
// a panic, pass the bubble's wall.
func bubble(t *testing.T, test func(*testing.T)) {
	var failure any
	synctest.Test(t, func(t *testing.T) {
		defer func() { failure = recover() }()
		test(t)
	})
	if failure != nil {
		panic(failure)
	}
}

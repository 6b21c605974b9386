package otelropewalk

import (
	"context"
	"sync"
)

// tally counts the requests of one operation, and of the operations within it.
type tally struct {
	within *tally // the operation around it; nil without it

	mu       sync.Mutex
	requests int
	rounds   int
	flying   int  // requests under way
	swaps    int  // requests that can commit
	doubted  bool // a swap had no answer that says its outcome
}

type tallyKey struct{}

// withTally returns a context whose requests count for a new tally.
func withTally(ctx context.Context) (context.Context, *tally) {
	t := &tally{within: tallyOf(ctx)}
	return context.WithValue(ctx, tallyKey{}, t), t
}

func tallyOf(ctx context.Context) *tally {
	t, _ := ctx.Value(tallyKey{}).(*tally)
	return t
}

// begin counts a request. It begins a round if no other request is under way.
func (t *tally) begin(swap bool) {
	for ; t != nil; t = t.within {
		t.mu.Lock()
		t.requests++
		if t.flying++; t.flying == 1 {
			t.rounds++
		}
		if swap {
			t.swaps++
		}
		t.mu.Unlock()
	}
}

func (t *tally) end(doubted bool) {
	for ; t != nil; t = t.within {
		t.mu.Lock()
		t.flying--
		t.doubted = t.doubted || doubted
		t.mu.Unlock()
	}
}

// counts are what a tally has counted so far.
type counts struct {
	requests, rounds, swaps int
	doubted                 bool
}

func (t *tally) counts() counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	return counts{t.requests, t.rounds, t.swaps, t.doubted}
}

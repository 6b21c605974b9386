// Package meter counts the requests that pass the two interfaces and gives each of
// them the same latency, so that a test can state exactly how many requests an
// operation makes and, under testing/synctest, how many round trips it takes:
// the virtual time that it took, divided by the latency.
package meter

import (
	"context"
	"sync/atomic"
	"time"

	"ropewalk/changeset"
	"ropewalk/head"
)

// Counts are numbers of requests by operation. List counts listings of heads,
// tags, objects and aggregates alike, and scans, each as one request. Log counts the pages of
// logs, and the looks at their ends; Hints counts the pages of sources. The request
// that finds no further page counts, too.
type Counts struct{ Put, Get, Stat, Load, Swap, Commit, List, Delete, GetMany, Log, Hints, SwapAll int }

type operation int

const (
	put operation = iota
	get
	stat
	load
	swap
	commit
	list
	del
	getMany
	log
	hints
	swapAll
	operations
)

// Meter counts the requests of all stores that it wraps. It is safe for
// concurrent use, and holds no lock while a request is under way.
type Meter struct {
	latency time.Duration
	counts  [operations]atomic.Int64
}

// New returns a meter that lets every request wait for the latency before it
// reaches the store; 0 only counts.
func New(latency time.Duration) *Meter { return &Meter{latency: latency} }

// Count returns the numbers of requests since the meter was made or reset.
func (m *Meter) Count() Counts {
	n := func(op operation) int { return int(m.counts[op].Load()) }
	return Counts{n(put), n(get), n(stat), n(load), n(swap), n(commit), n(list), n(del), n(getMany), n(log), n(hints), n(swapAll)}
}

// Requests returns the number of all requests since the meter was made or reset.
func (m *Meter) Requests() int {
	total := 0
	for i := range m.counts {
		total += int(m.counts[i].Load())
	}
	return total
}

// Reset sets all counts to 0.
func (m *Meter) Reset() {
	for i := range m.counts {
		m.counts[i].Store(0)
	}
}

// Changesets returns a [changeset.Decorator] of the store that counts.
func (m *Meter) Changesets(inner changeset.Store) changeset.Store {
	return changesets{changeset.NewPassThrough(inner), m}
}

// Heads returns a [head.Decorator] of the store that counts. If the store is a
// [head.Combined], the result holds the changesets that the same meter counts in
// front of a store that the inner store holds.
func (m *Meter) Heads(inner head.Store) head.Store {
	return heads{head.NewPassThrough(inner), m}
}

// request counts one request and waits for the latency; a request whose
// context ends on the way counts, but does not reach the store. If the context
// has ended already the store sends nothing, which is for the store to report.
func (m *Meter) request(ctx context.Context, op operation) error {
	if ctx.Err() != nil {
		return nil
	}
	m.counts[op].Add(1)
	if m.latency == 0 {
		return nil
	}
	timer := time.NewTimer(m.latency)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

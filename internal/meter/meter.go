// Package meter counts the requests that pass the two seams and gives each of
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
// objects and aggregates alike, each as one request.
type Counts struct{ Put, Get, Stat, Load, Swap, Commit, List, Delete, GetMany int }

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
	return Counts{n(put), n(get), n(stat), n(load), n(swap), n(commit), n(list), n(del), n(getMany)}
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

// Changesets returns the store wrapped in the meter. The result is also a
// [changeset.ManyGetter], [changeset.Lister], [changeset.Deleter] and
// [changeset.Locator]; where the inner store is not, it answers with
// errors.ErrUnsupported, and no location.
func (m *Meter) Changesets(inner changeset.Store) changeset.Store { return changesets{m, inner} }

// Heads returns the store wrapped in the meter. The result is a [head.Combined]
// where the inner store is one; it holds the changesets that the same meter
// wraps around a store which the inner one holds. It is a [head.Refresher] and a
// [head.Locator] too: it loads, and has no location, where the inner store is not.
func (m *Meter) Heads(inner head.Store) head.Store {
	if c, ok := inner.(head.Combined); ok {
		return combined{heads{m, inner}, c}
	}
	return heads{m, inner}
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

// Package hedge cuts the slow tail of a storage's latencies: a request that
// takes longer than 95 of 100 did lately is sent a second time, and the first
// good answer counts. It stands before any [changeset.Store]:
//
//	store := ropewalk.New(hedge.New(objects, nil), heads, nil)
//
// A read of many changesets waits for the slowest of its requests, so that a
// tail of one in a hundred is what most reads meet. A second request costs what
// a request costs: one in twenty is sent twice, and never more than one in ten,
// by default.
//
// Get and Stat are hedged, since changesets never change; and Put, since each
// is put under an ID that is used once, create-only, so that it may be
// repeated. Swaps of heads never are: package hedge knows nothing of heads.
package hedge

import (
	"cmp"
	"context"
	"sync/atomic"
	"time"

	"ropewalk/changeset"
	"ropewalk/internal/admission"
)

// Options are the settings of a [Store]. Zero values stand for the defaults.
type Options struct {
	// Share is the largest share of requests that are sent a second time, from
	// 0 to 1; 0.1 by default, which is twice what a storage needs whose latencies
	// do not change. It is saved up for bursts of at most 10.
	Share float64
	// Floor is the least time after which a second request is sent; 5
	// milliseconds by default.
	Floor time.Duration
	// MinSamples is how many requests of the same kind must have been answered
	// before one is sent a second time; 100 by default, at most 512 count.
	MinSamples int
}

// Stats are numbers since a store was made.
type Stats struct {
	// Requests counts the calls of Get, Stat and Put.
	Requests int64
	// Hedged counts the requests that were sent a second time.
	Hedged int64
	// Won counts those that the second request has answered.
	Won int64
}

// Store is a [changeset.Decorator] that hedges the requests to the store that it
// wraps. It has the optional interfaces of that store, and does not hedge their
// requests. It is safe for concurrent use and needs no closing: no call returns
// before all that it has sent has ended.
type Store struct {
	changeset.PassThrough
	get, stat, put latencies
	allowance      allowance

	requests, hedged, won atomic.Int64
}

var _ changeset.Decorator = (*Store)(nil)

func (o *Options) withDefaults() Options {
	out := *cmp.Or(o, &Options{})
	out.Share = cmp.Or(max(out.Share, 0), 0.1)
	out.Floor = cmp.Or(max(out.Floor, 0), 5*time.Millisecond)
	out.MinSamples = cmp.Or(max(out.MinSamples, 0), 100)
	return out
}

// New returns a store that hedges the requests to inner. Nil options stand for
// the defaults.
func New(inner changeset.Store, options *Options) *Store {
	o := options.withDefaults()
	l := func() latencies { return latencies{floor: o.Floor, least: min(o.MinSamples, window)} }
	return &Store{PassThrough: changeset.NewPassThrough(inner), get: l(), stat: l(), put: l(), allowance: allowance{share: min(o.Share, 1)}}
}

// Stats returns how often requests were sent a second time.
func (s *Store) Stats() Stats {
	return Stats{Requests: s.requests.Load(), Hedged: s.hedged.Load(), Won: s.won.Load()}
}

// Get returns the changeset by one request, or by the faster of two. The
// admission is asked once.
func (s *Store) Get(ctx context.Context, ref changeset.Ref, admit changeset.Admission) (changeset.Changeset, error) {
	once, refused := admission.Once(admit)
	return send(ctx, s, &s.get, refused, func(ctx context.Context) (changeset.Changeset, error) {
		return s.PassThrough.Get(ctx, ref, once)
	})
}

// Stat returns the header by one request, or by the faster of two.
func (s *Store) Stat(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
	return send(ctx, s, &s.stat, never, func(ctx context.Context) (changeset.Info, error) {
		return s.PassThrough.Stat(ctx, ref)
	})
}

// Put stores the changeset by one request, or by the faster of two.
func (s *Store) Put(ctx context.Context, c changeset.Changeset) error {
	_, err := send(ctx, s, &s.put, never, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.PassThrough.Put(ctx, c)
	})
	return err
}

func never() bool { return false }

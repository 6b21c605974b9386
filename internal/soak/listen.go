package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"ropewalk"
	"ropewalk/faults"
	"ropewalk/feed"
	"ropewalk/head"
	"ropewalk/internal/reserved"
)

// relays is how many relays run beside the histories of a place.
const relays = 2

// listeners are the relays, a follower and a subscriber that work beside the
// histories of one place, under faults of their own, and are killed now and then.
type listeners struct {
	place  Place
	heads  head.Store
	seed   uint64
	script *faults.Script
	store  *ropewalk.Store // under faults
	direct *feed.Feed      // without

	working sync.WaitGroup
	stop    context.CancelFunc

	mu         sync.Mutex
	violations []string
}

// unlogged hides that a storage writes a log, and its other optional interfaces: its
// feed is a chain.
type unlogged struct{ head.Store }

// listen starts the listeners. In every second place that writes a log, the feed is
// a chain all the same.
func listen(ctx context.Context, place Place, seed uint64) *listeners {
	l := &listeners{place: place, heads: place.Heads, seed: seed, script: &faults.Script{}}
	if _, logs := head.As[head.Log](place.Heads); logs && seed%20 > 10 {
		l.heads = unlogged{place.Heads}
	}
	options := &ropewalk.Options{SettleTimeout: place.Unit, Packed: seed/10%2 == 0}
	l.store = ropewalk.New(l.script.Changesets(place.Changesets), l.script.Heads(l.heads), options)
	l.direct = feed.Open(ropewalk.New(place.Changesets, l.heads, nil), l.options())
	l.script.Draw(newTrouble(seed, place.Unit).fault)
	ctx, l.stop = context.WithCancel(ctx)
	for n := range relays {
		random := rand.New(rand.NewPCG(seed, uint64(n)+100))
		l.working.Go(func() { l.again(ctx, random, l.relay) })
	}
	var at feed.Position
	l.working.Go(func() {
		l.again(ctx, rand.New(rand.NewPCG(seed, 200)), func(ctx context.Context) { at = l.follow(ctx, at) })
	})
	d := &delivered{versions: map[string]uint64{}}
	l.working.Go(func() {
		l.again(ctx, rand.New(rand.NewPCG(seed, 201)), func(ctx context.Context) { l.subscribe(ctx, d) })
	})
	return l
}

// name returns the name of the subscription: a place may be used again, with another
// kind of feed.
func (l *listeners) name() string { return fmt.Sprintf("soak-%d", l.seed) }

func (l *listeners) options() *feed.Options { return &feed.Options{Poll: l.place.Unit / 8} }

// again lives many lives, each ended without notice.
func (l *listeners) again(ctx context.Context, random *rand.Rand, live func(context.Context)) {
	for ctx.Err() == nil {
		life, end := context.WithTimeout(ctx, time.Duration(random.Int64N(int64(20*l.place.Unit))))
		live(life)
		end()
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(random.Int64N(int64(l.place.Unit)))):
		}
	}
}

func (l *listeners) relay(ctx context.Context) {
	r := feed.Open(l.store, l.options()).Relay(&feed.RelayOptions{ListEvery: l.place.Unit, BatchEvery: l.place.Unit / 10})
	_ = r.Run(ctx)
}

// follow follows from a position, and returns how far it came.
func (l *listeners) follow(ctx context.Context, at feed.Position) feed.Position {
	for c, err := range feed.Open(l.store, l.options()).Follow(ctx, at) {
		if err != nil {
			l.unexpected(ctx, "follow", err)
			return at
		}
		if order, comparable := at.Compare(c.Position); order >= 0 || !comparable {
			l.violated("position %s comes after %s", c.Position, at)
		}
		at = c.Position
	}
	return at
}

// delivered is what a subscription has delivered: the version that each aggregate
// must continue with at the latest.
type delivered struct{ versions map[string]uint64 }

// take notes a change. A change may come again; none may be missing before it.
func (d *delivered) take(c feed.Change) error {
	next := d.versions[c.AggregateID]
	if c.Version > next && !c.Erased {
		return fmt.Errorf("%s was delivered, and version %d is next", c.Ref, next)
	}
	d.versions[c.AggregateID] = max(next, c.Version+1)
	return nil
}

func (l *listeners) subscribe(ctx context.Context, d *delivered) {
	s := feed.Open(l.store, l.options()).Subscription(l.name(), &feed.SubscriptionOptions{
		SaveEvery: l.place.Unit, Standby: l.place.Unit, Grace: l.place.Unit / 10, RetryPause: l.place.Unit,
	})
	err := s.Run(ctx, func(_ context.Context, c feed.Change) error {
		if err := d.take(c); err != nil {
			l.violated("%v", err)
		}
		return nil
	})
	l.unexpected(ctx, "subscribe", err)
}

// unexpected notes an error that faults do not explain.
func (l *listeners) unexpected(ctx context.Context, what string, err error) {
	_, corrupt := errors.AsType[*ropewalk.CorruptError](err)
	if corrupt || errors.Is(err, feed.ErrOtherHistory) || errors.Is(err, feed.ErrFeedReplaced) || errors.Is(err, ropewalk.ErrHeadLost) {
		l.violated("%s: %v", what, err)
	}
}

func (l *listeners) violated(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.violations = append(l.violations, "feed: "+fmt.Sprintf(format, args...))
}

// finish ends the listeners. It then feeds what is left, and holds the feed and the
// subscription against the chains. It returns the violations.
func (l *listeners) finish(ctx context.Context) []string {
	l.stop()
	l.working.Wait()
	l.script.Draw(nil)
	time.Sleep((maxLate + 1) * l.place.Unit)
	l.script.Release()
	if _, err := l.direct.Relay(nil).Once(ctx); err != nil {
		l.violated("the last relay: %v", err)
	}
	for f, err := range l.direct.Verify(ctx) {
		if err != nil {
			l.violated("verify: %v", err)
			break
		}
		l.violated("%s", f)
	}
	l.finishSubscription(ctx)
	return l.violations
}

// finishSubscription lets the subscription deliver the rest, and holds what it has
// delivered against the heads.
func (l *listeners) finishSubscription(ctx context.Context) {
	all := &delivered{versions: map[string]uint64{}}
	erased := map[string]bool{}
	for c, err := range l.direct.After(ctx, feed.Position{}) {
		if err == nil {
			err = all.take(c)
		}
		if err != nil {
			l.violated("the whole feed: %v", err)
			return
		}
		erased[c.AggregateID] = erased[c.AggregateID] || c.Erased
	}
	for h, err := range l.heads.List(ctx, "") {
		if err != nil {
			l.violated("list heads: %v", err)
			return
		}
		if reserved.Is(h.AggregateID) {
			continue
		}
		if all.versions[h.AggregateID] != h.Version+1 || (h.State == head.Erased) != erased[h.AggregateID] {
			l.violated("%s is at version %d, %s, and the feed ends before version %d, erased: %t",
				h.AggregateID, h.Version, h.State, all.versions[h.AggregateID], erased[h.AggregateID])
		}
	}
	if _, err := l.direct.Subscription(l.name(), nil).Lag(ctx); err != nil && !errors.Is(err, ropewalk.ErrNotFound) {
		l.violated("lag: %v", err)
	}
}

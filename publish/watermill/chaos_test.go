package watermill_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"ropewalk/faults"
	"ropewalk/feed"
	"ropewalk/publish/watermill"
)

// Publishers fail, hang, panic and are slow, and processes die between a publish and
// the save of the checkpoint. Each message is published, and the first publications of
// an aggregate are in order. Nothing of it is published by two calls at once.
func TestNothingIsLostOrOutOfOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		parallel := rapid.SampledFrom([]int{1, 3}).Draw(rt, "parallel")
		batches := rapid.Bool().Draw(rt, "batches")
		synctest.Test(t, func(t *testing.T) { chaos(t, seed, parallel, batches) })
	})
}

func chaos(t *testing.T, seed uint64, parallel int, batches bool) {
	s, random := newShop(t), rand.New(rand.NewPCG(seed, 1))
	b := &unreliable{broker: &broker{}, random: rand.New(rand.NewPCG(seed, 2)), busy: map[string]bool{}}
	for range 60 {
		s.write(1+random.IntN(3), fmt.Sprint("order-", random.IntN(5)))
	}
	for range 4 {
		s.runAndKill(b, parallel, batches, 5+random.IntN(60))
	}
	b.heal()
	r := s.runOne(&faults.Script{}, b, parallel, batches)
	time.Sleep(10 * time.Minute)
	require.NoError(t, r.stop())
	s.requireEachOnceInOrder(withoutRepetitions(b.all()))
	require.False(t, b.hasOverlapped(), "two calls at once for an aggregate in one process")
}

// runAndKill runs a process that dies when so many messages were published: it can no
// longer save its checkpoint.
func (s *shop) runAndKill(b *unreliable, parallel int, batches bool, after int) {
	var script faults.Script
	died := b.onMessage(after, func() {
		script.Every(faults.Swap, faults.Fault{Kind: faults.Refused, Err: errors.New("killed")})
	})
	r := s.runOne(&script, b, parallel, batches)
	select {
	case <-died:
	case <-time.After(time.Minute): // fewer messages were left
	}
	_ = r.stop()
	time.Sleep(time.Hour) // calls that hang return
}

func (s *shop) runOne(script *faults.Script, b *unreliable, parallel int, batches bool) *running {
	sub := s.process(script).Subscription("orders", &feed.SubscriptionOptions{
		Parallel: parallel, Retries: feed.Forever, RetryPause: time.Second, Window: 16, SaveEvery: 100 * time.Millisecond,
	})
	sender := watermill.New(b, orders, &watermill.Options{Timeout: 2 * time.Second})
	return start(s.t, func(ctx context.Context) error {
		if batches {
			return sub.RunBatch(ctx, sender.HandleBatch)
		}
		return sub.Run(ctx, sender.Handle)
	})
}

// unreliable is a publisher that goes wrong in every way.
type unreliable struct {
	*broker
	random *rand.Rand

	mutex      sync.Mutex
	healed     bool
	busy       map[string]bool // aggregates that a call is at work on
	overlapped bool
	left       int
	call       func()
}

func (u *unreliable) heal() {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	u.healed = true
}

// onMessage calls a function once, when so many more messages were published.
func (u *unreliable) onMessage(n int, call func()) (done <-chan struct{}) {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	called := make(chan struct{})
	u.left, u.call = n, func() { call(); close(called) }
	return called
}

func (u *unreliable) Publish(topic string, messages ...*message.Message) error {
	fate, upTo := u.enter(messages)
	defer u.leave(messages)
	for i, m := range messages {
		if i == upTo {
			switch fate {
			case "error":
				return errors.New("refused")
			case "panic":
				panic("broken")
			case "hang":
				<-m.Context().Done()
				return m.Context().Err()
			case "deaf": // hangs, ignores the context, and then publishes
				time.Sleep(7 * time.Second)
			case "slow":
				time.Sleep(500 * time.Millisecond)
			}
		}
		u.keep(topic, m)
		u.count()
	}
	if upTo == len(messages) && fate == "error" {
		return errors.New("refused after everything was published")
	}
	return nil
}

// enter draws what goes wrong, and after how many messages.
func (u *unreliable) enter(messages []*message.Message) (fate string, upTo int) {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	own := map[string]bool{}
	for _, m := range messages {
		own[m.Metadata.Get(watermill.Aggregate)] = true
	}
	for id := range own {
		u.overlapped = u.overlapped || u.busy[id]
		u.busy[id] = true
	}
	if u.healed {
		return "", 0
	}
	fates := []string{"", "", "", "", "error", "panic", "hang", "deaf", "slow"}
	return fates[u.random.IntN(len(fates))], u.random.IntN(len(messages) + 1)
}

func (u *unreliable) leave(messages []*message.Message) {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	for _, m := range messages {
		u.busy[m.Metadata.Get(watermill.Aggregate)] = false
	}
}

func (u *unreliable) hasOverlapped() bool {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	return u.overlapped
}

func (u *unreliable) count() {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	if u.left--; u.left == 0 {
		u.call()
	}
}

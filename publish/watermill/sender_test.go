package watermill_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"ropewalk/aggregate"
	"ropewalk/feed"
	"ropewalk/publish/watermill"
)

var orders = watermill.Topic("orders")

func TestChangesArePublishedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newShop(t), &broker{}
		s.write(2, "a", "b", "a")
		s.append("c", aggregate.ContentType, "\n")
		s.erase("b")
		sub := s.feed().Subscription("orders", nil)
		r := s.start(sub, watermill.New(b, orders, nil).Handle)
		time.Sleep(2 * time.Second)
		require.Equal(t, "a0.0 a0.1 b! a1.0 a1.1 b!", b.seen(), "an erasure stands in for what it has erased")
		all := b.all()
		require.Equal(t, all[2].uuid, all[5].uuid)
		end, err := s.feed().End(t.Context())
		require.NoError(t, err)
		require.Equal(t, end, statusOf(t, sub).Position)
		require.NoError(t, r.stop())
	})
}

func TestTopics(t *testing.T) {
	b := &broker{}
	sender := watermill.New(b, func(c feed.Change, m *message.Message) []string {
		switch {
		case c.Erased:
			return []string{"placed", "paid"}
		case m.Metadata.Get(watermill.Type) == "internal":
			return nil
		}
		return []string{m.Metadata.Get(watermill.Type)}
	}, nil)
	c := change(aggregate.ContentType, `{"type":"placed","data":1}`+"\n"+`{"type":"internal","data":2}`+"\n"+`{"type":"paid","data":3}`)
	erased := change("", "")
	erased.Erased = true
	require.NoError(t, sender.HandleBatch(t.Context(), []feed.Change{c, erased}))
	var got []string
	for _, k := range b.all() {
		got = append(got, k.topic+" "+k.String())
	}
	require.Equal(t, []string{"placed order-17.0", "placed order-1!", "paid order-17.2", "paid order-1!"}, got)
	require.Equal(t, 2, b.called(), "one for each topic")

	require.NoError(t, sender.Handle(t.Context(), change(aggregate.ContentType, `{"type":"internal","data":2}`)))
	require.Equal(t, 2, b.called())
}

// A publisher may modify messages, as decorators do.
func TestEachTopicHasItsOwnMessages(t *testing.T) {
	b := &broker{}
	b.misbehave = func(_ int, topic string, messages []*message.Message) error {
		require.Empty(t, messages[0].Metadata.Get("mark"))
		messages[0].Metadata.Set("mark", topic)
		return nil
	}
	both := func(feed.Change, *message.Message) []string { return []string{"one", "two"} }
	require.NoError(t, watermill.New(b, both, nil).Handle(t.Context(), change("", "x")))
	require.Equal(t, 2, b.called())
}

func TestMessagesHaveTheContextOfTheHandler(t *testing.T) {
	type key struct{}
	b := &broker{}
	b.misbehave = func(_ int, _ string, messages []*message.Message) error {
		require.Equal(t, "value", messages[0].Context().Value(key{}))
		deadline, ok := messages[0].Context().Deadline()
		require.True(t, ok)
		require.WithinDuration(t, time.Now().Add(time.Minute), deadline, 5*time.Second)
		return nil
	}
	ctx := context.WithValue(t.Context(), key{}, "value")
	require.NoError(t, watermill.New(b, orders, nil).Handle(ctx, change("", "x")))
}

// A publisher that fails after it has published a part is called again with all
// messages of the change, and with the same UUIDs.
func TestErrorsAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b, refused := newShop(t), &broker{}, errors.New("refused")
		s.write(3, "a")
		s.write(1, "a")
		b.misbehave = func(call int, topic string, messages []*message.Message) error {
			if call <= 3 {
				b.keep(topic, messages[:call-1]...)
				return refused
			}
			b.keep(topic, messages...)
			return nil
		}
		sub := s.feed().Subscription("orders", &feed.SubscriptionOptions{Retries: 3})
		r := s.start(sub, watermill.New(b, orders, nil).Handle)
		time.Sleep(time.Minute)
		require.Equal(t, "a0.0 a0.0 a0.1 a0.0 a0.1 a0.2 a1.0", b.seen())
		s.requireEachOnceInOrder(withoutRepetitions(b.all()))
		require.NoError(t, r.stop())
	})
}

func TestErrorStopsTheSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b, refused := newShop(t), &broker{}, errors.New("refused")
		s.write(1, "a", "b")
		b.misbehave = func(call int, topic string, messages []*message.Message) error {
			if call == 2 {
				return refused
			}
			b.keep(topic, messages...)
			return nil
		}
		sub := s.feed().Subscription("orders", nil)
		err := sub.Run(t.Context(), watermill.New(b, orders, nil).Handle)
		failed, ok := errors.AsType[*feed.HandlerError](err)
		require.True(t, ok, "%v", err)
		require.ErrorIs(t, err, refused)
		require.ErrorContains(t, err, `publish to "orders"`)
		require.Equal(t, "b", failed.Ref.AggregateID)
		require.Equal(t, "a0.0", b.seen())

		r := s.start(sub, watermill.New(b, orders, nil).Handle)
		time.Sleep(time.Second)
		require.Equal(t, "a0.0 b0.0", b.seen(), "the checkpoint was before the change")
		require.NoError(t, r.stop())
	})
}

// Each kind of failure parks the aggregate, and the others go on. Replay publishes
// the missing messages, in order.
func TestFailuresPark(t *testing.T) {
	for reason, fail := range map[string]func(*message.Message) error{
		"error": func(*message.Message) error { return errors.New("refused") },
		"panic": func(*message.Message) error { panic("broken") },
		"timeout": func(m *message.Message) error { // it honours the context
			<-m.Context().Done()
			return m.Context().Err()
		},
	} {
		for _, parallel := range []int{1, 4} {
			t.Run(fmt.Sprint(reason, parallel), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { parks(t, reason, parallel, fail) })
			})
		}
	}
}

func parks(t *testing.T, reason string, parallel int, fail func(*message.Message) error) {
	s, b := newShop(t), &broker{}
	var repaired atomic.Bool
	s.write(1, "a", "b", "a", "b")
	b.misbehave = func(_ int, topic string, messages []*message.Message) error {
		if !repaired.Load() && messages[0].Metadata.Get(watermill.Aggregate) == "a" {
			return fail(messages[0])
		}
		b.keep(topic, messages...)
		return nil
	}
	sub := s.feed().Subscription("orders", &feed.SubscriptionOptions{Parallel: parallel, Park: true, Retries: 1})
	r := s.start(sub, watermill.New(b, orders, nil).Handle)
	time.Sleep(5 * time.Minute)
	require.Equal(t, "b0.0 b1.0", b.seen())
	status := statusOf(t, sub)
	require.Len(t, status.Parked, 1)
	require.Equal(t, reason, status.Parked[0].Reason)
	require.Equal(t, uint64(0), status.Parked[0].Version)

	repaired.Store(true)
	require.NoError(t, sub.Replay(t.Context()))
	time.Sleep(time.Minute)
	require.Equal(t, "b0.0 b1.0 a0.0 a1.0", b.seen())
	require.Empty(t, statusOf(t, sub).Parked)
	require.NoError(t, r.stop())
}

func TestPublisherThatExitsItsGoroutine(t *testing.T) {
	b := &broker{misbehave: func(int, string, []*message.Message) error {
		runtime.Goexit()
		return nil
	}}
	err := watermill.New(b, orders, nil).Handle(t.Context(), change("", "x"))
	require.ErrorContains(t, err, "runtime.Goexit")
}

func TestPanicHasItsStack(t *testing.T) {
	b := &broker{misbehave: func(int, string, []*message.Message) error { panic("broken") }}
	err := watermill.New(b, orders, nil).Handle(t.Context(), change("", "x"))
	panicked, ok := errors.AsType[*feed.PanicError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, "broken", panicked.Value)
	require.Contains(t, string(panicked.Stack), "TestPanicHasItsStack")
}

// A publisher that hangs and ignores the context is given up after the timeout. Until
// it returns, nothing of the aggregate is published: what it publishes late would
// come after newer messages. Other aggregates go on.
func TestPublisherThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, released := &broker{}, make(chan struct{})
		b.misbehave = func(call int, topic string, messages []*message.Message) error {
			if call == 1 {
				<-released
			}
			b.keep(topic, messages...)
			return nil
		}
		sender := watermill.New(b, orders, &watermill.Options{Timeout: 5 * time.Second})
		first, second, other := change("", "x"), change("", "y"), change("", "z")
		second.Version, other.AggregateID = 8, "order-2"
		began := time.Now()
		err := sender.Handle(t.Context(), first)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 5*time.Second, time.Since(began))
		require.NoError(t, sender.Handle(t.Context(), other))

		err = sender.HandleBatch(t.Context(), []feed.Change{other, first})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "still at work")
		require.Equal(t, 10*time.Second, time.Since(began))
		require.Equal(t, 2, b.called(), "the publisher was not called for it")

		time.AfterFunc(3*time.Second, func() { close(released) })
		require.NoError(t, sender.Handle(t.Context(), first))
		require.NoError(t, sender.Handle(t.Context(), second))
		require.Equal(t, "order-27.0 order-17.0 order-17.0 order-18.0", b.seen())
	})
}

// After the timeout, a publisher that hangs is not called for the other topics.
func TestNothingIsPublishedAfterTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broker{}
		b.misbehave = func(_ int, topic string, messages []*message.Message) error {
			time.Sleep(time.Hour)
			b.keep(topic, messages...)
			return nil
		}
		both := func(feed.Change, *message.Message) []string { return []string{"one", "two"} }
		require.ErrorIs(t, watermill.New(b, both, nil).Handle(t.Context(), change("", "x")), context.DeadlineExceeded)
		time.Sleep(3 * time.Hour)
		require.Equal(t, 1, b.called())
	})
}

// A run whose publisher hangs ends after the time of grace. The change is handed over
// again by the next run.
func TestRunEndsWhileThePublisherHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b, released := newShop(t), &broker{}, make(chan struct{})
		s.write(1, "a", "b")
		b.misbehave = func(call int, topic string, messages []*message.Message) error {
			if call == 2 {
				<-released
				return nil
			}
			b.keep(topic, messages...)
			return nil
		}
		sub := s.feed().Subscription("orders", &feed.SubscriptionOptions{Grace: 3 * time.Second})
		r := s.start(sub, watermill.New(b, orders, nil).Handle)
		time.Sleep(time.Second)
		began := time.Now()
		require.NoError(t, r.stop())
		require.Equal(t, 3*time.Second, time.Since(began))
		require.Equal(t, "a0.0", b.seen())
		close(released)

		r = s.start(sub, watermill.New(b, orders, nil).Handle)
		time.Sleep(time.Second)
		require.Equal(t, "a0.0 b0.0", b.seen())
		require.NoError(t, r.stop())
	})
}

func TestBatchIsPublishedByOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newShop(t), &broker{}
		s.write(2, strings.Fields(strings.Repeat("a b ", 100))...)
		sizes := make(chan int, 1000)
		b.misbehave = func(call int, topic string, messages []*message.Message) error {
			sizes <- len(messages)
			time.Sleep(time.Millisecond) // the other changes come in the meantime
			if call == 2 {
				b.keep(topic, messages[:77]...)
				return errors.New("refused")
			}
			b.keep(topic, messages...)
			return nil
		}
		sub := s.feed().Subscription("orders", nil)
		sender := watermill.New(b, orders, nil)
		r := start(t, func(ctx context.Context) error { return sub.RunBatch(ctx, sender.HandleBatch) })
		time.Sleep(time.Minute)
		<-sizes
		require.Greater(t, <-sizes, 100)
		require.Equal(t, 2, <-sizes, "after the error, one change at a time")
		s.requireEachOnceInOrder(withoutRepetitions(b.all()))
		require.NoError(t, r.stop())
	})
}

// One event that is not an event keeps its batch from being published, and only its
// own change from being handled.
func TestBatchWithALineThatIsNoEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newShop(t), &broker{}
		s.write(1, "a")
		s.append("b", aggregate.ContentType, "no event")
		s.write(1, "a")
		sub := s.feed().Subscription("orders", &feed.SubscriptionOptions{Park: true})
		sender := watermill.New(b, orders, nil)
		r := start(t, func(ctx context.Context) error { return sub.RunBatch(ctx, sender.HandleBatch) })
		time.Sleep(time.Minute)
		require.Equal(t, "a0.0 a1.0", b.seen())
		require.Len(t, statusOf(t, sub).Parked, 1)
		require.NoError(t, r.stop())
	})
}

package watermill_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"ropewalk/aggregate"
	"ropewalk/faults"
	"ropewalk/feed"
	"ropewalk/publish/watermill"
)

// routed runs a router of Watermill over the feed until stop is called.
func routed(t *testing.T, f *feed.Feed, options *watermill.SubscriberOptions, handler message.NoPublishHandlerFunc) (stop func() error) {
	t.Helper()
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: time.Minute}, nil)
	require.NoError(t, err)
	subscriber := watermill.NewSubscriber(f, options)
	router.AddConsumerHandler("orders", "orders", subscriber, handler)
	ended := make(chan error, 1)
	go func() { ended <- router.Run(t.Context()) }()
	return func() error {
		return errors.Join(router.Close(), <-ended, subscriber.Close())
	}
}

// A router of Watermill follows a feed. A message whose handler fails comes again, with
// all messages of its change. The next router goes on where the first one was.
func TestRouterFollowsTheFeed(t *testing.T) {
	for _, parallel := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			s, b := newShop(t), &broker{}
			s.write(2, "a", "b", "a")
			var mu sync.Mutex
			failed := map[string]bool{}
			handler := func(m *message.Message) error {
				b.keep("", m)
				mu.Lock()
				defer mu.Unlock()
				if !failed[m.UUID] {
					failed[m.UUID] = true
					return errors.New("refused")
				}
				return nil
			}
			options := &watermill.SubscriberOptions{Subscription: feed.SubscriptionOptions{Parallel: parallel}}
			stop := routed(t, s.feed(), options, handler)
			time.Sleep(time.Minute)
			require.NoError(t, stop())
			s.requireEachOnceInOrder(withoutRepetitions(b.all()))
			if parallel == 1 {
				require.Equal(t, "a0.0 a0.0 a0.1 a0.0 a0.1 b0.0 b0.0 b0.1 b0.0 b0.1 a1.0 a1.0 a1.1 a1.0 a1.1", b.seen())
			}
			before := len(b.all())

			s.write(1, "c")
			stop = routed(t, s.feed(), options, handler)
			time.Sleep(time.Minute)
			require.NoError(t, stop())
			require.Equal(t, []string{"c0.0", "c0.0"}, names(b.all()[before:]))
		})
	}
}

// A message that was handed over may be acknowledged within the time of grace. No
// message is handed over later.
func TestMessageIsAcknowledgedWithinTheTimeOfGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.write(1, "a", "b")
		subscriber := watermill.NewSubscriber(s.feed(), nil)
		ctx, cancel := context.WithCancel(t.Context())
		messages, err := subscriber.Subscribe(ctx, "orders")
		require.NoError(t, err)
		first := <-messages
		cancel()
		time.Sleep(9 * time.Second)
		require.NoError(t, first.Context().Err())
		require.True(t, first.Ack())
		_, open := <-messages
		require.False(t, open)
		require.Error(t, first.Context().Err())

		messages, err = subscriber.Subscribe(t.Context(), "orders")
		require.NoError(t, err)
		second := <-messages
		require.Equal(t, "b0.0", keptOf("", second).String())
		closed := make(chan error, 1)
		go func() { closed <- subscriber.Close() }()
		time.Sleep(9 * time.Second)
		require.Empty(t, closed)
		time.Sleep(2 * time.Second)
		require.Error(t, second.Context().Err(), "after the time of grace")
		require.NoError(t, <-closed)
		_, open = <-messages
		require.False(t, open)

		subscriber = watermill.NewSubscriber(s.feed(), nil)
		messages, err = subscriber.Subscribe(t.Context(), "orders")
		require.NoError(t, err)
		third := <-messages
		require.Equal(t, "b0.0", keptOf("", third).String(), "it was not acknowledged")
		third.Ack()
		require.NoError(t, subscriber.Close())
	})
}

// A message that no handler has taken does not hold up the end. The context of a message
// ends with its acknowledgement.
func TestMessageThatIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.write(1, "a", "b")
		subscriber := watermill.NewSubscriber(s.feed(), nil)
		messages, err := subscriber.Subscribe(t.Context(), "orders")
		require.NoError(t, err)
		first := <-messages
		require.NoError(t, first.Context().Err())
		first.Ack()
		time.Sleep(time.Minute)
		require.Error(t, first.Context().Err())
		began := time.Now()
		require.NoError(t, subscriber.Close())
		require.Zero(t, time.Since(began))
		_, open := <-messages
		require.False(t, open)
		require.Empty(t, statusOf(t, s.feed().Subscription("orders", nil)).Owner)
	})
}

func TestParkedMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newShop(t), &broker{}
		s.write(1, "a", "b", "a")
		options := &watermill.SubscriberOptions{Subscription: feed.SubscriptionOptions{Park: true, Retries: 2}}
		var attempts atomic.Int32
		stop := routed(t, s.feed(), options, func(m *message.Message) error {
			if m.Metadata.Get(watermill.Aggregate) == "a" {
				attempts.Add(1)
				panic("broken") // the router recovers, and refuses the message
			}
			b.keep("", m)
			return nil
		})
		time.Sleep(time.Minute)
		require.Equal(t, "b0.0", b.seen())
		require.Equal(t, int32(3), attempts.Load())
		require.Len(t, statusOf(t, s.feed().Subscription("orders", nil)).Parked, 1)
		require.NoError(t, stop())
	})
}

func TestErrorClosesTheChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.write(1, "a")
		var script faults.Script
		var logs bytes.Buffer
		options := &watermill.SubscriberOptions{Logger: slog.New(slog.NewTextHandler(&logs, nil))}
		subscriber := watermill.NewSubscriber(s.process(&script), options)
		messages, err := subscriber.Subscribe(t.Context(), "orders")
		require.NoError(t, err)
		(<-messages).Ack()
		script.Every(faults.Swap, faults.Fault{Kind: faults.Refused, Err: errors.New("denied")})
		_, open := <-messages
		require.False(t, open)
		require.ErrorContains(t, subscriber.Close(), "denied")
		require.Contains(t, logs.String(), "denied")
		require.Contains(t, logs.String(), "subscription=orders")
	})
}

func TestSubscribeReportsWhatCannotBeUsed(t *testing.T) {
	s := newShop(t)
	subscriber := watermill.NewSubscriber(s.feed(), nil)
	_, err := subscriber.Subscribe(t.Context(), "a name with spaces")
	require.ErrorContains(t, err, "a name with spaces")
	require.NoError(t, subscriber.Close())
	_, err = subscriber.Subscribe(t.Context(), "orders")
	require.ErrorContains(t, err, "closed")
}

// A line that is no event is an error like another: it is not skipped.
func TestSubscriberDoesNotSkipLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.append("a", aggregate.ContentType, "no event")
		options := &watermill.SubscriberOptions{Subscription: feed.SubscriptionOptions{Retries: 1}}
		subscriber := watermill.NewSubscriber(s.feed(), options)
		messages, err := subscriber.Subscribe(t.Context(), "orders")
		require.NoError(t, err)
		_, open := <-messages
		require.False(t, open)
		require.ErrorContains(t, subscriber.Close(), "event 0 of a@0")
	})
}

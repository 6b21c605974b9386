package watermill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"ropewalk"
	"ropewalk/feed"
)

// SubscriberOptions are the settings of a [Subscriber]. Zero values stand for the
// defaults.
type SubscriberOptions struct {
	// Form decides which messages are made of a change.
	Form Form
	// Subscription has the settings of all subscriptions. A message that is not
	// acknowledged is an error of the handler there. Without Retries and Park, the change
	// is handed over again without limit, as Watermill's subscribers do.
	Subscription feed.SubscriptionOptions
	// Logger receives the errors that end subscriptions. By default nothing is logged.
	Logger *slog.Logger
}

func (o *SubscriberOptions) withDefaults() SubscriberOptions {
	out := *cmp.Or(o, &SubscriberOptions{})
	if s := &out.Subscription; s.Retries == 0 && !s.Park {
		s.Retries = feed.Forever
	}
	out.Logger = cmp.Or(out.Logger, slog.New(slog.DiscardHandler))
	return out
}

// Subscriber is a [message.Subscriber] over a feed, for routers of Watermill. The
// topic is the name of a subscription, whose position is kept in the store.
//
// A change is handled when all of its messages are acknowledged. They are handed over
// one after another: the next message comes after the last one was acknowledged. After
// a Nack, all messages of the change come again, including those that were
// acknowledged.
//
// Watermill has no way to pass on why a subscription ends, such as [feed.ErrReplaced].
// It only sees that the channel is closed; [SubscriberOptions.Logger] and
// [Subscriber.Close] have the errors. A router stops when the channels of all its
// handlers are closed.
type Subscriber struct {
	feed    *feed.Feed
	options SubscriberOptions

	ctx     context.Context // of all subscriptions
	cancel  context.CancelFunc
	mu      sync.Mutex
	errs    []error
	running sync.WaitGroup
}

var errClosed = errors.New("the subscriber is closed")

// NewSubscriber returns a subscriber. It does no I/O. Nil options stand for the
// defaults.
func NewSubscriber(f *feed.Feed, options *SubscriberOptions) *Subscriber {
	s := &Subscriber{feed: f, options: options.withDefaults()}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Subscribe runs the subscription of a name until the context ends, Close is called,
// or an error ends it. Then it closes the channel, after the checkpoint is saved: a
// message that was handed over may be acknowledged within the time of grace of the
// subscription.
//
// Each name should be subscribed to once: a second run stands by. The error of
// Subscribe is the error of a name or of options that cannot be used, or of reading
// the state of the subscription.
func (s *Subscriber) Subscribe(ctx context.Context, name string) (<-chan *message.Message, error) {
	subscription := s.feed.Subscription(name, &s.options.Subscription)
	if _, err := subscription.Status(ctx); err != nil && !errors.Is(err, ropewalk.ErrNotFound) {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return nil, errClosed
	}
	out := make(chan *message.Message)
	s.running.Go(func() {
		defer close(out)
		s.run(ctx, subscription, out)
	})
	return out, nil
}

func (s *Subscriber) run(ctx context.Context, subscription *feed.Subscription, out chan<- *message.Message) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	err := subscription.Run(ctx, func(handling context.Context, change feed.Change) error {
		return s.handle(ctx, handling, change, out)
	})
	if err == nil {
		return
	}
	s.options.Logger.ErrorContext(ctx, "subscription has ended", "subscription", subscription.Name(), "cause", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errs = append(s.errs, err)
}

// handle hands over the messages of a change. The context of the run keeps messages
// from being handed over after the end of the run; the context of the handler lasts
// for the time of grace.
func (s *Subscriber) handle(run, handling context.Context, change feed.Change, out chan<- *message.Message) error {
	messages, err := s.options.Form.Messages(change)
	if err != nil {
		return err
	}
	for _, m := range messages {
		if err := deliver(run, handling, m, out); err != nil {
			return err
		}
	}
	return nil
}

// deliver hands over a message, and waits until it is acknowledged.
func deliver(run, handling context.Context, m *message.Message, out chan<- *message.Message) error {
	ctx, cancel := context.WithCancel(handling)
	defer cancel()
	m.SetContext(ctx)
	select {
	case out <- m:
	case <-run.Done():
		return run.Err()
	}
	select {
	case <-m.Acked():
		return nil
	case <-m.Nacked():
		return fmt.Errorf("message %s was not acknowledged", m.UUID)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends all subscriptions, and returns when their checkpoints are saved. It
// returns the errors of all subscriptions since the subscriber was made.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	s.cancel()
	s.mu.Unlock()
	s.running.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.errs...)
}

package webhook_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/backends/memstore"
	"ropewalk/faults"
	"ropewalk/feed"
	"ropewalk/gc"
	"ropewalk/publish/webhook"
)

// shop is a store whose changes are sent to a receiver.
type shop struct {
	t        *testing.T
	db       *memstore.Store
	store    *ropewalk.Store
	heads    map[string]ropewalk.Head
	receiver *memory
	logs     bytes.Buffer

	mu       sync.Mutex
	refuses  map[string]int // by subject, the status
	accepted []string       // subject, version, index
	bodies   map[string]map[string]bool
}

func newShop(t *testing.T) *shop {
	db := memstore.New()
	s := &shop{t: t, db: db, store: ropewalk.New(db, db, nil), heads: map[string]ropewalk.Head{}, refuses: map[string]int{}, bodies: map[string]map[string]bool{}}
	s.receiver = &memory{answer: s.answer}
	return s
}

// writer returns the store that an aggregate is written to: every second aggregate is
// packed, so that its changesets are in the head, or share objects.
func (s *shop) writer(id string) *ropewalk.Store {
	if id[len(id)-1]%2 == 0 {
		return s.store
	}
	return ropewalk.New(s.db, faults.TwoSteps(s.db), &ropewalk.Options{Packed: true, TipSize: 600})
}

func (s *shop) answer(_ int, r request) *http.Response {
	e := r.event(s.t)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bodies[e.ID()] == nil {
		s.bodies[e.ID()] = map[string]bool{}
	}
	s.bodies[e.ID()][string(r.body)] = true
	if status := s.refuses[e.Subject()]; status != 0 {
		return reply(status)
	}
	name := fmt.Sprintf("%s.%s", e.Subject(), e.Extensions()["version"])
	if index, ok := e.Extensions()["index"]; ok {
		name += fmt.Sprintf(".%d", index)
	}
	if e.Type() == webhook.TypeErased {
		name += "!"
	}
	s.accepted = append(s.accepted, name)
	return reply(204)
}

func (s *shop) refuse(subject string, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuses[subject] = status
}

// of returns what was accepted of a subject, in order.
func (s *shop) of(subject string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, name := range s.accepted {
		if rest, ok := strings.CutPrefix(name, subject+"."); ok {
			names = append(names, rest)
		}
	}
	return strings.Join(names, " ")
}

// write appends a changeset of two events to each of the aggregates.
func (s *shop) write(ids ...string) {
	s.t.Helper()
	for _, id := range ids {
		h, err := s.writer(id).Chain(id).Append(s.t.Context(), s.heads[id], ropewalk.Draft{
			ContentType: aggregate.ContentType,
			Content:     []byte(`{"type":"added","data":1}` + "\n" + `{"type":"removed","data":2}` + "\n"),
		})
		require.NoError(s.t, err)
		s.heads[id] = h
	}
}

// run runs the subscription until the function that it returns is called.
func (s *shop) run(sub *feed.Subscription, options webhook.Options) (stop func() error) {
	options.Transport = s.receiver
	sender, err := webhook.New("https://receiver.example/", []webhook.Secret{secret}, &options)
	require.NoError(s.t, err)
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- sub.Run(ctx, sender.Handle) }()
	return func() error {
		cancel()
		return <-done
	}
}

// A receiver that fails for one aggregate parks it, with a log that says what the
// receiver answered; the others go on. Replay delivers what is missing, in order.
func TestAFailingReceiverParksTheAggregate(t *testing.T) {
	for _, status := range []int{400, 410, 301, 500} {
		for _, parallel := range []int{1, 4} {
			synctest.Test(t, func(t *testing.T) {
				s := newShop(t)
				s.write("a", "b", "a")
				s.refuse("a", status)
				f := feed.Open(s.store, &feed.Options{Logger: logTo(&s.logs)})
				sub := f.Subscription("partner", &feed.SubscriptionOptions{Park: true, Parallel: parallel})
				stop := s.run(sub, webhook.Options{RetryFor: time.Minute})
				time.Sleep(3 * time.Minute)
				s.write("b", "a", "c")
				time.Sleep(time.Minute)

				require.Empty(t, s.of("a"))
				require.Equal(t, "0.0 0.1 1.0 1.1", s.of("b"))
				require.Equal(t, "0.0 0.1", s.of("c"))
				subscription, err := sub.Status(t.Context())
				require.NoError(t, err)
				require.Len(t, subscription.Parked, 1)
				require.Equal(t, "a", subscription.Parked[0].AggregateID)
				require.Equal(t, uint64(0), subscription.Parked[0].Version)
				require.Equal(t, "error", subscription.Parked[0].Reason)

				s.refuse("a", 0)
				require.NoError(t, sub.Replay(t.Context()))
				time.Sleep(time.Minute)
				s.write("a")
				time.Sleep(time.Minute)
				require.Equal(t, "0.0 0.1 1.0 1.1 2.0 2.1 3.0 3.1", s.of("a"))
				require.NoError(t, stop())
				require.Contains(t, s.logs.String(), fmt.Sprintf("the receiver answered %d", status))
				for id, bodies := range s.bodies {
					require.Len(t, bodies, 1, "%s: the body is the same on each delivery", id)
				}
			})
		}
	}
}

// Without Park the subscription stops, and its error says what the receiver answered.
func TestAFailingReceiverStopsTheSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.write("b", "a", "b")
		s.refuse("a", 410)
		m := webhook.Options{Transport: s.receiver}
		sender, err := webhook.New("https://receiver.example/", []webhook.Secret{secret}, &m)
		require.NoError(t, err)
		err = feed.Open(s.store, nil).Subscription("partner", nil).Run(t.Context(), sender.Handle)
		handler, ok := errors.AsType[*feed.HandlerError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, "a", handler.Ref.AggregateID)
		require.Equal(t, 1, handler.Attempts)
		require.ErrorIs(t, err, webhook.ErrGone)
		require.ErrorContains(t, err, "the receiver answered 410 Gone")
		require.Equal(t, "0.0 0.1", s.of("b"))
		require.Len(t, s.receiver.all(), 3)
	})
}

// A receiver that is silent parks the aggregate for that reason.
func TestASilentReceiverIsATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.write("a")
		sender, err := webhook.New("https://receiver.example/", []webhook.Secret{secret}, &webhook.Options{Transport: silent{}, RetryFor: -1})
		require.NoError(t, err)
		sub := feed.Open(s.store, nil).Subscription("partner", &feed.SubscriptionOptions{Park: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.NoError(t, sub.Run(ctx, sender.Handle))
		status, err := sub.Status(t.Context())
		require.NoError(t, err)
		require.Len(t, status.Parked, 1)
		require.Equal(t, "timeout", status.Parked[0].Reason)
	})
}

// silent never answers.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// What a process has sent and not recorded is sent again: with the same ID and body.
func TestRedeliveriesHaveTheSameIDAndBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		for range 4 {
			s.write("a", "b", "c")
		}
		f := feed.Open(s.store, nil)
		for _, name := range []string{"one", "two"} {
			stop := s.run(f.Subscription(name, &feed.SubscriptionOptions{Parallel: 3}), webhook.Options{})
			time.Sleep(time.Minute)
			require.NoError(t, stop())
		}
		require.Len(t, s.receiver.all(), 48)
		require.Len(t, s.bodies, 24)
		for id, bodies := range s.bodies {
			require.Len(t, bodies, 1, id)
		}
	})
}

// A program sends the events that a receiver may see, and no others of the changeset.
func TestProgramsSelectWhatIsPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.write("a", "b")
		sender, err := webhook.New("https://receiver.example/", []webhook.Secret{secret}, &webhook.Options{Transport: s.receiver})
		require.NoError(t, err)
		sub := feed.Open(s.store, nil).Subscription("partner", nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.NoError(t, publishSome(ctx, sub, sender, map[string]bool{"removed": true}))
		require.Equal(t, []string{"a.0.1", "b.0.1"}, s.accepted)
	})
}

// A receiver hears of an erasure after everything else of the aggregate.
func TestErasuresAreSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.write("a", "b", "a")
		f := feed.Open(s.store, nil)
		stop := s.run(f.Subscription("partner", nil), webhook.Options{})
		time.Sleep(time.Minute)
		_, err := gc.New(s.db, s.db, nil).Erase(t.Context(), "a")
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.NoError(t, stop())
		require.Equal(t, "0.0 0.1 1.0 1.1 1!", s.of("a"))
		last := s.receiver.all()[len(s.receiver.all())-1].event(t)
		require.Equal(t, s.heads["a"].ID.String()+"-erased", last.ID())
		require.Empty(t, last.Data())

		stop = s.run(f.Subscription("late", nil), webhook.Options{})
		time.Sleep(time.Minute)
		require.NoError(t, stop())
		require.Equal(t, "0.0 0.1 1.0 1.1 1! 0! 1! 1!", s.of("a"), "an erasure stands in for each changeset that is gone")
	})
}

// The end of the subscription does not wait for a receiver that is down.
func TestShutdownDoesNotWaitForTheReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.write("a")
		s.refuse("a", 503)
		stop := s.run(feed.Open(s.store, nil).Subscription("partner", &feed.SubscriptionOptions{Park: true}), webhook.Options{})
		time.Sleep(time.Minute)
		start := time.Now()
		require.NoError(t, stop())
		require.LessOrEqual(t, time.Since(start), 10*time.Second)
		status, err := feed.Open(s.store, nil).Subscription("partner", nil).Status(t.Context())
		require.NoError(t, err)
		require.Empty(t, status.Parked, "a shutdown is no failure of the receiver")
		require.True(t, status.Position.IsZero())
	})
}

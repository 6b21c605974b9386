package watermill

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"ropewalk/feed"
)

// parcel is what one call of a publisher gets.
type parcel struct {
	topic    string
	messages []*message.Message
}

// parcels returns a parcel for each topic. A message that goes to several topics is
// copied, because a publisher may modify it.
func (s *Sender) parcels(changes []feed.Change) (parcels []parcel, err error) {
	for _, change := range changes {
		messages, err := s.options.Form.Messages(change)
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			for _, topic := range s.topics(change, m) {
				i := slices.IndexFunc(parcels, func(p parcel) bool { return p.topic == topic })
				if i < 0 {
					i, parcels = len(parcels), append(parcels, parcel{topic: topic})
				}
				parcels[i].messages = append(parcels[i].messages, m.Copy())
			}
		}
	}
	return parcels, nil
}

var errExited = errors.New("the publisher ended its goroutine: it called runtime.Goexit, as the methods FailNow and SkipNow of a test do")

// publish publishes parcels one after another, and reports the first error, or nil
// after the last parcel.
func (s *Sender) publish(ctx context.Context, parcels []parcel, report func(error)) {
	err := errExited
	defer func() {
		if v := recover(); v != nil {
			err = &feed.PanicError{Value: v, Stack: debug.Stack()}
		}
		report(err)
	}()
	err = s.publishAll(ctx, parcels)
}

func (s *Sender) publishAll(ctx context.Context, parcels []parcel) error {
	for _, p := range parcels {
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, m := range p.messages {
			m.SetContext(ctx)
		}
		if err := s.publisher.Publish(p.topic, p.messages...); err != nil {
			return fmt.Errorf("publish to %q: %w", p.topic, err)
		}
	}
	return nil
}

// turns keeps two calls of the publisher from having messages of the same aggregate.
// A call that was given up keeps its turn until it returns: what it publishes late
// would otherwise come after newer messages.
type turns struct {
	mu   sync.Mutex
	busy map[string]<-chan struct{} // of aggregate ID: closed when its turn ends
}

// take waits until none of the aggregates is busy, or the context ends. The turn lasts
// until release is called.
func (t *turns) take(ctx context.Context, aggregateIDs []string) (release func(), err error) {
	for {
		release, ended := t.try(aggregateIDs)
		if release != nil {
			return release, nil
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// try takes a turn. If an aggregate is busy, it returns a channel that is closed when
// that turn ends.
func (t *turns) try(aggregateIDs []string) (release func(), ended <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range aggregateIDs {
		if ended, busy := t.busy[id]; busy {
			return nil, ended
		}
	}
	if t.busy == nil {
		t.busy = map[string]<-chan struct{}{}
	}
	turn := make(chan struct{})
	for _, id := range aggregateIDs {
		t.busy[id] = turn
	}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		for _, id := range aggregateIDs {
			delete(t.busy, id)
		}
		close(turn)
	}, nil
}

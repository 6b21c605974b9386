package feed

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// progress is what a run has done: which changes are under way, up to where all
// changes are finished, and which aggregates are parked. One lock guards all of
// it, so that a saved checkpoint and its list of parked aggregates belong together.
type progress struct {
	options *SubscriptionOptions
	limit   int           // the largest number of changes beyond the position
	urgent  chan struct{} // has an item if a save must not wait
	first   chan struct{} // has an item if there is something to save, first after a save

	mu       sync.Mutex
	news     chan struct{} // closed and replaced when there is room, or less to do
	position Position      // all changes up to here are finished
	tail     Position      // all changes up to here were begun
	steps    []*step       // between position and tail, in the order of the feed
	changes  int           // how many changes the steps have
	bytes    int64         // the size of the contents that are not finished
	parked   map[string]*parking
	replay   bool // parked aggregates are to be replayed
	// interrupt ends the reading of the feed for a replay; nil before it begins.
	interrupt context.CancelCauseFunc
	handed    int // how many changes were handed over since the last save
	touched   time.Time
	saved     time.Time // when the last successful save began
}

// step is a part of the feed that was begun: one change, or a part without changes
// for the handler.
type step struct {
	position Position
	changes  int
	finished bool
}

// parking is a parked aggregate, and how a replay of it goes.
type parking struct {
	Parked
	failed bool // a change was not handled: no later change may be
	erased bool // the erasure was delivered: nothing can follow
}

// job is a change to hand over.
type job struct {
	Change
	before Position
	step   *step
	replay bool
}

func newProgress(options *SubscriptionOptions, limit int, r record, now time.Time) *progress {
	p := &progress{
		options: options, limit: limit,
		urgent: make(chan struct{}, 1), first: make(chan struct{}, 1), news: make(chan struct{}),
		position: r.position, tail: r.position, replay: r.replay, saved: now,
		parked: map[string]*parking{},
	}
	for id, parked := range r.parked {
		p.parked[id] = &parking{Parked: parked}
	}
	return p
}

// begin waits for room, and begins a change at a position.
func (p *progress) begin(ctx context.Context, c Change, at Position, replay bool) (job, error) {
	size := int64(len(c.Content))
	room := func() bool { return p.changes < p.limit && (p.bytes == 0 || p.bytes+size <= maxBytes) }
	if err := p.await(ctx, room, nil); err != nil {
		return job{}, err
	}
	defer p.mu.Unlock()
	j := job{c, p.tail, &step{position: at, changes: 1}, replay}
	p.steps = append(p.steps, j.step)
	p.tail = at
	p.changes++
	p.bytes += size
	return j, nil
}

// await returns, with the lock, when the condition holds. Before each wait it
// calls need.
func (p *progress) await(ctx context.Context, condition func() bool, need func()) error {
	for {
		p.mu.Lock()
		if ctx.Err() == nil && condition() {
			return nil
		}
		news := p.news
		p.mu.Unlock()
		if need != nil {
			need()
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// publish wakes up everything that waits. It needs the lock.
func (p *progress) publish() {
	close(p.news)
	p.news = make(chan struct{})
}

// skip passes a part of the feed without changes for the handler.
func (p *progress) skip(at Position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tail = at
	if n := len(p.steps); n > 0 && p.steps[n-1].finished {
		p.steps[n-1].position = at
		return
	}
	p.steps = append(p.steps, &step{position: at, finished: true})
	p.advance()
}

// finish says that a change needs no more work: it was handled, or its aggregate
// is parked. It needs the lock.
func (p *progress) finish(j job) {
	j.step.finished = true
	p.bytes -= int64(len(j.Content))
	p.advance()
	p.publish()
}

// advance moves the position up to the lowest position that is not finished. It
// needs the lock.
func (p *progress) advance() {
	for len(p.steps) > 0 && p.steps[0].finished {
		p.position = p.steps[0].position
		p.changes -= p.steps[0].changes
		p.steps = p.steps[1:]
	}
}

// due returns the jobs that are to be handed over, and finishes the others: changes
// of parked aggregates, except if they are replayed.
func (p *progress) due(jobs []job) []job {
	p.mu.Lock()
	defer p.mu.Unlock()
	due := make([]job, 0, len(jobs))
	for _, j := range jobs {
		parking, parked := p.parked[j.AggregateID]
		if parked != j.replay || parked && (parking.failed || parking.erased) {
			p.finish(j)
			continue
		}
		due = append(due, j)
	}
	return due
}

// admit waits until changes may be handed over without a save, and returns how
// many of n may. If no save has succeeded for the time of standby, none may:
// another consumer may be the owner by now.
func (p *progress) admit(ctx context.Context, n int) (int, error) {
	room := func() bool {
		return p.handed < p.options.Window && time.Since(p.saved) < p.options.Standby
	}
	if err := p.await(ctx, room, func() { signal(p.urgent) }); err != nil {
		return 0, err
	}
	defer p.mu.Unlock()
	n = min(n, p.options.Window-p.handed)
	p.handed += n
	p.touch()
	return n, nil
}

// touch says that there is something to save. It needs the lock.
func (p *progress) touch() {
	if p.touched.IsZero() {
		p.touched = time.Now()
		signal(p.first)
	}
}

// handled says that changes were handled.
func (p *progress) handled(jobs []job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, j := range jobs {
		if j.replay {
			parking := p.parked[j.AggregateID]
			parking.Position, parking.Version, parking.erased = j.Position, j.Version+1, j.Erased
		}
		p.finish(j)
	}
}

// park parks the aggregate of a change that was not handled. The change counts as
// finished in the same moment.
func (p *progress) park(j job, reason string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	parked := p.parked[j.AggregateID]
	switch {
	case parked != nil:
		parked.Version, parked.Reason, parked.failed = j.Version, reason, true
	case len(p.parked) >= p.options.MaxParked:
		return fmt.Errorf("%w: %d, and %s was not handled", ErrTooManyParked, len(p.parked), j.Ref)
	default:
		p.parked[j.AggregateID] = &parking{Parked: Parked{j.AggregateID, j.Version, j.before, reason}}
	}
	p.finish(j)
	return nil
}

// isParked reports whether the aggregate is parked.
func (p *progress) isParked(aggregateID string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.parked[aggregateID] != nil
}

// saving returns the state to save, and how many changes were handed over before.
func (p *progress) saving() (checkpoint, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := checkpoint{position: p.position, replay: p.replay, parked: make(map[string]Parked, len(p.parked))}
	for id, parking := range p.parked {
		c.parked[id] = parking.Parked
	}
	p.touched = time.Time{}
	return c, p.handed
}

// untilSave returns how long the next save can wait.
func (p *progress) untilSave() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.saved.Add(p.options.Standby / beats)
	if due := p.touched.Add(p.options.SaveEvery); !p.touched.IsZero() && due.Before(at) {
		at = due
	}
	return time.Until(at)
}

// savedAt says that a save has succeeded that began at a time, after so many of the
// changes were handed over.
func (p *progress) savedAt(began time.Time, handed int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.urgent: // this save was the save that was asked for, or a wait asks again
	default:
	}
	p.saved = began
	p.handed -= handed
	p.publish()
}

// signal puts an item into a channel of one item, unless it has one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// maxBytes is the largest size of the contents of the changes that wait for their
// handlers, except for a single larger one.
const maxBytes = 64 << 20

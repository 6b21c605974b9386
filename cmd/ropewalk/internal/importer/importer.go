// Package importer appends the events of NDJSON to the chains of their aggregates:
// many aggregates at once, and repeatably.
package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sync/semaphore"

	"ropewalk"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/ndjson"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/internal/reserved"
)

const (
	// maxQueued is the number of bytes of groups that wait for their appends.
	maxQueued = 128 << 20
	// maxChains is the number of heads that are remembered between two groups.
	maxChains = 16 << 10
	// compareAhead is the number of changesets that are looked up at once.
	compareAhead = 64
)

// importer appends groups to their chains: groups of one aggregate in order,
// groups of different aggregates at the same time. Each aggregate that has
// groups waiting has a goroutine of its own, and a slot, unless the storage takes
// many aggregates in one step: see [bulk].
type importer struct {
	ctx   context.Context
	store *ropewalk.Store
	file  string
	Options
	slots chan struct{}
	room  *semaphore.Weighted // bytes that wait
	bulk  bulk

	running sync.WaitGroup
	mu      sync.Mutex
	tracks  map[string]*track
	chains  int      // tracks that remember their chain
	failed  *failure // nil until an append fails
	counts  Result
}

// failure is an error that ends an import, and the line of its group.
type failure struct {
	line int64
	err  error
}

// Options say how lines are imported.
type Options struct {
	// Field is the field of a line that holds the aggregate ID.
	Field string
	// Group is the number of events in a changeset.
	Group int
	// Parallel is the number of aggregates that are imported at once.
	Parallel int
	// SkipErased leaves the lines of erased aggregates out, and counts them.
	SkipErased bool
	// Progress counts the bytes that are done.
	Progress *ui.Progress
}

// Result counts what an import has done.
type Result struct {
	Imported, Skipped Counts // skipped: stored by an earlier import
	Erased            Counts // left out
}

// Counts counts aggregates and their changesets. An aggregate counts as
// imported if anything of it was imported.
type Counts struct{ Aggregates, Changesets, Events int64 }

// String returns the counts for people.
func (c Counts) String() string {
	return ui.Plural(c.Aggregates, "aggregate") + ", " + ui.Plural(c.Changesets, "changeset") + ", " + ui.Plural(c.Events, "event")
}

// String returns the result for people.
func (r Result) String() string {
	text := "imported " + r.Imported.String()
	if r.Skipped != (Counts{}) {
		text += "; there already: " + r.Skipped.String()
	}
	if r.Erased != (Counts{}) {
		text += "; left out as erased: " + r.Erased.String()
	}
	return text
}

func newImporter(ctx context.Context, s *ropewalk.Store, file string, options Options) *importer {
	m := &importer{
		ctx: ctx, store: s, file: file, Options: options, slots: make(chan struct{}, options.Parallel),
		room: semaphore.NewWeighted(maxQueued), tracks: map[string]*track{},
	}
	m.bulk = newBulk(s, &m.mu)
	return m
}

// Run imports all lines into a store, and returns when no append is
// under way. It returns the counts also with an error.
func Run(ctx context.Context, s *ropewalk.Store, in *lines, options Options) (Result, error) {
	m := newImporter(ctx, s, in.file, options)
	err := m.run(in)
	return m.result(), err
}

var errStopped = errors.New("the import has failed")

// submit queues groups, and waits while too much is queued. After an error nothing
// more is imported.
func (m *importer) submit(groups ...*group) error {
	for _, g := range groups {
		if err := m.makeRoom(g); err != nil {
			return err
		}
		begin, err := m.enqueue(g)
		if err != nil {
			return err
		}
		if begin != nil && m.bulk.swapper == nil {
			m.slots <- struct{}{}
			m.running.Go(func() { m.work(begin) })
		}
	}
	return nil
}

// makeRoom waits until a group may wait.
func (m *importer) makeRoom(g *group) error {
	if err := m.room.Acquire(m.ctx, int64(len(g.content))); err != nil || m.bulk.swapper == nil {
		return err
	}
	return m.bulk.places.Acquire(m.ctx, 1)
}

// release ends the waiting of a group.
func (m *importer) release(g *group) {
	m.room.Release(int64(len(g.content)))
	if m.bulk.swapper != nil {
		m.bulk.places.Release(1)
	}
}

// enqueue returns the group's track if it is to be begun.
func (m *importer) enqueue(g *group) (*track, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failed != nil {
		return nil, errStopped
	}
	t := m.tracks[g.aggregate]
	if t == nil {
		t = &track{id: g.aggregate}
		m.tracks[g.aggregate] = t
	}
	t.waiting = append(t.waiting, g)
	if t.running {
		return nil, nil
	}
	t.running = true
	if m.bulk.swapper != nil {
		m.bulk.ready = append(m.bulk.ready, t)
		m.bulk.more.Signal()
	}
	return t, nil
}

// work imports the groups of one aggregate until none waits.
func (m *importer) work(t *track) {
	defer func() { <-m.slots }()
	for g := m.take(t); g != nil; g = m.take(t) {
		added, err := m.importOne(t, g)
		m.release(g)
		m.done(t, g, added, err)
	}
}

// take returns the next group of a track. After a failure it returns only groups
// that begin on an earlier line. The failure that is reported is therefore the
// first in the file, not the fastest.
func (m *importer) take(t *track) *group {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(t.waiting) == 0 || m.failed != nil && m.failed.line < t.waiting[0].line {
		for _, g := range t.waiting {
			m.release(g)
		}
		t.waiting, t.running = nil, false
		m.forget(t)
		return nil
	}
	g := t.waiting[0]
	t.waiting = t.waiting[1:]
	return g
}

// forget drops a chain if too many are remembered. The caller holds the lock.
func (m *importer) forget(t *track) {
	if t.chain != nil && m.chains > maxChains {
		t.chain = nil
		m.chains--
	}
}

func (m *importer) done(t *track, g *group, added bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Progress.Add(int64(len(g.content)))
	switch {
	case err != nil && t.erased:
		m.counts.Erased.Changesets++
		m.counts.Erased.Events += g.events
	case err != nil:
		m.failed = worse(m.failed, &failure{g.line, err})
	case added:
		t.imported = true
		m.counts.Imported.Changesets++
		m.counts.Imported.Events += g.events
	default:
		t.seen = true
		m.counts.Skipped.Changesets++
		m.counts.Skipped.Events += g.events
	}
}

// worse returns the failure to report: an uncertain append before any other
// failure, then the first in the file.
func worse(one, other *failure) *failure {
	if one == nil {
		return other
	}
	uncertain := errors.Is(other.err, ropewalk.ErrUncertain)
	if uncertain != errors.Is(one.err, ropewalk.ErrUncertain) {
		if uncertain {
			return other
		}
		return one
	}
	if other.line < one.line {
		return other
	}
	return one
}

// wait waits for all appends, and returns the error of the failure.
func (m *importer) wait() error {
	m.mu.Lock()
	m.bulk.ended = true
	m.bulk.more.Broadcast()
	m.mu.Unlock()
	m.running.Wait()
	if m.failed != nil {
		return m.failed.err
	}
	return nil
}

// result returns the counts. The caller has waited.
func (m *importer) result() Result {
	counts := m.counts
	for _, t := range m.tracks {
		switch {
		case t.imported:
			counts.Imported.Aggregates++
		case t.seen:
			counts.Skipped.Aggregates++
		case t.erased:
			counts.Erased.Aggregates++
		}
	}
	return counts
}

// run imports all lines, and returns when no append is under way.
func (m *importer) run(in *lines) error {
	groups := newGroups(m.Group, maxHeld)
	if m.bulk.swapper != nil {
		for range min(bulkWorkers, m.Parallel) {
			m.running.Go(m.runBulk)
		}
	}
	err := m.feed(in, groups)
	if errors.Is(err, io.EOF) {
		// Only a whole file closes groups that are not full. After an error the next
		// run fills them with the events that follow.
		err = m.submit(groups.closeAll()...)
	}
	if failed := m.wait(); failed != nil {
		return failed
	}
	if errors.Is(err, context.Canceled) {
		return cliexit.WithHint(err, againHint)
	}
	return err
}

// feed reads line after line and submits the groups that are full. It returns
// [io.EOF] at the end of the file.
func (m *importer) feed(in *lines, groups *groups) error {
	for {
		line, err := in.next()
		if err != nil {
			return err
		}
		id, err := ndjson.AggregateOf(line.text, m.Field)
		if err != nil {
			return in.bad(err)
		}
		if err := reserved.Check(m.ctx, id); err != nil {
			return in.bad(fmt.Errorf("field %q: %w", m.Field, err))
		}
		if err := m.submit(groups.add(id, line)...); err != nil {
			return err
		}
	}
}

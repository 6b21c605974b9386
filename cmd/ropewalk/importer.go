package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/semaphore"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/head"
)

const (
	// maxQueued is how many bytes of groups wait for their appends.
	maxQueued = 128 << 20
	// maxChains is how many chains' heads are remembered between two groups.
	maxChains = 16 << 10
	// compareAhead is how many changesets are looked up at once to be compared.
	compareAhead = 64
)

// importer appends groups to their chains: groups of one aggregate in order,
// groups of different aggregates at the same time. Each aggregate that has
// groups waiting has a goroutine of its own, and a slot.
type importer struct {
	ctx   context.Context
	store *store
	file  string
	flags importFlags
	slots chan struct{}
	room  *semaphore.Weighted // bytes that wait

	running sync.WaitGroup
	mu      sync.Mutex
	tracks  map[string]*track
	chains  int          // tracks that remember their chain
	failed  *failure     // nil while all is well
	bar     *ui.Progress // counts bytes
	counts  importJSON
}

// track is how far an aggregate has come.
type track struct {
	id       string
	waiting  []*group
	running  bool
	seen     bool // something of it was there already
	imported bool // something of it was not
	erased   bool // its aggregate is erased, and --skip-erased leaves it out
	// next is the version that the next group has or gets.
	next  uint64
	chain *importChain // nil where it is to be read
}

// importChain is what was read of an aggregate's chain.
type importChain struct {
	head head.Head
	// known are the changesets from known[0].Version on, to be compared.
	known []changeset.Header
}

// failure is the error that ends an import, and the line of its group.
type failure struct {
	line int64
	err  error
}

func newImporter(ctx context.Context, s *store, file string, flags importFlags, bar *ui.Progress) *importer {
	return &importer{
		ctx: ctx, store: s, file: file, flags: flags, bar: bar, slots: make(chan struct{}, flags.parallel), room: semaphore.NewWeighted(maxQueued),
		tracks: map[string]*track{}, counts: newImportJSON(),
	}
}

var errStopped = errors.New("the import has failed")

// submit queues groups, and waits while too much is queued. Its error says
// that nothing more will be imported.
func (m *importer) submit(groups ...*group) error {
	for _, g := range groups {
		if err := m.room.Acquire(m.ctx, int64(len(g.content))); err != nil {
			return err
		}
		begin, err := m.enqueue(g)
		if err != nil {
			return err
		}
		if begin != nil {
			m.slots <- struct{}{}
			m.running.Go(func() { m.work(begin) })
		}
	}
	return nil
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
	return t, nil
}

// work imports the groups of one aggregate until none waits.
func (m *importer) work(t *track) {
	defer func() { <-m.slots }()
	for g := m.take(t); g != nil; g = m.take(t) {
		added, err := m.importOne(t, g)
		m.room.Release(int64(len(g.content)))
		m.done(t, g, added, err)
	}
}

// take returns the next group of a track. After a failure it returns only
// groups that begin on an earlier line, so that the failure that is reported is
// the first in the file, whichever append was the fastest.
func (m *importer) take(t *track) *group {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(t.waiting) == 0 || m.failed != nil && m.failed.line < t.waiting[0].line {
		for _, g := range t.waiting {
			m.room.Release(int64(len(g.content)))
		}
		t.waiting, t.running = nil, false
		m.forget(t)
		return nil
	}
	g := t.waiting[0]
	t.waiting = t.waiting[1:]
	return g
}

// forget lets go of a chain where too many are remembered. It needs the lock.
func (m *importer) forget(t *track) {
	if t.chain != nil && m.chains > maxChains {
		t.chain = nil
		m.chains--
	}
}

func (m *importer) done(t *track, g *group, added bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bar.Add(int64(len(g.content)))
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

// worse returns the failure to report of two: the first in the file, unless
// only the other one leaves an append uncertain.
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

// wait returns when no append is under way, with the error of the failure.
func (m *importer) wait() error {
	m.running.Wait()
	if m.failed != nil {
		return m.failed.err
	}
	return nil
}

// result counts what was done. It must come after wait.
func (m *importer) result() importJSON {
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

// importOne sees to it that the chain has the group at its place, and reports
// whether it was added. Only the track's own goroutine calls it.
func (m *importer) importOne(t *track, g *group) (added bool, err error) {
	if t.erased {
		return false, ropewalk.ErrErased
	}
	defer func() { t.erased = m.flags.skipErased && errors.Is(err, ropewalk.ErrErased) }()
	if t.chain == nil {
		if err := m.load(t); err != nil {
			return false, m.failedAt(g, err)
		}
	}
	c := t.chain
	draft := changeset.Draft{CommandID: g.commandID(), Content: g.content, ContentType: typeNDJSON}
	if c.head.Exists() && t.next <= c.head.Version {
		if err := m.compare(t, g, draft); err != nil {
			return false, m.failedAt(g, err)
		}
		t.next++
		return false, nil
	}
	c.head, err = m.store.Chain(t.id).Append(m.ctx, c.head, draft)
	if err != nil {
		return false, m.failedAt(g, err)
	}
	t.next++
	return true, nil
}

// load reads the head of the track's chain.
func (m *importer) load(t *track) error {
	h, err := m.store.Chain(t.id).Head(m.ctx)
	if err != nil && !errors.Is(err, ropewalk.ErrNotFound) {
		return err
	}
	if t.next > 0 && (!h.Exists() || h.Version < t.next-1) {
		return fmt.Errorf("chain %q: %w: it was at %d", t.id, ropewalk.ErrHeadLost, t.next-1)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	t.chain = &importChain{head: h}
	m.chains++
	return nil
}

// compare returns an error unless the chain has just this group at its place.
func (m *importer) compare(t *track, g *group, draft changeset.Draft) error {
	c := t.chain
	if len(c.known) == 0 {
		last := min(t.next+compareAhead-1, c.head.Version)
		known, err := ropewalk.Collect(m.store.Chain(t.id).ReaderAt(c.head).Headers(m.ctx, ropewalk.Range{First: t.next, Last: last}))
		if err != nil {
			return err
		}
		c.known = known
	}
	there := c.known[0]
	c.known = c.known[1:]
	same, err := m.hasContent(c.head, there, g)
	if err != nil {
		return err
	}
	if same && there.CommandID == draft.CommandID && there.ContentType == draft.ContentType {
		return nil
	}
	err = fmt.Errorf("%s is not what would be imported there: an import adds to an empty chain, or to one that the same import has begun", there.Ref)
	return cliexit.WithHint(cliexit.Wrap(cliexit.Conflict, err), "read it: ropewalk show %s", ui.Operand(there.Ref.String()))
}

// hasContent reports whether a changeset has the group's content. It reads the
// changeset only if its content is stored compressed.
func (m *importer) hasContent(at head.Head, there changeset.Header, g *group) (bool, error) {
	if there.Encoding == "" {
		return there.BodySHA256 == g.sum(), nil
	}
	c, err := m.store.Chain(at.AggregateID).ReaderAt(at).At(m.ctx, there.Version)
	return bytes.Equal(c.Content, g.content), err
}

// failedAt says at which line an aggregate's import has failed.
func (m *importer) failedAt(g *group, err error) error {
	err = &lineError{m.file, g.line, fmt.Errorf("aggregate %q: %w", g.aggregate, err)}
	switch {
	case errors.Is(err, ropewalk.ErrUncertain):
		return cliexit.WithHint(err, "run the same import again: it finds out, and adds nothing twice")
	case errors.Is(err, context.Canceled):
		return cliexit.WithHint(err, againHint)
	case errors.Is(err, ropewalk.ErrErased):
		return cliexit.WithHint(err, "--skip-erased leaves erased aggregates out, and imports the others")
	}
	return err
}

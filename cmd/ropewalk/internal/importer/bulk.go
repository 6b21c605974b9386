package importer

import (
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ndjson"
	"ropewalk/head"
	"ropewalk/internal/body"
	"ropewalk/internal/link"
)

// The limits of what one step imports. A storage may take fewer aggregates.
const (
	maxStepGroups = 256
	maxStepBytes  = 4 << 20
	// bulkWorkers are enough: while one waits for the storage, another one builds.
	bulkWorkers = 3
	// maxQueuedGroups is the number of groups that wait for their steps.
	maxQueuedGroups = 8 * maxStepGroups
)

// bulk imports groups of many aggregates in one step of the storage, if put and swap are
// one step there: the appends of an aggregate follow one another, and one swap of its
// head commits them. They are the changesets that appends one by one would make. If a
// step fails, its groups are imported one by one, which finds out what became of it.
type bulk struct {
	swapper head.Transactor // nil if groups are imported one by one
	layout  link.Layout
	places  *semaphore.Weighted // groups that wait
	ready   []*track            // that have groups waiting, and no worker
	more    *sync.Cond
	ended   bool // no further group comes
}

func newBulk(s *ropewalk.Store, mu *sync.Mutex) bulk {
	b := bulk{more: sync.NewCond(mu), places: semaphore.NewWeighted(maxQueuedGroups), layout: link.Layout{Compress: s.Options().Compress}}
	combined, _ := head.As[head.Combined](s.HeadStore())
	swapper, ok := head.As[head.Transactor](s.HeadStore())
	if ok && combined != nil && holds(combined, s.Changesets()) && swapper.Members() > 1 && !s.Options().Packed {
		b.swapper = swapper
	}
	return b
}

// holds looks through decorators, as appends do.
func holds(c head.Combined, changesets changeset.Store) bool {
	decorator, ok := changesets.(changeset.Decorator)
	return c.Holds(changesets) || ok && holds(c, decorator.Unwrap())
}

// runBulk is a worker: it imports groups until no further one comes.
func (m *importer) runBulk() {
	for step := m.takeStep(); step != nil; step = m.takeStep() {
		m.importStep(step)
		m.leave(step)
	}
}

// part is what a step imports of one aggregate.
type part struct {
	*track
	groups []*group
	next   head.Head // after the groups
	built  []changeset.Changeset
}

// takeStep waits for groups, and takes as many as one step imports; nil at the end.
func (m *importer) takeStep() (step []*part) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.bulk.ready) == 0 && !m.bulk.ended {
		m.bulk.more.Wait()
	}
	groups, size := 0, 0
	for len(m.bulk.ready) > 0 && len(step) < m.bulk.swapper.Members() && groups < maxStepGroups && size < maxStepBytes {
		p := &part{track: m.bulk.ready[0]}
		m.bulk.ready = m.bulk.ready[1:]
		for len(p.waiting) > 0 && groups < maxStepGroups && size < maxStepBytes {
			p.groups, size = append(p.groups, p.waiting[0]), size+len(p.waiting[0].content)
			p.waiting = p.waiting[1:]
			groups++
		}
		step = append(step, p)
	}
	return step
}

// leave makes the tracks of a step ready again if more of their groups wait.
func (m *importer) leave(step []*part) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range step {
		if len(p.waiting) > 0 {
			m.bulk.ready = append(m.bulk.ready, p.track)
			continue
		}
		p.running = false
		m.forget(p.track)
	}
	m.bulk.more.Broadcast()
}

// importStep imports the groups of a step: together those that are new to their chains, and
// one by one the others.
func (m *importer) importStep(step []*part) {
	var together []*part
	var exchanges []head.Exchange
	for _, p := range step {
		if m.build(p) {
			together = append(together, p)
			exchanges = append(exchanges, head.Exchange{AggregateID: p.id, Old: p.chain.head, Next: p.next, Changesets: p.built})
		}
	}
	if len(together) > 0 {
		m.swap(together, exchanges)
	}
	for _, p := range step {
		m.importEach(p)
	}
}

// build makes the changesets of a part, each the only changeset of its append. It returns
// false if the part is to be imported one by one.
func (m *importer) build(p *part) bool {
	if p.erased || p.chain == nil && m.load(p.track) != nil || !m.isNew(p) {
		return false
	}
	next, now := p.chain.head, time.Now()
	for _, g := range p.groups {
		draft := changeset.Draft{CommandID: g.commandID(), Content: g.content, ContentType: ndjson.ContentType}
		a, err := link.Build(next, p.id, [][]body.Draft{m.bulk.layout.Drafts(next, []changeset.Draft{draft})}, now, m.bulk.layout)
		if err != nil {
			return false
		}
		p.built, next = append(p.built, a.Objects...), a.Next
	}
	p.next = next
	return true
}

// isNew reports whether the groups come after everything that the chain has, which must be
// of format 1.
func (m *importer) isNew(p *part) bool {
	h := p.chain.head
	appendable := h.IsZero() || h.State == head.Live && !h.IsPacked() && !h.IsPoint()
	return appendable && p.track.next == h.Len() && m.wanted(p.groups[len(p.groups)-1])
}

// swap commits the parts. If it fails, the parts are left as they were, and those whose chain
// has changed are to be read again.
func (m *importer) swap(parts []*part, exchanges []head.Exchange) {
	heads, err := m.bulk.swapper.SwapAll(m.ctx, exchanges)
	if conflicts, ok := errors.AsType[*head.ConflictsError](err); ok {
		for _, p := range parts {
			if _, changed := conflicts.Winners[p.id]; changed {
				m.reread(p.track)
			}
		}
	}
	if err != nil {
		return
	}
	for i, p := range parts {
		p.chain.head, p.track.next = heads[i], p.track.next+uint64(len(p.groups))
		for _, g := range p.groups {
			m.release(g)
			m.done(p.track, g, true, nil)
		}
		p.groups = nil
	}
}

// reread forgets what was read of a chain.
func (m *importer) reread(t *track) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t.chain = nil
	m.chains--
}

// importEach imports the groups of a part that no step has imported. After a failure it
// leaves out groups that begin on a later line, as take does.
func (m *importer) importEach(p *part) {
	for _, g := range p.groups {
		if m.wanted(g) {
			added, err := m.importOne(p.track, g)
			m.done(p.track, g, added, err)
		}
		m.release(g)
	}
}

// wanted reports whether no group on an earlier line has failed.
func (m *importer) wanted(g *group) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failed == nil || m.failed.line >= g.line
}

package gc_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/gc"
	"ropewalk/head"
	"ropewalk/internal/link"
)

var (
	packedSchedules = flag.Int("packed-schedules", 400, "how many random schedules the model of packed chains runs")
	packedBounds    = flag.Int("packed-bounds", 1, "how many preemptions and faults its enumerated schedules may have")
)

// The actors that work on packed chains, besides the actors of the model of format 1.
const (
	inline   = "inline"   // appends once after the head that it has loaded
	pairs    = "pairs"    // appends twice
	points   = "points"   // appends twice, the second time after a point of the history
	group    = "group"    // appends two changesets at once
	big      = "big"      // appends two changesets that are objects of their own
	unpacked = "unpacked" // appends, and would begin no packed chain
	updates  = "updates"  // appends twice by Update
	batches  = "batches"  // appends by an Appender, three callers at once
	settles  = "settles"  // settles the appends that are uncertain
	flushes  = "flushes"  // flushes
	absorbs  = "absorbs"  // replaces the newest object and the tip by one object
	reads    = "reads"    // reads the chain
	restores = "restores" // sets the head back to what it was
)

// modelTip is the size of the tip in the model: two lines fit, and a third does not.
const modelTip = 330

// packedScenario is who works on which chain.
type packedScenario struct {
	actors      []string
	old, packed int // appends before, to the chain of format 1 and to the packed one
	orphans     bool
	faults      int
	impatient   bool // writers give up soon: the outcomes of appends are uncertain
	collect     collecting
}

var packedPools = [][]string{
	{updates, updates, settles, collector, collector, reads},
	{inline, pairs, group, settles, collector, reads},
	{points, inline, flushes, collector},
	{batches, updates, settles, collector, collector, reads},
	{batches, batches, settles, collector},
	{big, group, updates, settles, collector, collector, reads},
	{unpacked, updates, settles, collector, reads},
	{unpacked, batches, big, collector},
	{updates, flushes, settles, collector, collector, reads},
	{flushes, flushes, inline, collector, collector},
	{pairs, inline, eraser, settles, collector, reads},
	{batches, eraser, flushes, collector, collector},
	{updates, big, flushes, batches, settles, collector, collector, reads, reads},
	{updates, absorbs, settles, collector, reads, reads},
	{absorbs, flushes, inline, collector, collector, reads},
	{pairs, settles, restores},
	{pairs, flushes, restores, collector, inline},
	{updates, flushes, restores, collector, points},
}

// packedScenarios are the scenarios whose schedules are enumerated.
var packedScenarios = []packedScenario{
	{actors: []string{inline, inline, collector}, old: 1, packed: 2},
	{actors: []string{pairs, collector, reads}, old: 1, packed: 2, faults: 1},
	{actors: []string{big, inline, collector}, old: 1, packed: 2, faults: 1},
	{actors: []string{inline, settles}, old: 1, packed: 1, faults: 2, impatient: true},
	{actors: []string{inline, settles}, faults: 2, impatient: true},
	{actors: []string{flushes, inline, collector}, old: 1, packed: 1, faults: 1},
	{actors: []string{flushes, absorbs, collector}, packed: 4, faults: 1},
	{actors: []string{inline, eraser, collector}, old: 1, packed: 2, faults: 1},
	{actors: []string{unpacked, group, collector}, old: 2, faults: 1},
	{actors: []string{collector, collector}, packed: 3, orphans: true, faults: 1},
}

// TestPackedModel runs the real code under every schedule of its requests, and every fault
// of them, that the bounds allow.
func TestPackedModel(t *testing.T) {
	t.Parallel() // one actor at a time works
	total := 0
	for _, s := range packedScenarios {
		if testing.Short() {
			s.faults = 0
		}
		n, violation := s.explore(t, *packedBounds)
		require.Empty(t, violation)
		total += n
	}
	t.Logf("%d schedules", total)
	require.True(t, testing.Short() || total > 1000)
}

// TestPackedModelAtRandom runs random schedules of many actors, without bounds.
func TestPackedModelAtRandom(t *testing.T) {
	t.Parallel()
	t.Logf("-packed-schedules %d -seed %d", *packedSchedules, *randomSeed)
	told := map[string]int{}
	schedules := *packedSchedules
	if testing.Short() {
		schedules /= 10
	}
	for i := range schedules {
		random := rand.New(rand.NewPCG(*randomSeed, uint64(i)))
		s := packedScenario{
			actors:  slices.Clone(packedPools[random.IntN(len(packedPools))]),
			old:     random.IntN(3),
			packed:  random.IntN(6),
			orphans: random.IntN(2) == 0,
			faults:  []int{0, 1, 2, 3, 5}[random.IntN(5)], impatient: random.IntN(2) == 0,
		}
		random.Shuffle(len(s.actors), func(i, j int) { s.actors[i], s.actors[j] = s.actors[j], s.actors[i] })
		var violation string
		s.inBubble(t, func(base *memstore.Store) {
			var g *packedGame
			_, g, violation = s.play(t, base, func(_, width int) int { return random.IntN(width) })
			for _, v := range g.told {
				told[v.verdict]++
			}
		})
		require.Empty(t, violation, "schedule %d of seed %d", i, *randomSeed)
	}
	t.Log(told)
}

// TestThePackedModelNeedsTheRules takes a rule of the collector out, and requires that the
// model finds a schedule that needs it.
func TestThePackedModelNeedsTheRules(t *testing.T) {
	for name, without := range map[string]func(*gc.Collector) *gc.Collector{
		"the fence":          (*gc.Collector).WithoutFence,
		"the after-revision": (*gc.Collector).WithoutRevisions,
	} {
		t.Run(name, func(t *testing.T) {
			for _, s := range packedScenarios {
				s.collect = func(c *gc.Collector, ctx context.Context, id string) (gc.Report, error) {
					return without(c).Collect(ctx, id)
				}
				if n, violation := s.explore(t, *packedBounds); violation != "" {
					t.Logf("schedule %d of %v: %s", n, s.actors, violation)
					return
				}
			}
			t.Fatal("without it nothing goes wrong")
		})
	}
}

// inBubble calls test in virtual time with the storage that the scenario begins with.
func (s packedScenario) inBubble(t *testing.T, test func(*memstore.Store)) {
	synctest.Test(t, func(t *testing.T) {
		p, m := inMemory(t)
		p = p.of(modelID)
		p.grow(s.old)
		p.options = &ropewalk.Options{Packed: true, TipSize: modelTip}
		p.grow(s.packed)
		if h := p.head(); s.orphans {
			p.spill(h, "pending 1")
			p.put(h, link.Layout{Packed: true}, "pending 2", "pending 3")
			if !h.IsPacked() {
				p.put(h, link.Layout{}, "pending 4", "pending 5")
			}
			if h.Exists() {
				p.swap(h, link.Fence(h))
				p.spill(p.head(), "pending 6")
			}
		}
		test(m)
		time.Sleep(time.Minute) // Appenders wait for more callers
	})
}

// explore runs the scenario under all its schedules, until one violates what must hold.
func (s packedScenario) explore(t *testing.T, bound int) (n int, violation string) {
	s.inBubble(t, func(base *memstore.Store) {
		n = schedules(bound, func(choose func(i, width int) int) (steps []step, more bool) {
			steps, _, violation = s.play(t, base, choose)
			return steps, violation == ""
		})
	})
	return n, violation
}

// play runs one schedule. It returns what is wrong afterwards.
func (s packedScenario) play(t *testing.T, base *memstore.Store, choose func(i, width int) int) ([]step, *packedGame, string) {
	if s.collect == nil {
		s.collect = (*gc.Collector).Collect
	}
	g := &packedGame{packedScenario: s, m: base.Clone(), e: &explorer{late: -1, faults: s.faults}, puts: map[changeset.ID]changeset.Changeset{}}
	g.check(g.load())
	var actors []func()
	for i, name := range s.actors {
		actors = append(actors, func() { g.act(i, name) })
	}
	steps := g.e.run(actors, choose)
	g.finish()
	violation := strings.Join(g.violations, "\n")
	if violation != "" {
		for _, s := range steps {
			violation += "\n  " + s.what
		}
		violation += fmt.Sprintf("\n  %v after %d and %d appends, orphans %t, %d faults", s.actors, s.old, s.packed, s.orphans, s.faults)
	}
	return steps, g, violation
}

// packedGame is one run of a scenario.
type packedGame struct {
	packedScenario
	m  *memstore.Store
	e  *explorer
	mu sync.Mutex // guards what follows

	told       []verdict
	uncertain  []uncertain
	seen       [][]string // the IDs that readers saw
	ever       []string   // the IDs of the chain, as it was committed last
	puts       map[changeset.ID]changeset.Changeset
	restored   bool
	lies       map[string]bool // what must not be called refused
	violations []string
}

// verdict is the result of an append, as its actor saw it.
type verdict struct{ text, verdict string }

// uncertain is an append whose outcome is unknown.
type uncertain struct {
	texts []string
	err   *ropewalk.UncertainError
}

func (g *packedGame) violate(format string, args ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.violations = append(g.violations, fmt.Sprintf(format, args...))
}

func (g *packedGame) load() head.Head {
	h, err := g.m.Load(context.Background(), modelID)
	if err != nil {
		g.violate("load: %v", err)
	}
	return h
}

// check proves the chain of a head that is stored now: it continues what was committed
// before.
func (g *packedGame) check(h head.Head) whole {
	w, err := readWhole(context.Background(), g.m, h)
	if err != nil {
		g.violate("revision %d: %v", h.Revision, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	ids := w.ids()
	if h.State == head.Live && !g.restored && (len(ids) < len(g.ever) || !slices.Equal(g.ever, ids[:len(g.ever)])) {
		g.violations = append(g.violations, fmt.Sprintf("revision %d has %v, and %v was committed", h.Revision, ids, g.ever))
	}
	g.ever = ids
	return w
}

func (w whole) ids() (ids []string) {
	for _, c := range w.changesets {
		ids = append(ids, c.ID.String())
	}
	return ids
}

// store returns the storage as one actor has it.
func (g *packedGame) store(i int) (watchedChangesets, watchedHeads) {
	return watchedChangesets{changesets{g.e, i, g.m}, g}, watchedHeads{heads{g.e, i, g.m}, g}
}

// watchedChangesets are objects whose puts and deletes are checked.
type watchedChangesets struct {
	changesets
	g *packedGame
}

func (s watchedChangesets) Put(ctx context.Context, c changeset.Changeset) error {
	s.g.mu.Lock()
	if before, ok := s.g.puts[c.ID]; ok && (before.Ref != c.Ref || before.AfterRevision != c.AfterRevision) {
		s.g.violations = append(s.g.violations, fmt.Sprintf("%s and %s have the same ID", before.Ref, c.Ref))
	}
	s.g.puts[c.ID] = c
	s.g.mu.Unlock()
	return s.changesets.Put(ctx, c)
}

func (s watchedChangesets) Delete(ctx context.Context, ref changeset.Ref) error {
	return s.e.change(s.actor, "delete "+ref.String(), func() error { return s.m.Delete(context.WithoutCancel(ctx), ref) })
}

// watchedHeads are heads whose swaps are checked when they are applied.
type watchedHeads struct {
	heads
	g *packedGame
}

func (s watchedHeads) Load(ctx context.Context, id string) (head.Head, error) {
	if s.e.outcomeOf(s.actor, []outcome{dropped}, "load") == dropped {
		return head.Head{}, errLate
	}
	return s.m.Load(ctx, id)
}

func (s watchedHeads) Swap(ctx context.Context, old, next head.Head) (h head.Head, err error) {
	what := fmt.Sprintf("swap to revision %d at %d, %d in objects", next.Revision, next.Version, next.Index.Next())
	err = s.e.change(s.actor, what, func() error {
		h, err = s.m.Swap(context.WithoutCancel(ctx), old, next)
		if err == nil {
			s.g.check(h)
		}
		return err
	})
	return h, err
}

// act does what an actor does.
func (g *packedGame) act(i int, name string) {
	ctx := context.Background()
	objects, heads := g.store(i)
	options := &ropewalk.Options{Packed: name != unpacked, TipSize: modelTip, SettleTimeout: 1000 * time.Hour}
	if g.impatient {
		options.SettleTimeout = time.Second
	}
	chain := ropewalk.New(objects, heads, options).Chain(modelID)
	text := func(n int) string { return fmt.Sprintf("%d%c", i, 'a'+n) }
	large := strings.Repeat("x", modelTip)
	switch name {
	case inline, unpacked:
		g.writes(ctx, chain, false, []string{text(0)})
	case pairs, points:
		g.writes(ctx, chain, name == points, []string{text(0)}, []string{text(1)})
	case group:
		g.writes(ctx, chain, false, []string{text(0), text(1)})
	case big:
		g.writes(ctx, chain, false, []string{text(0) + large, text(1) + large})
	case updates:
		g.updates(ctx, chain, text(0), text(1))
	case batches:
		g.batches(ctx, chain, text(0), text(1), text(2))
	case settles:
		g.settles(ctx, i, chain)
	case absorbs:
		g.absorbs(ctx, objects, heads)
	case reads:
		g.reads(ctx, i, chain)
	case restores:
		g.restores(i)
	default:
		g.maintains(ctx, i, name, gc.New(objects, heads, &gc.Options{Grace: -1, Delete: true, Parallel: 1}))
	}
}

// maintains does what an actor does that appends nothing.
func (g *packedGame) maintains(ctx context.Context, i int, name string, c *gc.Collector) {
	var err error
	switch name {
	case collector:
		if g.safe(i) {
			_, err = g.collect(c, ctx, modelID)
		}
	case eraser:
		_, err = c.Erase(ctx, modelID)
	case flushes:
		_, err = c.Flush(ctx, modelID)
	}
	g.expect(name, err)
}

// updates appends by Update, after any head that it finds.
func (g *packedGame) updates(ctx context.Context, chain *ropewalk.Chain, texts ...string) {
	for _, text := range texts {
		_, err := chain.Update(ctx, func(context.Context, *ropewalk.Reader) ([]changeset.Draft, error) {
			return []changeset.Draft{draft(text)}, nil
		})
		if g.tell(err, text); err != nil {
			return
		}
	}
}

// batches appends by an Appender with as many callers as there are texts.
func (g *packedGame) batches(ctx context.Context, chain *ropewalk.Chain, texts ...string) {
	appender := chain.NewAppender(nil)
	var callers sync.WaitGroup
	for _, text := range texts {
		callers.Go(func() {
			_, err := appender.Append(ctx, draft(text))
			g.tell(err, text)
		})
	}
	callers.Wait()
}

// safe reports whether a collector may work. A collector without grace must not be at work
// while heads are restored.
func (g *packedGame) safe(i int) bool {
	for range 20 {
		g.mu.Lock()
		safe := g.restored || !slices.Contains(g.actors, restores)
		g.mu.Unlock()
		if safe {
			return true
		}
		g.e.await(i, "wait for the restore")
	}
	return false
}

// expect accepts the errors that maintenance may meet.
func (g *packedGame) expect(who string, err error) {
	fine := err == nil || errors.Is(err, errLate) || errors.Is(err, changeset.ErrNotFound) || errors.Is(err, ropewalk.ErrErased) ||
		g.restored && errors.Is(err, ropewalk.ErrHeadLost)
	if !fine {
		g.violate("%s: %v", who, err)
	}
}

// writes makes appends, one after another.
func (g *packedGame) writes(ctx context.Context, chain *ropewalk.Chain, points bool, appends ...[]string) {
	h, err := chain.Head(ctx)
	if err != nil && !errors.Is(err, changeset.ErrNotFound) {
		return
	}
	for _, texts := range appends {
		var drafts []changeset.Draft
		for _, text := range texts {
			drafts = append(drafts, draft(text))
		}
		h, err = chain.Append(ctx, h, drafts...)
		if g.tell(err, texts...); err != nil {
			return
		}
		if points {
			if h, err = chain.HeadOf(ctx, h.Ref); err != nil {
				g.expect("points", err)
				return
			}
		}
	}
}

// tell records the result of an append.
func (g *packedGame) tell(err error, texts ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	unknown, isUnknown := errors.AsType[*ropewalk.UncertainError](err)
	_, refused := errors.AsType[*ropewalk.ConflictError](err)
	what := "failed"
	switch {
	case err == nil:
		what = "ok"
	case refused:
		what = "refused"
	case isUnknown:
		what = "uncertain"
		g.uncertain = append(g.uncertain, uncertain{texts, unknown})
	case errors.Is(err, ropewalk.ErrErased), errors.Is(err, ropewalk.ErrHeadLost):
		return
	}
	for _, text := range texts {
		g.told = append(g.told, verdict{text, what})
	}
}

// settles settles what is uncertain, three times.
func (g *packedGame) settles(ctx context.Context, i int, chain *ropewalk.Chain) {
	for range 3 {
		g.e.await(i, "look for what is uncertain")
		g.mu.Lock()
		all := g.uncertain
		g.mu.Unlock()
		if len(all) == 0 {
			continue
		}
		u := all[len(all)-1]
		_, err := chain.Settle(ctx, u.err.Ref, u.err.AfterRevision)
		_, refused := errors.AsType[*ropewalk.ConflictError](err)
		for _, text := range u.texts {
			g.mu.Lock()
			switch {
			case err == nil:
				g.told = append(g.told, verdict{text, "ok"})
			case refused:
				g.told = append(g.told, verdict{text, "settled refused"})
			}
			g.mu.Unlock()
		}
	}
}

func (g *packedGame) absorbs(ctx context.Context, objects watchedChangesets, heads watchedHeads) {
	h, err := heads.Load(ctx, modelID)
	if err != nil || h.State != head.Live || h.Index.Objects() == 0 {
		return
	}
	e, _ := h.Index.Latest()
	newest, err := objects.Get(ctx, e.Ref(modelID), nil)
	if err != nil {
		return // it has been replaced
	}
	next, o := absorbed(h, newest)
	if err := objects.Put(ctx, o); err == nil {
		_, _ = heads.Swap(ctx, h, next)
	}
}

// reads reads the whole chain. A reader that misses an object loads the head again.
func (g *packedGame) reads(ctx context.Context, i int, chain *ropewalk.Chain) {
	r, err := chain.Reader(ctx)
	if err != nil {
		g.expect(reads, err)
		return
	}
	g.e.await(i, "begin to read")
	var ids []string
	for c, err := range r.All(ctx) {
		if err != nil {
			g.expect(reads, err)
			return
		}
		ids = append(ids, c.ID.String())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen = append(g.seen, ids)
}

// restores sets the head back to what it was. What the chain loses must not be called
// refused if it was built on a revision that the head has not reached again.
func (g *packedGame) restores(i int) {
	g.e.await(i, "back up the head")
	old := g.load()
	g.e.await(i, "wait")
	g.e.await(i, "restore the head")
	now := g.load()
	if !old.Exists() || now.Revision <= old.Revision {
		return
	}
	record, err := head.EncodeJSON(old)
	if err != nil {
		g.violate("restore: %v", err)
	}
	before := g.check(now)
	g.m.Tamper(func(c *memstore.Contents) { c.Heads[head.ObjectName(modelID)] = record })
	g.mu.Lock()
	defer g.mu.Unlock()
	g.restored, g.lies = true, map[string]bool{}
	for _, c := range before.changesets[old.Len():] {
		if c.AfterRevision > old.Revision {
			g.lies[string(c.Content)] = true
		}
	}
}

// finish checks the results of all actors against what is stored.
func (g *packedGame) finish() {
	h := g.load()
	w := g.check(h)
	if h.State != head.Erased && !g.restored {
		g.judge(w)
	}
	for _, v := range g.told {
		if v.verdict == "settled refused" && g.lies[v.text] {
			g.violate("%s was committed and lost by a restored head, and is called refused", v.text)
		}
	}
	if len(g.violations) == 0 {
		g.leftovers(h)
	}
}

func (g *packedGame) judge(w whole) {
	texts, ids := w.texts(), w.ids()
	for _, v := range g.told {
		in := slices.Contains(texts, v.text)
		if v.verdict == "ok" && !in || v.verdict != "ok" && v.verdict != "uncertain" && in {
			g.violate("%s was told %s; in the chain: %t", v.text, v.verdict, in)
		}
	}
	for _, seen := range g.seen {
		if len(seen) > len(ids) || !slices.Equal(seen, ids[:len(seen)]) {
			g.violate("a reader saw %v, and the chain is %v", seen, ids)
		}
	}
	for _, list := range [][]string{texts, ids} {
		slices.Sort(list)
		if len(slices.Compact(list)) != len(w.changesets) {
			g.violate("a changeset is in the chain twice")
		}
	}
}

// leftovers requires that one more collection leaves the chain, and nothing else.
func (g *packedGame) leftovers(h head.Head) {
	ctx := context.Background()
	_, err := gc.New(g.m, g.m, &gc.Options{Grace: -1, Delete: true, Parallel: 1}).Collect(ctx, modelID)
	if g.expect("the last collection", err); !h.Exists() || g.restored {
		g.check(g.load())
		return
	}
	w := g.check(g.load())
	for o, err := range g.m.Objects(ctx, modelID) {
		if err != nil || !w.objects[o.Ref] {
			g.violate("%s is left, and not in the chain: %v", o.Ref, err)
		}
	}
}

package gc_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/gc"
	"ropewalk/head"
	"ropewalk/inspect"
	"ropewalk/internal/link"
)

var (
	randomSchedules = flag.Int("schedules", 2000, "how many random schedules the model runs")
	randomSeed      = flag.Uint64("seed", 1, "their seed")
)

// The actors of a scenario work on one chain of two changesets. Beside it there
// are an orphan that is lost at version 1, and a pending append of two objects
// that an earlier writer has abandoned.
const (
	writer    = "writer"    // appends once after the head, with a command ID
	retrier   = "retrier"   // appends the same command again, after the same head
	pair      = "pair"      // appends twice
	updater   = "updater"   // appends by Update, after any head it finds
	settler   = "settler"   // settles the pending append
	sleeper   = "sleeper"   // swaps the pending append's head at last
	collector = "collector" // collects
	eraser    = "eraser"    // erases
)

// scenario is who works, and how far schedules are enumerated.
type scenario struct {
	actors  []string
	deletes deletes
	late    bool // the first actor's first swap takes effect later
	bound   int  // preemptions
	unborn  bool // there is no head, in a store that packs: the pending append is the first one
}

const all = math.MaxInt

var scenarios = []scenario{
	{actors: []string{pair, collector}, bound: all},
	{actors: []string{writer, settler, collector}, bound: 3},
	{actors: []string{sleeper, settler}, bound: all},
	{actors: []string{sleeper, settler, settler}, bound: all},
	{actors: []string{sleeper, settler, collector}, bound: 3},
	{actors: []string{sleeper, settler}, late: true, bound: 3},
	{actors: []string{writer, retrier, collector}, bound: 3},
	{actors: []string{writer, retrier, collector}, late: true, bound: 2},
	{actors: []string{writer, collector}, late: true, bound: 4},
	{actors: []string{settler, collector}, late: true, deletes: twice, bound: 2},
	{actors: []string{pair, collector}, deletes: late, bound: 3},
	{actors: []string{settler, collector, collector}, bound: 3},
	{actors: []string{writer, collector, collector}, deletes: twice, bound: 1},
	{actors: []string{updater, pair, collector}, bound: 2},
	{actors: []string{writer, eraser, collector}, bound: 2},
	{actors: []string{writer, retrier, settler, collector, collector}, bound: 1},
	{actors: []string{writer, updater, settler, collector, collector}, bound: 1},
	{unborn: true, actors: []string{sleeper, settler}, bound: all},
	{unborn: true, actors: []string{sleeper, settler, collector}, bound: 3},
	{unborn: true, actors: []string{sleeper, collector}, late: true, bound: all},
	{unborn: true, actors: []string{sleeper, eraser}, late: true, bound: all},
	{unborn: true, actors: []string{pair, collector}, bound: all},
	{unborn: true, actors: []string{writer, settler, collector}, bound: 3},
	{unborn: true, actors: []string{writer, collector}, late: true, deletes: twice, bound: 2},
	{unborn: true, actors: []string{writer, eraser, collector}, deletes: late, bound: 1},
	{unborn: true, actors: []string{updater, eraser}, bound: all},
	{unborn: true, actors: []string{writer, settler, eraser}, bound: 2},
}

func (s scenario) String() string {
	name := strings.Join(s.actors, ", ")
	if s.late {
		name += ", a late swap"
	}
	if s.unborn {
		name += ", without a head"
	}
	return name + map[deletes]string{twice: ", deletes twice", late: ", deletes late"}[s.deletes]
}

// TestModel runs the real code under every schedule of its requests that the
// bounds allow, and checks the result of every actor against what is stored.
func TestModel(t *testing.T) {
	var total atomic.Int64
	t.Run("scenarios", func(t *testing.T) {
		for _, s := range scenarios {
			if testing.Short() {
				s.bound = min(s.bound-1, 1)
			}
			t.Run(s.String(), func(t *testing.T) {
				t.Parallel() // one actor at a time works in each
				n, violation := s.explore(t, (*gc.Collector).Collect)
				require.Empty(t, violation)
				t.Logf("%d schedules", n)
				total.Add(int64(n))
			})
		}
	})
	t.Logf("%d schedules in all", total.Load())
	require.True(t, testing.Short() || total.Load() > 20_000)
}

// TestModelAtRandom runs random schedules of all actors, without bounds.
func TestModelAtRandom(t *testing.T) {
	t.Logf("-schedules %d -seed %d", *randomSchedules, *randomSeed)
	inBubble(t, false, func(base *memstore.Store, known known) {
		schedules := *randomSchedules
		if testing.Short() {
			schedules /= 10
		}
		for i := range schedules {
			random := rand.New(rand.NewPCG(*randomSeed, uint64(i)))
			s := scenario{
				actors:  []string{writer, retrier, updater, pair, sleeper, settler, collector, collector},
				deletes: deletes(random.IntN(3)), late: random.IntN(2) == 0,
			}
			random.Shuffle(len(s.actors), func(i, j int) { s.actors[i], s.actors[j] = s.actors[j], s.actors[i] })
			_, violation := s.play(t, base, known, (*gc.Collector).Collect, func(_, width int) int { return random.IntN(width) })
			require.Empty(t, violation, "schedule %d of seed %d", i, *randomSeed)
		}
	})
}

// TestTheModelNeedsTheRules takes a rule of the collector out, and requires
// that the model finds what it is for.
func TestTheModelNeedsTheRules(t *testing.T) {
	type rule = func(*gc.Collector) *gc.Collector
	for name, without := range map[string]rule{
		"the fence":          (*gc.Collector).WithoutFence,
		"the after-revision": (*gc.Collector).WithoutRevisions,
	} {
		t.Run(name, func(t *testing.T) {
			for _, s := range scenarios {
				n, violation := s.explore(t, func(c *gc.Collector, ctx context.Context, id string) (gc.Report, error) {
					return without(c).Collect(ctx, id)
				})
				if violation != "" {
					t.Logf("%s: schedule %d: %s", s, n, violation)
					return
				}
			}
			t.Fatal("without it nothing goes wrong")
		})
	}
}

// collecting is the method under test.
type collecting = func(*gc.Collector, context.Context, string) (gc.Report, error)

// known is what a scenario begins with.
type known struct {
	head    head.Head
	pending changeset.Ref // the last changeset of the pending append
	next    head.Head     // that its swap makes
}

const modelID = "order-1"

// inBubble calls test in virtual time with the storage that all begin with.
func inBubble(t *testing.T, unborn bool, test func(*memstore.Store, known)) {
	synctest.Test(t, func(t *testing.T) {
		p, m := inMemory(t)
		p = p.of(modelID)
		k := known{}
		if !unborn {
			p.orphan(p.grow(1), "lost")
			k.head = p.grow(1)
		}
		k.pending = p.orphan(k.head, "pending 1", "pending 2")[1]
		info, err := m.Stat(t.Context(), k.pending)
		require.NoError(t, err)
		k.next = link.Next(k.head, info.Header)
		test(m, k)
	})
}

// explore runs the scenario under all its schedules, until one violates what
// must hold.
func (s scenario) explore(t *testing.T, do collecting) (n int, violation string) {
	inBubble(t, s.unborn, func(base *memstore.Store, known known) {
		n = schedules(s.bound, func(choose func(i, width int) int) (steps []step, more bool) {
			steps, violation = s.play(t, base, known, do, choose)
			return steps, violation == ""
		})
	})
	return n, violation
}

// play runs one schedule. It returns what is wrong afterwards.
func (s scenario) play(t *testing.T, base *memstore.Store, known known, do collecting, choose func(i, width int) int) ([]step, string) {
	g := &game{t: t, unborn: s.unborn, known: known, m: base.Clone(), collect: do, e: &explorer{deletes: s.deletes, late: -1}}
	if s.late {
		g.e.late = 0
	}
	var actors []func()
	for i, name := range s.actors {
		o := &ropewalk.Options{SettleTimeout: 1000 * time.Hour, Packed: s.unborn, TipSize: -1}
		store := ropewalk.New(changesets{g.e, i, g.m}, heads{g.e, i, g.m}, o)
		actors = append(actors, func() { g.act(i, name, store.Chain(modelID)) })
	}
	steps := g.e.run(actors, choose)
	violation := g.violation()
	if violation != "" {
		for _, s := range steps {
			violation += "\n  " + s.what
		}
		violation += "\n  actors: " + s.String()
	}
	return steps, violation
}

// game is one run of a scenario.
type game struct {
	t       *testing.T
	unborn  bool
	known   known
	m       *memstore.Store
	e       *explorer
	collect collecting
	told    []told // by several, but one at a time
}

// told is the result of an append, as its actor saw it.
type told struct {
	who  string
	text string // of the append's first changeset
	ref  changeset.Ref
	err  error
}

func (g *game) act(i int, name string, chain *ropewalk.Chain) {
	ctx := context.Background()
	switch name {
	case writer, retrier:
		d := draft("command")
		d.CommandID = "command"
		got, err := chain.Append(ctx, g.known.head, d)
		g.tell(told{name, "command", got.Ref, err})
	case pair:
		got, err := chain.Append(ctx, g.known.head, draft("pair 1"))
		g.tell(told{name, "pair 1", got.Ref, err})
		if err == nil {
			got, err = chain.Append(ctx, got, draft("pair 2"))
			g.tell(told{name, "pair 2", got.Ref, err})
		}
	case updater:
		got, err := chain.Update(ctx, func(context.Context, *ropewalk.Reader) ([]changeset.Draft, error) {
			return []changeset.Draft{draft("update")}, nil
		})
		g.tell(told{name, "update", got.Ref, err})
	case settler:
		got, err := chain.Settle(ctx, g.known.pending, g.known.head.Revision)
		for try := 0; try < 5 && errors.As(err, new(*ropewalk.UncertainError)); try++ {
			got, err = chain.Settle(ctx, g.known.pending, g.known.head.Revision) // as it asks for
		}
		if err == nil && got.Ref != g.known.pending {
			err = fmt.Errorf("settled %s as %s", g.known.pending, got.Ref)
		}
		g.tell(told{name, "pending 1", got.Ref, err})
	case sleeper:
		_, err := heads{g.e, i, g.m}.Swap(ctx, g.known.head, g.known.next)
		if err == nil {
			g.tell(told{name, "pending 1", g.known.pending, nil})
		}
	case collector, eraser:
		c := gc.New(changesets{g.e, i, g.m}, heads{g.e, i, g.m}, &gc.Options{Grace: -1, Delete: true, Parallel: 1, Void: g.unborn})
		var err error
		if name == eraser {
			_, err = c.Erase(ctx, modelID)
		} else {
			_, err = g.collect(c, ctx, modelID)
		}
		gone := g.unborn && errors.Is(err, changeset.ErrNotFound)
		if err != nil && !gone && !errors.Is(err, errLate) {
			g.tell(told{name, "", changeset.Ref{}, err})
		}
	}
}

func (g *game) tell(what told) {
	g.e.mu.Lock()
	defer g.e.mu.Unlock()
	g.told = append(g.told, what)
}

// violation returns what must not be.
func (g *game) violation() string {
	ctx := context.Background()
	h, err := g.m.Load(ctx, modelID)
	if err != nil {
		return err.Error()
	}
	if h.State == head.Erased {
		return g.violationOfErased()
	}
	report, err := inspect.New(g.m, g.m, &inspect.Options{Parallel: 1}).Verify(ctx, modelID)
	if err != nil && !(g.unborn && errors.Is(err, changeset.ErrNotFound)) || len(report.Problems) > 0 || report.Unknown > 0 {
		return fmt.Sprintf("verify: %v %v", err, report.Problems)
	}
	var texts []string
	refs := map[changeset.Ref]bool{}
	for c, err := range ropewalk.New(g.m, g.m, nil).Chain(modelID).ReaderAt(h).All(ctx) {
		if err != nil {
			return err.Error()
		}
		texts, refs[c.Ref] = append(texts, string(c.Content)), true
	}
	for _, what := range g.told {
		if v := what.violation(texts, refs); v != "" {
			return v
		}
	}
	slices.Sort(texts)
	if len(slices.Compact(texts)) != len(refs) {
		return "a content is in the chain twice"
	}
	return g.leftovers(len(refs))
}

// leftovers requires that one more collection leaves nothing but the chain.
func (g *game) leftovers(committed int) string {
	p := place{g.t, g.m, heads{m: g.m}, modelID, nil}
	_, err := gc.New(g.m, g.m, &gc.Options{Grace: -1, Delete: true, Parallel: 1, Void: g.unborn}).Collect(context.Background(), modelID)
	if err != nil && !(g.unborn && errors.Is(err, changeset.ErrNotFound)) {
		return err.Error()
	}
	if left := len(p.objects()); left != committed {
		return fmt.Sprintf("%d objects are left of a chain of %d", left, committed)
	}
	return ""
}

func (g *game) violationOfErased() string {
	for _, what := range g.told {
		var conflict *ropewalk.ConflictError
		if what.err != nil && !errors.Is(what.err, ropewalk.ErrErased) && !errors.As(what.err, &conflict) {
			return fmt.Sprintf("%s was told %v", what.who, what.err)
		}
	}
	return g.leftovers(0)
}

// violation checks the result that an actor saw against the chain.
func (w told) violation(texts []string, refs map[changeset.Ref]bool) string {
	in := slices.Contains(texts, w.text)
	_, refused := errors.AsType[*ropewalk.ConflictError](w.err)
	switch {
	case w.err == nil && (!in || !refs[w.ref]):
		return fmt.Sprintf("%s was told that %q is committed, as %s, and it is not", w.who, w.text, w.ref)
	case refused && !in:
	case w.err != nil:
		return fmt.Sprintf("%s was told of %q, in the chain %t: %v", w.who, w.text, in, w.err)
	}
	return ""
}

package gc_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"ropewalk/backends/memstore"
	"ropewalk/changeset"
	"ropewalk/gc"
	"ropewalk/head"
)

// explorer lets actors work on one storage, one request at a time: each request
// waits for its turn, and whose turn it is decides the schedule. It runs in a
// bubble of virtual time, in which "all actors wait" can be seen.
type explorer struct {
	mu      sync.Mutex
	waiting []*turn
	running map[int]bool
	ghosts  int
	// deletes says what happens to deletes, and late whose first swap is late.
	deletes deletes
	late    int
	// faults is how many more requests may go wrong, as the schedule chooses.
	faults int
}

// outcome is what becomes of a request.
type outcome int

const (
	applied outcome = iota
	unheard         // applied, and the reply is lost
	delayed         // applied at any later time
	dropped         // never applied
)

func (o outcome) String() string { return [...]string{"", ", unheard", ", delayed", ", dropped"}[o] }

// deletes says what happens to the collectors' deletes.
type deletes int

const (
	once  deletes = iota
	twice         // they take effect, and again at any later time
	late          // they fail, and take effect at any later time
)

// turn is a request that waits.
type turn struct {
	actor   int
	what    string
	wrongly []outcome // the ways in which it can go wrong
	proceed chan outcome
}

// choice is a request that may come next, and what becomes of it.
type choice struct {
	*turn
	outcome outcome
}

// step is one decision of a schedule: which of how many requests comes next.
type step struct {
	width, chosen int
	// continues says that choice 0 goes on with the actor of the step before;
	// any other choice is then a preemption.
	continues bool
	what      string
}

func (s step) preempts(choice int) int {
	if s.continues && choice > 0 {
		return 1
	}
	return 0
}

// run lets the actors work until all have ended, as choose decides.
func (e *explorer) run(actors []func(), choose func(i, width int) int) (steps []step) {
	e.running = map[int]bool{}
	for i, act := range actors {
		e.start(i, act)
	}
	for last := -1; ; {
		options := e.choices(last)
		if len(options) == 0 {
			return steps
		}
		s := step{width: len(options), continues: options[0].actor == last}
		s.chosen = choose(len(steps), s.width) % s.width // the same width again, unless two runs differ
		next := options[s.chosen]
		s.what = fmt.Sprintf("%d %s%s", next.actor, next.what, next.outcome)
		steps, last = append(steps, s), next.actor
		e.remove(next.turn)
		if next.outcome != applied {
			e.faults--
		}
		next.proceed <- next.outcome
	}
}

// choices returns what may come next: first every request that waits, then the ways in
// which one can go wrong.
func (e *explorer) choices(last int) (all []choice) {
	options := e.options(last)
	for _, t := range options {
		all = append(all, choice{t, applied})
	}
	if e.faults > 0 {
		for _, t := range options {
			for _, o := range t.wrongly {
				all = append(all, choice{t, o})
			}
		}
	}
	return all
}

func (e *explorer) start(actor int, act func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running[actor] = true
	go func() {
		act()
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.running, actor)
	}()
}

// options returns the requests that wait once each actor that runs has one, the
// last actor's first; no requests when all actors have ended.
func (e *explorer) options(last int) []*turn {
	for {
		synctest.Wait()
		e.mu.Lock()
		options := slices.Clone(e.waiting)
		asleep := len(e.running)
		for actor := range e.running {
			if slices.ContainsFunc(options, func(t *turn) bool { return t.actor == actor }) {
				asleep--
			}
		}
		e.mu.Unlock()
		if asleep == 0 {
			rank := func(t *turn) int { return (t.actor - last + 1000) % 1000 }
			slices.SortStableFunc(options, func(a, b *turn) int { return cmp.Or(rank(a)-rank(b), cmp.Compare(a.what, b.what)) })
			return options
		}
		time.Sleep(10 * time.Second) // an actor pauses between two tries
	}
}

func (e *explorer) remove(t *turn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiting = slices.DeleteFunc(e.waiting, func(other *turn) bool { return other == t })
}

// await waits for the request's turn.
func (e *explorer) await(actor int, format string, args ...any) {
	e.outcomeOf(actor, nil, fmt.Sprintf(format, args...))
}

// outcomeOf waits for the request's turn, and returns what becomes of the request.
func (e *explorer) outcomeOf(actor int, wrongly []outcome, what string) outcome {
	t := &turn{actor, what, wrongly, make(chan outcome, 1)}
	e.mu.Lock()
	e.waiting = append(e.waiting, t)
	e.mu.Unlock()
	return <-t.proceed
}

// change waits for the turn of a request that changes something, and sends it, or does
// what the schedule wants instead.
func (e *explorer) change(actor int, what string, send func() error) error {
	switch e.outcomeOf(actor, []outcome{unheard, delayed, dropped}, what) {
	case applied:
		return send()
	case unheard:
		_ = send()
	case delayed:
		e.haunt(what, func() { _ = send() })
	}
	return errLate
}

// haunt lets a request that is under way take effect at any later time.
func (e *explorer) haunt(what string, apply func()) {
	e.mu.Lock()
	e.ghosts++
	ghost := 100 + e.ghosts
	e.mu.Unlock()
	e.start(ghost, func() {
		e.await(ghost, "late %s", what)
		apply()
	})
}

// maxGhosts bounds how many deletes arrive twice or late: later deletes arrive
// once and in time.
const maxGhosts = 2

func (e *explorer) haunts() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ghosts
}

// errLate is the error of a request that takes effect later.
var errLate = errors.New("no answer in time")

// changesets is the storage as one actor has it.
type changesets struct {
	e     *explorer
	actor int
	m     *memstore.Store
}

func (c changesets) Put(ctx context.Context, cs changeset.Changeset) error {
	return c.e.change(c.actor, fmt.Sprintf("put %d", cs.Version), func() error { return c.m.Put(context.WithoutCancel(ctx), cs) })
}

func (c changesets) Get(ctx context.Context, ref changeset.Ref, admission changeset.Admission) (changeset.Changeset, error) {
	c.e.await(c.actor, "get %d", ref.Version)
	return c.m.Get(ctx, ref, admission)
}

func (c changesets) Stat(ctx context.Context, ref changeset.Ref) (changeset.Info, error) {
	c.e.await(c.actor, "stat %d", ref.Version)
	return c.m.Stat(ctx, ref)
}

func (c changesets) Objects(ctx context.Context, id string) iter.Seq2[changeset.Object, error] {
	return func(yield func(changeset.Object, error) bool) {
		c.e.await(c.actor, "list")
		c.m.Objects(ctx, id)(yield)
	}
}

func (c changesets) Aggregates(ctx context.Context, after string) iter.Seq2[string, error] {
	return c.m.Aggregates(ctx, after)
}

func (c changesets) Delete(ctx context.Context, ref changeset.Ref) error {
	what := fmt.Sprintf("delete %d", ref.Version)
	c.e.await(c.actor, "%s", what)
	if c.e.deletes != once && c.e.haunts() < maxGhosts {
		c.e.haunt(what, func() { _ = c.m.Delete(context.Background(), ref) })
		if c.e.deletes == late {
			return errLate
		}
	}
	return c.m.Delete(ctx, ref)
}

// heads are the heads as one actor has them: put and swap are two steps.
type heads struct {
	e     *explorer
	actor int
	m     *memstore.Store
}

func (h heads) Load(ctx context.Context, id string) (head.Head, error) {
	h.e.await(h.actor, "load")
	return h.m.Load(ctx, id)
}

func (h heads) Swap(ctx context.Context, old, next head.Head) (head.Head, error) {
	h.e.await(h.actor, "swap %d", next.Version)
	if h.e.late == h.actor {
		h.e.late = -1
		h.e.haunt("swap", func() { _, _ = h.m.Swap(context.Background(), old, next) })
		return head.Head{}, errLate
	}
	return h.m.Swap(ctx, old, next)
}

func (h heads) List(ctx context.Context, cursor string) iter.Seq2[head.Head, error] {
	return h.m.List(ctx, cursor)
}

var (
	_ gc.Changesets = changesets{}
	_ head.Store    = heads{}
)

// schedules enumerates all schedules with at most bound preemptions: run runs
// one and returns its steps, or false to stop.
func schedules(bound int, run func(choose func(i, width int) int) ([]step, bool)) (n int) {
	var prefix []int
	for {
		steps, more := run(func(i, _ int) int {
			if i < len(prefix) {
				return prefix[i]
			}
			return 0
		})
		if n++; !more {
			return n
		}
		if prefix = following(steps, bound); prefix == nil {
			return n
		}
	}
}

// following returns the choices that begin the next schedule; nil after the last.
func following(steps []step, bound int) []int {
	spent := 0
	for _, s := range steps {
		spent += s.preempts(s.chosen)
	}
	for i := len(steps) - 1; i >= 0; i-- {
		s := steps[i]
		spent -= s.preempts(s.chosen)
		if s.chosen+1 < s.width && spent+s.preempts(s.chosen+1) <= bound {
			var prefix []int
			for _, before := range steps[:i] {
				prefix = append(prefix, before.chosen)
			}
			return append(prefix, s.chosen+1)
		}
	}
	return nil
}

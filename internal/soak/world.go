package soak

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
)

// How much each history is: few enough operations for the search for an order.
const (
	writers          = 4
	writerOperations = 10
	readerOperations = 8
	settlements      = 8
	collectors       = 2
	collections      = 8
	eraseOneIn       = 4 // histories
	batchers         = 3 // who share an appender
	batches          = 6
)

// world is a history under way.
type world struct {
	*History
	place   Place
	script  *faults.Script
	trouble *trouble
	chain   *ropewalk.Chain   // under faults
	chains  []*ropewalk.Chain // under faults, of writers with different options; chain is the first one
	direct  *ropewalk.Chain   // without

	mu       sync.Mutex               // guards the following, and all operations
	open     map[Settles][]*Operation // uncertain appends, by what settles them
	refused  map[changeset.Ref]bool   // what Settle has said of changesets: false means committed
	commands []*command
}

// command is an append that carries a command ID, and so may be sent again by
// any client.
type command struct {
	id       string
	after    head.Head
	base     string
	contents []string
	got      changeset.Ref // zero until it is acknowledged
}

func newWorld(place Place, seed uint64) *world {
	w := &world{
		History: &History{Seed: seed}, place: place, script: &faults.Script{},
		trouble: newTrouble(seed, place.Unit), open: map[Settles][]*Operation{}, refused: map[changeset.Ref]bool{},
	}
	heads := w.script.Heads(place.Heads)
	if seed%3 > 0 { // where a storage can put and swap in one step, it does so in every third history
		heads = faults.TwoSteps(heads)
	}
	id := fmt.Sprintf("soak/%d", seed)
	settle := []time.Duration{place.Unit / 4, place.Unit, 6 * place.Unit}[seed/3%3]
	for _, o := range formats[seed/4%uint64(len(formats))] {
		o.SettleTimeout = settle
		w.chains = append(w.chains, ropewalk.New(w.script.Changesets(place.Changesets), heads, &o).Chain(id))
	}
	w.chain = w.chains[0]
	w.direct = ropewalk.New(place.Changesets, place.Heads, nil).Chain(id)
	return w
}

// formats are the options of the writers of a history: half of the histories are of format
// 1, and the others are packed, with tips that are never full, tips that are often moved
// into objects, without tips, and with writers of both kinds at once.
var formats = [][]ropewalk.Options{
	{{}},
	{{Packed: true, TipSize: 64 << 10}},
	{{}},
	{{Packed: true, TipSize: 700}, {}},
	{{}},
	{{Packed: true, TipSize: 1200}},
	{{}},
	{{Packed: true, TipSize: 2000}, {Packed: true, TipSize: -1}, {}},
}

// live lets all clients work, waits until everything that is late has arrived,
// and compares the outcomes they got with what is stored.
func (w *world) live(ctx context.Context) *History {
	w.script.Draw(w.trouble.fault)
	var group sync.WaitGroup
	for n := range writers {
		group.Go(func() { w.client(n).write(ctx, writerOperations) })
	}
	group.Go(func() { w.client(writers).readAgain(ctx, readerOperations) })
	group.Go(func() { w.client(writers+1).settleAgain(ctx, settlements) })
	for n := range collectors {
		group.Go(func() { w.client(writers+2+n).collectAgain(ctx, collections) })
	}
	appender := w.chain.NewAppender(nil)
	for n := range batchers {
		group.Go(func() { w.client(writers+2+collectors+n).batchAgain(ctx, appender, batches) })
	}
	if w.Seed%eraseOneIn == 0 {
		group.Go(func() { w.client(writers + 2 + collectors + batchers).eraseOnce(ctx) })
	}
	group.Wait()
	w.script.Draw(nil)
	time.Sleep((maxLate + 1) * w.place.Unit)
	w.script.Release()
	w.Faults = w.trouble.count
	w.finish(ctx)
	return w.History
}

func (w *world) client(number int) *client {
	return &client{world: w, chain: w.chains[number%len(w.chains)], number: number, rand: rand.New(rand.NewPCG(w.Seed, uint64(number)+2))}
}

func (w *world) violated(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Violations = append(w.Violations, fmt.Sprintf(format, args...))
}

// record adds an operation to the history.
func (w *world) record(op *Operation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Operations = append(w.Operations, op)
	if op.Outcome == Unknown && op.isWrite() {
		w.open[op.Settles] = append(w.open[op.Settles], op)
	}
}

// unexpected notes an error that no fault explains. While an aggregate is being
// erased, its objects vanish before the eyes of those who read it: they learn
// that it is erased, unless a fault keeps the head from them.
func (w *world) unexpected(ctx context.Context, doing string, err error) {
	_, corrupt := errors.AsType[*ropewalk.CorruptError](err)
	if !corrupt && !errors.Is(err, ropewalk.ErrHeadLost) {
		return
	}
	h, loadErr := w.place.Heads.Load(context.WithoutCancel(ctx), w.chain.AggregateID())
	vanished := loadErr == nil && h.State == head.Erased && (errors.Is(err, faults.ErrInjected) || ctx.Err() != nil || doing == "collect")
	if !corrupt || !vanished {
		w.violated("%s: %v", doing, err)
	}
}

// settle ends an append that was uncertain, over the given chain, if it can.
func (w *world) settle(ctx context.Context, chain *ropewalk.Chain, what Settles) (head.Head, error) {
	h, err := chain.Settle(ctx, what.Ref, what.AfterRevision)
	w.unexpected(ctx, "settle "+what.Ref.String(), err)
	w.mu.Lock()
	defer w.mu.Unlock()
	_, refused := errors.AsType[*ropewalk.ConflictError](err)
	if err != nil && !refused {
		return h, err
	}
	if before, settled := w.refused[what.Ref]; settled && before != refused {
		w.Violations = append(w.Violations, fmt.Sprintf("%s was settled in two ways: %v", what.Ref, err))
	}
	w.refused[what.Ref] = refused
	if refused {
		w.close(what, Failed, err)
	} else {
		w.close(what, Done, nil)
	}
	return h, err
}

// close gives the appends that were settled their outcome. It needs the lock.
func (w *world) close(what Settles, outcome Outcome, err error) {
	now := time.Now().UnixNano()
	for _, op := range w.open[what] {
		op.Outcome, op.Return = outcome, now
		if err != nil {
			op.Err = err
		}
	}
	delete(w.open, what)
}

// uncertain returns what settles the appends whose outcome is unknown, in the
// order of their calls.
func (w *world) uncertain() []Settles {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []Settles
	for what := range w.open {
		all = append(all, what)
	}
	slices.SortFunc(all, func(a, b Settles) int {
		first, second := w.open[a][0], w.open[b][0]
		return cmp.Or(cmp.Compare(first.Call, second.Call), cmp.Compare(first.Client, second.Client))
	})
	return all
}

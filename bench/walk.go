package main

import (
	"context"
	"fmt"
	"time"

	"ropewalk"
	"ropewalk/bench/internal/lab"
	"ropewalk/bench/internal/peers"
	"ropewalk/bench/internal/report"
	"ropewalk/cache"
)

var walkExperiment = experiment{
	name: "walk", title: "A whole history against the plain walk",
	setup: `The plain walk of the original posts reads the head, and then one changeset after the other along
parent-changeset-id: each GET waits for the one before. Ropewalk reads the same chain from the same S3 server; both add
20 ms to each request. Contents have 512 bytes. Ropewalk checks every content, link and digest; the plain walk checks
nothing. Options are the defaults. Forward, the plain walk has to arrive at the oldest changeset before it can
yield the first. *The same GETs, bare* are the requests of an S3 client that knows all keys before: one GET, then all others
at once, nothing checked.`,
	run: runWalk,
}

const farAway = 20 * time.Millisecond

func runWalk(ctx context.Context, l *laboratory, r *report.Results) error {
	b, err := l.newBucket(ctx, "walk", farAway)
	if err != nil {
		return err
	}
	plot := walkPlot{}
	for _, n := range pick(l, []int{10, 100, 1000, 10_000}, []int{10, 40}) {
		w := &walking{laboratory: l, bucket: b, n: n, id: fmt.Sprintf("walk-%d", n)}
		if err := w.run(ctx, r, plot); err != nil {
			return fmt.Errorf("n = %d: %w", n, err)
		}
	}
	r.Plots = []report.Plot{plot.plot()}
	r.Limits = append(r.Limits,
		"Next: below n = 1,000 nothing but fewer trips would help, which is what snapshots are for; above, the client's and the server's processors, which would not share one machine. A service also limits requests a second: S3 gives 5,500 GETs a second and prefix, and answers with 503 beyond that, which the SDK repeats.")
	return nil
}

// walking measures one length of chain.
type walking struct {
	*laboratory
	*bucket
	n    int
	id   string
	keys []string
}

func (w *walking) run(ctx context.Context, r *report.Results, plot walkPlot) error {
	if err := w.prepare(ctx); err != nil {
		return err
	}
	costs, err := w.trips(ctx,
		lab.Task{Do: lab.DoBackward, N: w.n}, lab.Task{Do: lab.DoForward, N: w.n}, lab.Task{Do: lab.DoFirst, N: w.n})
	if err != nil {
		return err
	}
	again, err := w.again()
	if err != nil {
		return err
	}
	variants := []lab.Variant{w.plain, lab.Milliseconds(w.backward), w.forward(false), w.forward(true), lab.Milliseconds(w.bare), again}
	for _, warm := range variants[1:] { // opens the connections
		if _, err := warm(ctx); err != nil {
			return err
		}
	}
	turns := 5
	if w.n >= 1000 {
		turns = pick(w.laboratory, max(1, 3000/w.n), 1)
	}
	figures, err := lab.Turns(ctx, turns, variants...)
	if err != nil {
		return err
	}
	return w.report(ctx, r, figures, costs, plot)
}

// prepare makes the chain, and learns its keys.
func (w *walking) prepare(ctx context.Context) error {
	chain := ropewalk.New(w.near, w.near, nil).Chain(w.id)
	h, err := seed(ctx, chain, w.n, w.content(512))
	if err != nil {
		return err
	}
	for header, err := range chain.ReaderAt(h).Headers(ctx, ropewalk.Range{Last: h.Version, Backward: true}) {
		if err != nil {
			return err
		}
		w.keys = append(w.keys, header.ObjectName())
	}
	return nil
}

func (w *walking) plain(ctx context.Context) (float64, error) {
	return lab.Milliseconds(func(ctx context.Context) error {
		n, err := peers.PlainWalk(ctx, w.client, w.name, "", w.id, w.n)
		if err == nil && n != w.n {
			err = fmt.Errorf("the plain walk has read %d changesets of %d", n, w.n)
		}
		return err
	})(ctx)
}

func (w *walking) backward(ctx context.Context) error {
	reader, err := w.store().Chain(w.id).Reader(ctx)
	if err != nil {
		return err
	}
	return lab.Drain(reader.Backward(ctx), false)
}

// forward measures until the last changeset has arrived, or until the first has:
// not the cancelling of what was fetched ahead, which comes after that.
func (w *walking) forward(onlyFirst bool) lab.Variant {
	return func(ctx context.Context) (float64, error) {
		start := time.Now()
		reader, err := w.store().Chain(w.id).Reader(ctx)
		if err != nil {
			return 0, err
		}
		var took time.Duration
		for _, err := range reader.All(ctx) {
			took = time.Since(start)
			if err != nil || onlyFirst {
				return took.Seconds() * 1000, err
			}
		}
		return took.Seconds() * 1000, nil
	}
}

// again reads what was read before, through a cache that has it all.
func (w *walking) again() (lab.Variant, error) {
	cached, err := cache.New(w.far, &cache.Options{Bytes: 64 << 20})
	return lab.Milliseconds(func(ctx context.Context) error {
		reader, err := ropewalk.New(cached, w.far, nil).Chain(w.id).Reader(ctx)
		if err != nil {
			return err
		}
		return lab.Drain(reader.All(ctx), false)
	}), err
}

func (w *walking) bare(ctx context.Context) error {
	if err := peers.GetAll(ctx, w.client, w.name, w.keys[:1]); err != nil {
		return err
	}
	return peers.GetAll(ctx, w.client, w.name, w.keys[1:])
}

func (w *walking) report(ctx context.Context, r *report.Results, figures [][]float64, costs []lab.Cost, plot walkPlot) error {
	requests := make([]int, 2)
	for i, variant := range []lab.Variant{lab.Milliseconds(w.backward), w.forward(false)} {
		var err error
		if requests[i], err = w.wire.Requests(func() error { _, err := variant(ctx); return err }); err != nil {
			return err
		}
	}
	row := func(name, what string, i int, cost lab.Cost) report.Row {
		return report.Row{Name: name, What: what, N: w.n, Value: report.Of(figures[i]), Unit: "ms", Trips: cost.Trips, Requests: cost.Requests}
	}
	walk := lab.Cost{Trips: w.n + 1, Requests: w.n + 1}
	times := func(i int) report.Stat { return report.Ratios(figures[0], figures[i]) }
	backward := row("Ropewalk", "backward", 1, lab.Cost{Trips: costs[0].Trips, Requests: requests[0]}).Against(times(1), "as fast as the plain walk")
	if w.n == 1000 {
		met := backward.Ratio.Median >= 50 && backward.Trips == 4 && backward.Requests == w.n+1
		backward = backward.Aim(fmt.Sprintf("50 times as fast, 4 trips, %s requests", report.Count(w.n+1)), met)
	}
	r.Rows = append(r.Rows,
		row("plain walk", "backward", 0, walk),
		backward,
		row("Ropewalk", "forward", 2, lab.Cost{Trips: costs[1].Trips, Requests: requests[1]}).Against(times(2), "as fast as the plain walk"),
		row("Ropewalk", "forward, until the first is there", 3, lab.Cost{Trips: costs[2].Trips}).Against(times(3), "as fast as the plain walk"),
		row("Ropewalk", "forward, through a cache that has it", 5, lab.Cost{Trips: 1, Requests: 1}).Against(times(5), "as fast as the plain walk"),
		row("the same GETs, bare", "all keys known", 4, lab.Cost{Trips: min(2, w.n), Requests: w.n}).Against(times(4), "as fast as the plain walk"))
	for i, name := range walkLines {
		plot.add(name, float64(w.n), report.Of(figures[i]))
	}
	perWalk, floor := report.Of(figures[0]).Median/float64(w.n+1), report.Of(figures[4]).Median
	r.Limits = append(r.Limits, fmt.Sprintf("n = %s: %d trips of 20 ms are %d ms of the %s ms backward. A request of the plain walk takes %.1f ms. The same GETs, bare, take %s ms, %.0f µs for each where they share the %d cores with the server that answers them.",
		report.Count(w.n), costs[0].Trips, costs[0].Trips*20, report.Number(report.Of(figures[1]).Median), perWalk, report.Number(floor), (floor-40)*1000/float64(w.n), r.Machine.Cores))
	return nil
}

// walkPlot gathers the figures of one plot by the name of their line.
type walkPlot map[string][]report.Point

var walkLines = []string{"plain walk", "Ropewalk, backward", "Ropewalk, forward", "Ropewalk, first changeset forward", "the same GETs, bare", "Ropewalk, through a cache"}

func (p walkPlot) add(name string, n float64, s report.Stat) {
	p[name] = append(p[name], report.Point{X: n, Y: s})
}

func (p walkPlot) plot() report.Plot {
	plot := report.Plot{Name: "walk", Title: "Reading a whole history, 20 ms a request", X: "changesets", Y: "milliseconds"}
	for _, name := range walkLines {
		plot.Series = append(plot.Series, report.Series{Name: name, Points: p[name]})
	}
	return plot
}

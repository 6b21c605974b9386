package main

import (
	"context"
	"fmt"

	"ropewalk"
	"ropewalk/backends/dynamostore"
	"ropewalk/backends/memstore"
	"ropewalk/bench/internal/lab"
	"ropewalk/bench/internal/report"
	"ropewalk/changeset"
	"ropewalk/head"
)

var commitsExperiment = experiment{
	name: "commits", title: "Several aggregates in one commit",
	setup: `A commit to n aggregates against n appends, one to each of them: one after the other, and all at once. Only the
commit is all or nothing. Events have 0.5 KB; heads are in DynamoDB Local, 5 ms away, objects on the S3 server, 20 ms away. Write
units are counted from the requests, as DynamoDB charges them.`,
	run: runCommits,
}

func runCommits(ctx context.Context, l *laboratory, r *report.Results) error {
	t, err := l.newTables(ctx, "commits")
	if err != nil {
		return err
	}
	for i, layout := range layouts[:2] {
		_, far := t.stores(layout)
		for _, n := range pick(l, []int{2, 10, 50}, []int{2}) {
			c := &committing{tables: t, layout: layout, store: far, heads: make([]head.Head, n), name: fmt.Sprintf("commits-%d-%d", i, n)}
			if err := c.report(ctx, r); err != nil {
				return fmt.Errorf("%s, %d aggregates: %w", layout.name, n, err)
			}
		}
	}
	r.Limits = []string{
		"A commit takes as many trips as one append: the objects are put at once, and one request swaps the heads. Packed, nothing is put as long as the events fit into the heads.",
		"Requests that are under way at once share the processor of the client and of the servers with each other, so that appends at once take longer for more aggregates.",
		"A transaction of DynamoDB charges twice what single writes charge, and locks its items for a moment.",
	}
	return nil
}

// committing measures commits to the same aggregates. It keeps their heads.
type committing struct {
	*tables
	layout layout
	store  *ropewalk.Store
	heads  []head.Head
	name   string
}

func (c *committing) chain(i int) *ropewalk.Chain {
	return c.store.Chain(fmt.Sprintf("%s-%d", c.name, i))
}

// commit appends to all aggregates in one commit.
func (c *committing) commit(ctx context.Context) (err error) {
	members := make([]ropewalk.Member, len(c.heads))
	for i, h := range c.heads {
		members[i] = c.chain(i).Appending(h, changeset.Draft{Content: c.event(512)})
	}
	heads, err := c.store.Commit(ctx, members...)
	if err == nil {
		c.heads = heads
	}
	return err
}

// appends appends to each aggregate, a few at once.
func (c *committing) appends(atOnce int) func(context.Context) error {
	return func(ctx context.Context) error {
		return inParallel(ctx, len(c.heads), atOnce, func(ctx context.Context, i int) (err error) {
			c.heads[i], err = c.chain(i).Append(ctx, c.heads[i], changeset.Draft{Content: c.event(512)})
			return err
		})
	}
}

func (c *committing) report(ctx context.Context, r *report.Results) error {
	n := len(c.heads)
	ways := []func(context.Context) error{c.commit, c.appends(1), c.appends(n)}
	var variants []lab.Variant
	for _, way := range ways {
		variants = append(variants, lab.Milliseconds(way))
	}
	if _, err := lab.Turns(ctx, pick(c.laboratory, 5, 1), variants...); err != nil { // which makes connections
		return err
	}
	times, err := lab.Turns(ctx, pick(c.laboratory, 31, 1), variants...)
	if err != nil {
		return err
	}
	for i, what := range []string{"one commit", "appends, one after the other", "appends at once"} {
		requests, err := c.requests(ctx, ways[i])
		if err != nil {
			return err
		}
		units, err := c.units(ctx, i == 0)
		if err != nil {
			return err
		}
		row := report.Row{Name: c.layout.name, What: fmt.Sprintf("%s to %d aggregates", what, n), N: n, Value: report.Of(times[i]), Unit: "ms", Requests: requests, Note: fmt.Sprintf("%d write units", units)}
		if i > 0 {
			row = row.Against(report.Ratios(times[i], times[0]), "the time of the commit")
		}
		r.Rows = append(r.Rows, row)
	}
	return nil
}

// requests counts the requests of one turn.
func (c *committing) requests(ctx context.Context, do func(context.Context) error) (int, error) {
	toHeads := 0
	toObjects, err := c.bucket.wire.Requests(func() (err error) {
		toHeads, err = c.tables.heads.Requests(func() error { return do(ctx) })
		return err
	})
	return toObjects + toHeads, err
}

// units returns the write units of one event for each of the aggregates.
func (c *committing) units(ctx context.Context, together bool) (int, error) {
	bill := lab.NewBill()
	table, err := dynamostore.New(bill.Client(), "heads", nil)
	if err != nil {
		return 0, err
	}
	billed := &committing{tables: c.tables, store: ropewalk.New(memstore.New(), table, &c.layout.options), heads: make([]head.Head, len(c.heads)), name: "billed"}
	do := billed.appends(1)
	if together {
		do = billed.commit
	}
	err = do(ctx)
	return bill.Units().Write, err
}

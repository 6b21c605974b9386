package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/gc"
	"ropewalk/head"
	"ropewalk/internal/headlist"
	"ropewalk/internal/reserved"
)

func newStats(std *ui.Streams, stores *storeFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "stats",
		Short: "Count what a store has, and what storing it costs",
		Long: `Count the aggregates, their changesets and the stored objects with the orphans
among them, show how many chains have which length, and estimate what storing all
of it costs in a month, at the stated list prices of one region. Requests and
traffic are not in the estimate, nor are old object versions, snapshots and backups.

It reads no contents: it lists all heads and all objects, and asks for the headers of
objects that may be orphans. The objects of feeds and subscriptions count as
internal. A head that does not decode is reported, the count continues, and the exit
code is 6.`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd.Context(), stores, func(s *store) error { return runStats(cmd.Context(), std, stores, s) })
		},
	}
}

func runStats(ctx context.Context, std *ui.Streams, stores *storeFlags, s *store) error {
	scheme, _, _ := strings.Cut(stores.url(), ":")
	c := counting{total: statsJSON{Kind: ui.KindOf("stats"), Chains: []lengthJSON{}}, bar: std.NewProgress(-1, false, "objects")}
	err := c.countHeads(ctx, s)
	if err == nil {
		err = c.countObjects(ctx, s)
	}
	c.bar.End()
	if err != nil {
		return err
	}
	c.total.estimate(storagePrices[scheme])
	if err := c.total.print(std); err != nil {
		return err
	}
	return c.bad.report(std, "counted")
}

// counting is a run of stats.
type counting struct {
	total statsJSON
	bar   *ui.Progress
	bad   damage // of the heads and the chains that could not be read
}

// countHeads counts the aggregates, their changesets and their tips.
func (c *counting) countHeads(ctx context.Context, s *store) error {
	for e, err := range headlist.All(ctx, s.heads, "") {
		switch {
		case err != nil:
			return err
		case e.Fault != nil:
			c.bad.add(e.AggregateID, e.Fault)
			continue
		}
		c.total.Heads++
		c.total.TipBytes += int64(len(e.Head.Tip))
		if reserved.Is(e.AggregateID) {
			continue
		}
		switch e.Head.State {
		case head.Erased:
			c.total.Erased++
		case head.Live:
			c.total.Aggregates++
			c.total.Changesets += e.Head.Len()
			c.total.addChain(e.Head.Len())
		}
	}
	return nil
}

// countObjects counts the objects, by a collection that deletes nothing.
func (c *counting) countObjects(ctx context.Context, s *store) error {
	collector := gc.New(s.objects, s.heads, &gc.Options{Grace: -1, Logger: s.log, Progress: c.bar.Add})
	for r, err := range collector.CollectAll(ctx, "") {
		switch {
		case err != nil:
			return err
		case cliexit.Unavailable(r.Err) || errors.Is(r.Err, context.Canceled):
			return r.Err
		case r.Err != nil && !c.bad.has(r.AggregateID):
			c.bad.add(r.AggregateID, r.Err)
		}
		t := &c.total
		t.Objects.add(r.Seen)
		if reserved.Is(r.AggregateID) {
			t.Internal.add(r.Seen)
			continue
		}
		t.Orphans.add(r.Lost.Plus(r.Erased))
		t.Pending.add(r.Pending)
		t.Unknown.add(r.Unknown.Plus(r.Unreadable).Plus(r.Ahead))
	}
	return nil
}

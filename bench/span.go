package main

import (
	"context"
	"fmt"
	"time"

	"ropewalk"
	"ropewalk/bench/internal/lab"
	"ropewalk/bench/internal/peers"
	"ropewalk/bench/internal/report"
)

var spanExperiment = experiment{
	name: "span", title: "A range in the middle of a long history",
	setup: `Ten changesets in the middle of 65,000, on the same S3 server with 20 ms added to each request. The plain walk has
to come all the way from the head; its time is computed: the time of one of its GETs, measured in this run over the newest
100 changesets, times the distance.`,
	run: runSpan,
}

func runSpan(ctx context.Context, l *laboratory, r *report.Results) error {
	n := pick(l, 65_000, 600)
	first, last := n/2, n/2+9
	b, err := l.newBucket(ctx, "span", farAway)
	if err != nil {
		return err
	}
	if _, err := seed(ctx, ropewalk.New(b.near, b.near, nil).Chain("order"), n, l.content(512)); err != nil {
		return err
	}
	costs, err := l.trips(ctx, lab.Task{Do: lab.DoRange, N: n, First: first, Last: last})
	if err != nil {
		return err
	}
	read := func(ctx context.Context) error {
		reader, err := b.store().Chain("order").Reader(ctx)
		if err != nil {
			return err
		}
		return lab.Drain(reader.Changesets(ctx, ropewalk.Range{First: uint64(first), Last: uint64(last)}), false)
	}
	requests, err := b.wire.Requests(func() error { return read(ctx) })
	if err != nil {
		return err
	}
	figures, err := lab.Turns(ctx, pick(l, 7, 1), perGet(b, pick(l, 100, 20)), lab.Milliseconds(read))
	if err != nil {
		return err
	}
	distance := n - first + 1 // and the head
	walk, get := scaled(figures[0], distance), report.Of(figures[0])
	r.Rows = []report.Row{
		{
			Name: "plain walk", What: fmt.Sprintf("versions %s to %s", report.Count(first), report.Count(last)), N: n,
			Value: report.Of(walk), Unit: "ms", Trips: distance, Requests: distance, Note: "computed",
		},
		report.Row{
			Name: "Ropewalk", What: "the same", N: n,
			Value: report.Of(figures[1]), Unit: "ms", Trips: costs[0].Trips, Requests: requests,
		}.Against(report.Ratios(walk, figures[1]), "as fast as the plain walk"),
	}
	r.Limits = []string{
		fmt.Sprintf("The trips: %d of 20 ms are %d ms. One of them loads the head, one reads the ten, and the others are lookups that come closer through the ancestor indexes: each lookup must wait for the one before.", costs[0].Trips, 20*costs[0].Trips),
		fmt.Sprintf("A GET of the plain walk took %.1f ms here.", get.Median),
		"Next: a program that reads around one place again and again keeps the head of `Chain.HeadAt`, and starts from there with the lookups done; a cache shared by readers answers them as well.",
	}
	return nil
}

// perGet measures what one GET of the plain walk takes.
func perGet(b *bucket, n int) lab.Variant {
	return func(ctx context.Context) (float64, error) {
		start := time.Now()
		_, err := peers.PlainWalk(ctx, b.client, b.name, "", "order", n)
		return time.Since(start).Seconds() * 1000 / float64(n+1), err
	}
}

func scaled(figures []float64, factor int) []float64 {
	out := make([]float64, len(figures))
	for i, f := range figures {
		out[i] = f * float64(factor)
	}
	return out
}

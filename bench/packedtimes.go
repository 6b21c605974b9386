package main

import (
	"context"
	"fmt"
	"time"

	"ropewalk"
	"ropewalk/bench/internal/lab"
	"ropewalk/bench/internal/report"
	"ropewalk/changeset"
	"ropewalk/head"
)

// packedTimes compares times on DynamoDB Local and the S3 server.
func (l *laboratory) packedTimes(ctx context.Context, r *report.Results) error {
	t, err := l.newTables(ctx, "packed")
	if err != nil {
		return err
	}
	for _, part := range []func(context.Context, *report.Results) error{t.packedAppends, t.packedReads, t.packedHot} {
		if err := part(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// ratioRow is a row of times of which only the ratio is given.
func ratioRow(name, what string, n int, ratio report.Stat, to string) report.Row {
	return report.Row{Name: name, What: what, N: n}.Against(ratio, to)
}

// stores returns stores of a layout, near and over the wires.
func (t *tables) stores(l layout) (near, far *ropewalk.Store) {
	if l.inS3 {
		return ropewalk.New(t.bucket.near, t.bucket.near, &l.options), ropewalk.New(t.bucket.far, t.bucket.far, &l.options)
	}
	return ropewalk.New(t.bucket.near, t.nearHeads, &l.options), ropewalk.New(t.bucket.far, t.farHeads, &l.options)
}

// packedAppends appends to the table and to chains in turns.
func (t *tables) packedAppends(ctx context.Context, r *report.Results) error {
	event, version := t.event(512), 0
	variants := []lab.Variant{lab.Milliseconds(func(ctx context.Context) error {
		version++
		return t.far.Append(ctx, "order-4711", version, event)
	})}
	for i, layout := range layouts {
		_, far := t.stores(layout)
		chain, h := far.Chain(fmt.Sprintf("append-%d", i)), head.Head{}
		variants = append(variants, lab.Milliseconds(func(ctx context.Context) (err error) {
			h, err = chain.Append(ctx, h, changeset.Draft{Content: event, ContentType: "application/json"})
			return err
		}))
	}
	const warm, turns = 100, 200 // DynamoDB Local becomes faster for a while
	figures, err := lab.Turns(ctx, warm+turns, variants...)
	if err != nil {
		return err
	}
	for i, layout := range layouts {
		r.Rows = append(r.Rows, inTurnsAndAll(layout.name, "append events, on the servers", figures[0][warm:], figures[i+1][warm:])...)
	}
	return nil
}

// packedReads reads whole histories of small events in turns.
func (t *tables) packedReads(ctx context.Context, r *report.Results) error {
	event := t.event(512)
	for _, n := range []int{shortHistory, packedAppends} {
		id := fmt.Sprintf("read-%d", n)
		err := inParallel(ctx, n, 16, func(ctx context.Context, i int) error { return t.near.Append(ctx, id, i, event) })
		if err != nil {
			return err
		}
		variants := []lab.Variant{lab.Milliseconds(func(ctx context.Context) error { _, err := t.far.Read(ctx, id); return err })}
		for i, layout := range layouts {
			near, far := t.stores(layout)
			id := fmt.Sprintf("%s-%d", id, i)
			if err := appendEvents(ctx, near.Chain(id), n, event); err != nil {
				return err
			}
			variants = append(variants, lab.Milliseconds(func(ctx context.Context) error { return readChain(ctx, far.Chain(id)) }))
		}
		figures, err := lab.Turns(ctx, 11, variants...)
		if err != nil {
			return err
		}
		for i, layout := range layouts {
			r.Rows = append(r.Rows, ratioRow(layout.name, "read the whole history, on the servers, in turns", n, report.Ratios(figures[0], figures[i+1]), "as fast as the table"))
		}
	}
	return nil
}

// packedHot lets Appenders append to the S3 server in turns.
func (t *tables) packedHot(ctx context.Context, r *report.Results) error {
	draft := changeset.Draft{Content: t.event(512), ContentType: "application/json"}
	var variants []lab.Variant
	for _, options := range []ropewalk.Options{layouts[0].options, layouts[2].options} {
		store, turn := ropewalk.New(t.bucket.far, t.bucket.far, &options), 0
		variants = append(variants, func(ctx context.Context) (float64, error) {
			turn++
			chain := store.Chain(fmt.Sprintf("hot-%v-%d", options.Packed, turn))
			return rate(ctx, 3*time.Second, appenderOf(chain, draft))
		})
	}
	figures, err := lab.Turns(ctx, 3, variants...)
	if err != nil {
		return err
	}
	r.Rows = append(r.Rows, ratioRow("packed, heads in S3", "an Appender, on the S3 server, in turns", appenders, report.Ratios(figures[1], figures[0]), "format 1"))
	return nil
}

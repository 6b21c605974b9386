package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/bench/internal/report"
	"ropewalk/changeset"
	"ropewalk/feed"
	"ropewalk/head"
	"ropewalk/internal/meter"
)

// news is a source that has a hint for each of some heads at once, and nothing
// after that.
type news struct {
	head.Store
	heads []head.Head
	bare  bool // the hints bring no records
}

func (*news) SourceName() string { return "news" }

func (s *news) Hints(ctx context.Context, _ []byte) iter.Seq2[head.Hints, error] {
	return func(yield func(head.Hints, error) bool) {
		for at := 0; ; at += 1000 {
			page := head.Hints{Cursor: []byte(fmt.Sprint(at)), CaughtUp: at+1000 >= len(s.heads)}
			for _, h := range s.heads[min(at, len(s.heads)):min(at+1000, len(s.heads))] {
				hint := head.Hint{AggregateID: h.AggregateID}
				if !s.bare {
					hint.Head = h
				}
				page.Hints = append(page.Hints, hint)
			}
			if !yield(page, nil) {
				return
			}
			if page.CaughtUp {
				<-ctx.Done()
				return
			}
		}
	}
}

const feedAway = 20 * time.Millisecond

// feedThroughput measures how many advances a second one feed takes in, with every
// request 20 ms away.
func (l *laboratory) feedThroughput(ctx context.Context, r *report.Results) error {
	n := pick(l, 50_000, 100)
	db := memstore.New()
	store := ropewalk.New(db, db, nil)
	heads := make([]head.Head, n)
	err := inParallel(ctx, n, 16, func(ctx context.Context, i int) (err error) {
		heads[i], err = store.Chain(aggregateName(i)).Append(ctx, head.Head{}, changeset.Draft{Content: []byte("{}")})
		return err
	})
	if err != nil {
		return err
	}
	for _, v := range []struct {
		what string
		bare bool
	}{
		{"relay, hints with records, 20 ms a request", false},
		{"relay, hints without records", true},
	} {
		var rates []float64
		for range pick(l, 3, 1) {
			rate, err := relayRate(ctx, db, &news{heads: heads, bare: v.bare})
			if err != nil {
				return err
			}
			rates = append(rates, rate)
		}
		row := report.Row{Name: "one feed", What: v.what, N: n, Value: report.Of(rates), Unit: "advances/s"}
		r.Rows = append(r.Rows, row.Aim("5,000", row.Value.Median >= 5000))
	}
	rate, err := followRate(ctx, db, min(n, 20_000))
	r.Rows = append(r.Rows, report.Row{Name: "one follower", What: "reads changes, 20 ms a request", N: min(n, 20_000), Value: report.One(rate), Unit: "changes/s"})
	return err
}

// relayRate lets a relay feed the news in a copy of the heads' feed of its own.
func relayRate(ctx context.Context, db *memstore.Store, source *news) (float64, error) {
	m := meter.New(feedAway)
	source.Store = struct{ head.Store }{m.Heads(db)}
	f := feed.Open(ropewalk.New(m.Changesets(db), source, nil), nil)
	if err := f.Drop(ctx); err != nil && !errors.Is(err, feed.ErrNoFeed) {
		return 0, err
	}
	start := time.Now()
	report, err := f.Relay(nil).Once(ctx)
	if err == nil && report.Advances != len(source.heads) {
		err = fmt.Errorf("fed %d of %d advances", report.Advances, len(source.heads))
	}
	return float64(len(source.heads)) / time.Since(start).Seconds(), err
}

// followRate reads the first changes of the feed.
func followRate(ctx context.Context, db *memstore.Store, n int) (float64, error) {
	m := meter.New(feedAway)
	f := feed.Open(ropewalk.New(m.Changesets(db), struct{ head.Store }{m.Heads(db)}, nil), nil)
	start, seen := time.Now(), 0
	for _, err := range f.After(ctx, feed.Position{}) {
		if err != nil {
			return 0, err
		}
		if seen++; seen == n {
			break
		}
	}
	return float64(seen) / time.Since(start).Seconds(), nil
}

// relayMemory runs the benchmark of the relay's map, which only its package can
// reach.
func (l *laboratory) relayMemory(ctx context.Context, r *report.Results) error {
	if l.quick {
		return nil
	}
	c := exec.CommandContext(ctx, "go", "test", "./feed", "-run", "^$", "-bench", "MemoryOfProgress", "-benchtime", "1x")
	c.Dir = ".."
	out, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("go test: %w: %s", err, out)
	}
	found := regexp.MustCompile(`([0-9.]+) bytes/aggregate`).FindSubmatch(out)
	if found == nil {
		return fmt.Errorf("go test has not printed bytes: %s", out)
	}
	bytes, err := strconv.ParseFloat(string(found[1]), 64)
	r.Rows = append(r.Rows, report.Row{Name: "one relay", What: "keeps ten million aggregates in memory", N: 10_000_000, Value: report.One(bytes), Unit: "bytes each"}.
		Aim("70", bytes <= 70))
	return err
}

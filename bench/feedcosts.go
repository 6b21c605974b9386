package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"ropewalk"
	"ropewalk/backends/memstore"
	"ropewalk/backends/s3store"
	"ropewalk/bench/internal/lab"
	"ropewalk/bench/internal/report"
	"ropewalk/changeset"
	"ropewalk/feed"
	"ropewalk/head"
	"ropewalk/internal/meter"
)

var feedCostsExperiment = experiment{
	name: "feed-costs", title: "What the feed costs",
	setup: `Requests of a relay that takes in so many changes a second, each of another aggregate, counted for an hour of virtual
time at the store's interfaces, with 20 ms a request and default options; and of a follower without news for a day. Prices
are the list prices of the table above, for objects in S3 and heads in DynamoDB, with 5.00 USD a million LISTs and 0.20 USD a
million reads of a stream. What writers pay for their own appends is not included. An idle relay is counted on DynamoDB
Local by its HTTP client, for half a minute. Listings are counted by the HTTP client for 5,000 heads and multiplied.`,
	run: runFeedCosts,
}

// steady is a source that has so many new aggregates a second.
type steady struct {
	head.Store
	rate int
}

func (steady) SourceName() string { return "steady" }

func (s steady) Hints(ctx context.Context, _ []byte) iter.Seq2[head.Hints, error] {
	return func(yield func(head.Hints, error) bool) {
		start, sent := time.Now(), 0
		for {
			page := head.Hints{Cursor: []byte(fmt.Sprint(sent)), CaughtUp: true}
			for due := int(time.Since(start).Seconds() * float64(s.rate)); sent < due; sent++ {
				h := head.Head{Ref: changeset.Ref{AggregateID: aggregateName(sent), ID: changeset.NewID()}, Revision: 1, State: head.Live, UpdatedAt: time.Now()}
				page.Hints = append(page.Hints, head.Hint{AggregateID: h.AggregateID, Head: h, Since: h.UpdatedAt})
			}
			if !yield(page, ctx.Err()) || ctx.Err() != nil {
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(250 * time.Millisecond):
			}
		}
	}
}

// feedCounts are the requests that a child has counted.
type feedCounts struct {
	Relays   []meter.Counts // by rate
	Advances []int
	Follower meter.Counts // of a day without news
}

// feedRates are changes a second.
var feedRates = []int{1, 10, 100, 1000}

func feedCostsChild(t *testing.T, file string, quick bool) error {
	var counts feedCounts
	hour, day := time.Hour, 24*time.Hour
	if quick {
		hour, day = time.Minute, time.Hour
	}
	for _, rate := range feedRates {
		synctest.Test(t, func(t *testing.T) {
			d := hour
			if rate >= 1000 {
				d /= 6 // its hour would be 3.6 million changes
			}
			counted, advances := relayFor(t.Context(), d, rate)
			counts.Relays, counts.Advances = append(counts.Relays, counted), append(counts.Advances, advances)
		})
	}
	synctest.Test(t, func(t *testing.T) { counts.Follower = followFor(t.Context(), day) })
	text, err := json.Marshal(counts)
	return errors.Join(err, os.WriteFile(file, text, 0o600))
}

// relayFor counts the requests of a relay.
func relayFor(ctx context.Context, d time.Duration, rate int) (meter.Counts, int) {
	db, m := memstore.New(), meter.New(feedAway)
	f := feed.Open(ropewalk.New(m.Changesets(db), steady{struct{ head.Store }{m.Heads(db)}, rate}, nil), nil)
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	_ = f.Relay(nil).Run(ctx) // ends with the context
	counted := m.Count()
	status, _ := feed.Open(ropewalk.New(db, struct{ head.Store }{db}, nil), nil).Status(context.Background())
	return counted, status.Aggregates
}

// followFor counts the requests of a follower without news.
func followFor(ctx context.Context, d time.Duration) meter.Counts {
	db, m := memstore.New(), meter.New(feedAway)
	store := ropewalk.New(db, struct{ head.Store }{db}, nil)
	_, _ = store.Chain("order").Append(ctx, head.Head{}, changeset.Draft{Content: []byte("{}")})
	_, _ = feed.Open(store, nil).Relay(nil).Once(ctx)
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	f := feed.Open(ropewalk.New(m.Changesets(db), struct{ head.Store }{m.Heads(db)}, nil), nil)
	for range f.Follow(ctx, feed.Position{}) { // ends with the context
	}
	return m.Count()
}

func runFeedCosts(ctx context.Context, l *laboratory, r *report.Results) error {
	folder, err := l.folder("feed-costs")
	if err != nil {
		return err
	}
	file := filepath.Join(folder, "counts")
	if _, err := runChild(ctx, nil, "feedcosts", file, pick(l, "whole", "quick")); err != nil {
		return err
	}
	var counts feedCounts
	text, err := os.ReadFile(file)
	if err := errors.Join(err, json.Unmarshal(text, &counts)); err != nil {
		return err
	}
	for i, rate := range feedRates {
		c, n := counts.Relays[i], float64(counts.Advances[i])
		r.Rows = append(r.Rows, report.Row{
			Name: "a relay", What: "changes a second: " + report.Count(rate), N: counts.Advances[i],
			Value: report.One(float64(c.Put+c.Get+c.Stat+c.Load+c.Swap) / n * 1e6), Unit: "requests/million",
			Note: fmt.Sprintf("%s USD a million changes, %s USD a day", report.Number(feedCosts(c)/n*1e6), report.Number(feedCosts(c)/n*float64(rate)*86400)),
		})
	}
	r.Rows = append(r.Rows, report.Row{
		Name: "a follower", What: "a day without news", Value: report.One(float64(counts.Follower.Load)), Unit: "requests/day",
		Note: report.Number(feedCosts(counts.Follower)) + " USD a day",
	})
	if !l.quick {
		for _, part := range []func(context.Context, *report.Results) error{l.idleRelay, l.listings} {
			if err := part(ctx, r); err != nil {
				return err
			}
		}
	}
	r.Limits = []string{
		"A batch is one PUT and one swap, whatever is in it: batches are at least 100 ms apart, so the cost of a change falls with the rate. A relay that polls its source every 250 ms makes at most four batches a second from a stream.",
		"RelayOptions.BatchEvery trades latency for cost: a second makes a tenth of the batches at a high rate.",
		"Next: nothing that is known to help. A day of a busy relay costs less than a small server.",
	}
	return nil
}

// idleRelay counts what a relay asks of DynamoDB while nothing happens.
func (l *laboratory) idleRelay(ctx context.Context, r *report.Results) error {
	s, err := l.streamed(ctx, "idle")
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- feed.Open(s.store, nil).Relay(nil).Run(ctx) }()
	time.Sleep(20 * time.Second) // the pauses are at their longest
	const counted = 30 * time.Second
	n, _ := s.wire.Requests(func() error { time.Sleep(counted); return nil })
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		return err
	}
	perDay := float64(n) * float64(24*time.Hour) / float64(counted)
	r.Rows = append(r.Rows, report.Row{
		Name: "a relay", What: "a day without news, on DynamoDB", Value: report.One(perDay), Unit: "requests/day",
		Note: report.Number(perDay*priceStreamRead/1e6) + " USD a day at the price of reads of the stream",
	})
	return nil
}

// listings counts the requests that list the tags of heads in S3.
func (l *laboratory) listings(ctx context.Context, r *report.Results) error {
	const n, all = 5000, 10_000_000
	b, err := l.newBucket(ctx, "feed-list", 0)
	if err != nil {
		return err
	}
	store := ropewalk.New(b.near, b.near, nil)
	err = inParallel(ctx, n, 32, func(ctx context.Context, i int) error {
		_, err := store.Chain(aggregateName(i)).Append(ctx, head.Head{}, changeset.Draft{Content: []byte("{}")})
		return err
	})
	if err != nil {
		return err
	}
	for _, v := range []struct {
		what string

		list func(ctx context.Context, s *s3store.Store) error
	}{
		{"compares the tags of ten million heads in S3", func(ctx context.Context, s *s3store.Store) error {
			tagger, ok := head.As[head.Tagger](s)
			if !ok {
				return errors.ErrUnsupported
			}
			return lab.Drain(tagger.Tags(ctx, ""), false)
		}},
		{"loads ten million heads in S3", func(ctx context.Context, s *s3store.Store) error {
			return lab.Drain(s.List(ctx, ""), false)
		}},
	} {
		requests, err := b.wire.Requests(func() error { return v.list(ctx, b.far) })
		if err != nil {
			return err
		}
		lists := n / 1000
		usd := (float64(lists)*priceS3List + float64(requests-lists)*priceS3Get) / n * all / 1e6
		r.Rows = append(r.Rows, report.Row{
			Name: "a sweep", What: v.what, N: n, Value: report.One(float64(requests) / n * all), Unit: "requests",
			Note: report.Number(usd) + " USD",
		})
	}
	return nil
}

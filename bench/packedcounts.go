package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/backends/memstore"
	"ropewalk/bench/internal/lab"
	"ropewalk/changeset"
	"ropewalk/faults"
	"ropewalk/head"
	"ropewalk/internal/meter"
)

// packedTask is what is counted for each layout, after the tasks before it.
type packedTask struct {
	what string
	n    int
	aims [3]lab.Cost // for each layout; zero: none
	do   func(ctx context.Context, store *ropewalk.Store, event []byte) error
}

const packedAppends, shortHistory = 1000, 4

var packedTasks = []packedTask{
	{"append events, one after the other", packedAppends, [3]lab.Cost{1: {Trips: 1200, Requests: 1200}, 2: {Trips: 1020, Requests: 1020}}, appendOneByOne},
	{"read the whole history", packedAppends, [3]lab.Cost{1: {Trips: 5, Requests: 210}, 2: {Trips: 3, Requests: 13}}, readAll},
	{"save typed events", shortHistory, [3]lab.Cost{}, saveTyped},
	{"load their aggregate", shortHistory, [3]lab.Cost{1: {Trips: 1, Requests: 1}, 2: {Trips: 1, Requests: 1}}, loadTyped},
}

func appendOneByOne(ctx context.Context, store *ropewalk.Store, event []byte) error {
	return appendEvents(ctx, store.Chain("order-4711"), packedAppends, event)
}

// appendEvents appends so many events, one after the other, to a chain that does not exist.
func appendEvents(ctx context.Context, chain *ropewalk.Chain, n int, event []byte) (err error) {
	var h head.Head
	for i := 0; i < n && err == nil; i++ {
		h, err = chain.Append(ctx, h, changeset.Draft{Content: event, ContentType: "application/json"})
	}
	return err
}

func readAll(ctx context.Context, store *ropewalk.Store, _ []byte) error {
	return readChain(ctx, store.Chain("order-4711"))
}

// readChain loads the head and reads the whole history.
func readChain(ctx context.Context, chain *ropewalk.Chain) error {
	r, err := chain.Reader(ctx)
	if err != nil {
		return err
	}
	return lab.Drain(r.All(ctx), false)
}

func saveTyped(ctx context.Context, store *ropewalk.Store, _ []byte) (err error) {
	order := aggregate.Loaded[int]{ID: "short"}
	for i := 0; i < shortHistory && err == nil; i++ {
		order, err = ordersIn(store).Save(ctx, order, []lineAdded{{"rope", 2}})
	}
	return err
}

func loadTyped(ctx context.Context, store *ropewalk.Store, _ []byte) error {
	order, err := ordersIn(store).Load(ctx, "short")
	if err == nil && order.State != 2*shortHistory {
		err = fmt.Errorf("the state is %d", order.State)
	}
	return err
}

// packedCounted is what the child has counted, for each layout.
type packedCounted struct {
	Costs [][]lab.Cost // of each task
	Hot   []float64    // appends a second
	// Away are the milliseconds of each append, where S3 is 20 ms away and DynamoDB 5 ms.
	Away [][]float64
}

// countPacked counts in virtual time.
func (l *laboratory) countPacked(ctx context.Context) (counted packedCounted, err error) {
	folder, err := l.folder("packed")
	if err != nil {
		return counted, err
	}
	file := filepath.Join(folder, "counts")
	if _, err := runChild(ctx, l.event(512), "packed", file); err != nil {
		return counted, err
	}
	text, err := os.ReadFile(file)
	return counted, errors.Join(err, json.Unmarshal(text, &counted))
}

func packedChild(t *testing.T, event []byte, file string) (failed error) {
	var counted packedCounted
	for _, l := range layouts {
		synctest.Test(t, func(t *testing.T) {
			costs, err := l.count(t.Context(), event)
			rate, slow := l.hot(t.Context(), event)
			away, lost := l.away(t.Context(), event)
			counted.Costs, counted.Hot, counted.Away = append(counted.Costs, costs), append(counted.Hot, rate), append(counted.Away, away)
			failed = errors.Join(failed, err, slow, lost)
		})
	}
	text, err := json.Marshal(counted)
	return errors.Join(failed, err, os.WriteFile(file, text, 0o600))
}

// metered returns a store in memory, each of whose requests takes 20 ms.
func (l layout) metered() (*ropewalk.Store, *meter.Meter) {
	m, db := meter.New(farAway), memstore.New()
	return ropewalk.New(m.Changesets(db), faults.TwoSteps(m.Heads(db)), &l.options), m
}

// count does the tasks.
func (l layout) count(ctx context.Context, event []byte) (costs []lab.Cost, err error) {
	store, m := l.metered()
	for _, task := range packedTasks {
		m.Reset()
		start := time.Now()
		if err := task.do(ctx, store, event); err != nil {
			return nil, fmt.Errorf("%s, %s: %w", l.name, task.what, err)
		}
		costs = append(costs, lab.Cost{Trips: int(time.Since(start) / farAway), Requests: m.Requests()})
	}
	return costs, nil
}

// away returns how long each append takes, in milliseconds.
func (l layout) away(ctx context.Context, event []byte) (times []float64, err error) {
	db, near := memstore.New(), tableAway
	if l.inS3 {
		near = farAway
	}
	chain := ropewalk.New(meter.New(farAway).Changesets(db), faults.TwoSteps(meter.New(near).Heads(db)), &l.options).Chain("order-4711")
	var h head.Head
	for range packedAppends {
		start := time.Now()
		if h, err = chain.Append(ctx, h, changeset.Draft{Content: event, ContentType: "application/json"}); err != nil {
			return nil, err
		}
		times = append(times, float64(time.Since(start))/float64(time.Millisecond))
	}
	return times, nil
}

// hot returns how many appends a second an Appender commits for its callers.
func (l layout) hot(ctx context.Context, event []byte) (float64, error) {
	const rounds = 100
	store, _ := l.metered()
	appender := store.Chain("hot").NewAppender(nil)
	start := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for range appenders {
		group.Go(func() error {
			for range rounds {
				if _, err := appender.Append(ctx, changeset.Draft{Content: event, ContentType: "application/json"}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := group.Wait()
	defer time.Sleep(time.Second) // the appender still waits for more calls
	return appenders * rounds / time.Since(start).Seconds(), err
}

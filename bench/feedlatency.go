package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"ropewalk"
	"ropewalk/backends/dynamostore"
	"ropewalk/backends/sqlitestore"
	"ropewalk/bench/internal/lab"
	"ropewalk/bench/internal/peers"
	"ropewalk/bench/internal/report"
	"ropewalk/changeset"
	"ropewalk/feed"
	"ropewalk/head"
)

// handlerLatency measures from the call of an append to the handler.
func (l *laboratory) handlerLatency(ctx context.Context, r *report.Results) error {
	for _, v := range []struct {
		name, what string
		run        func(ctx context.Context, n int) ([]float64, error)
	}{
		{"Ropewalk on SQLite", "append to handler, in one process", l.inOneProcess},
		{"Ropewalk on SQLite", "append to handler, in another process", l.acrossProcesses},
		{"polling a table", "append to handler, at a pause of 100 ms", l.byPolling},
		{"Ropewalk on DynamoDB and S3", "append to feed, by a relay", l.toTheFeed},
		{"Ropewalk on DynamoDB and S3", "append to handler, by a relay", l.byRelay},
	} {
		millis, err := v.run(ctx, pick(l, 200, 3))
		if errors.Is(err, errNoServers) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", v.what, err)
		}
		r.Rows = append(r.Rows, report.Row{
			Name: v.name, What: v.what, Value: report.Of(millis), Unit: "ms",
			Note: fmt.Sprintf("95 of 100 below %s ms", report.Number(report.Percentile(millis, 95))),
		})
	}
	return nil
}

// errNoServers means that a quick run starts no servers.
var errNoServers = errors.New("no servers")

// paced appends n times to one chain, with random pauses, and hands over when
// each append began.
func paced(ctx context.Context, store *ropewalk.Store, n int, appended func(i int, began time.Time) error) error {
	random := rand.New(rand.NewPCG(1, 2))
	var h head.Head
	for i := range n {
		time.Sleep(time.Duration(5+random.IntN(50)) * time.Millisecond)
		began := time.Now()
		var err error
		if h, err = store.Chain("order").Append(ctx, h, changeset.Draft{Content: []byte(strconv.Itoa(i))}); err != nil {
			return err
		}
		if err := appended(i, began); err != nil {
			return err
		}
	}
	return nil
}

// followed returns the time from the call of each of n appends to its delivery.
func followed(ctx context.Context, store *ropewalk.Store, f *feed.Feed, n int) ([]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	arrived := make(chan time.Time, n)
	ended := make(chan error, 1)
	go func() {
		seen := 0
		for _, err := range f.Follow(ctx, feed.Position{}) {
			if err != nil {
				ended <- err
				return
			}
			arrived <- time.Now()
			if seen++; seen == n {
				break
			}
		}
		ended <- nil
	}()
	began := make([]time.Time, n)
	err := paced(ctx, store, n, func(i int, at time.Time) error { began[i] = at; return nil })
	if err != nil {
		return nil, err
	}
	if err := <-ended; err != nil {
		return nil, err
	}
	millis := make([]float64, n)
	for i := range n {
		millis[i] = float64((<-arrived).Sub(began[i])) / float64(time.Millisecond)
	}
	return millis, nil
}

func (l *laboratory) inOneProcess(ctx context.Context, n int) ([]float64, error) {
	folder, err := l.folder("latency")
	if err != nil {
		return nil, err
	}
	db, err := sqlitestore.Open(filepath.Join(folder, "ropewalk.db"), nil)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	store := ropewalk.New(db, db, nil)
	return followed(ctx, store, feed.Open(store, nil), n)
}

// acrossProcesses lets a child follow. Both processes have the clock of this
// machine.
func (l *laboratory) acrossProcesses(ctx context.Context, n int) ([]float64, error) {
	folder, err := l.folder("latency")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(folder, "ropewalk.db")
	db, err := sqlitestore.Open(file, nil)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := exec.CommandContext(ctx, self, childArgument, "follow", file, strconv.Itoa(n))
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(out)
	if _, err := lines.ReadString('\n'); err != nil { // it follows
		return nil, errors.Join(err, c.Wait())
	}
	began := make([]time.Time, n)
	err = paced(ctx, ropewalk.New(db, db, nil), n, func(i int, at time.Time) error { began[i] = at; return nil })
	text, readErr := io.ReadAll(lines)
	if err := errors.Join(err, readErr, c.Wait()); err != nil {
		return nil, err
	}
	var millis []float64
	for line := range strings.Lines(string(text)) {
		nanos, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
		if err != nil {
			return nil, err
		}
		millis = append(millis, float64(time.Unix(0, nanos).Sub(began[len(millis)]))/float64(time.Millisecond))
	}
	return millis, nil
}

// followChild prints when each of n changes was handed over.
func followChild(ctx context.Context, args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	db, err := sqlitestore.Open(args[0], nil)
	if err != nil {
		return err
	}
	defer db.Close()
	fmt.Println("following")
	seen := 0
	for _, err := range feed.Open(ropewalk.New(db, db, nil), nil).Follow(ctx, feed.Position{}) {
		if err != nil {
			return err
		}
		fmt.Println(time.Now().UnixNano())
		if seen++; seen == n {
			break
		}
	}
	return nil
}

func (l *laboratory) byPolling(ctx context.Context, n int) ([]float64, error) {
	folder, err := l.folder("latency")
	if err != nil {
		return nil, err
	}
	table, err := peers.OpenPolling(ctx, folder)
	if err != nil {
		return nil, err
	}
	defer table.Close()
	arrived := make(chan time.Time, n)
	ended := make(chan error, 1)
	go func() { ended <- pollUntil(ctx, table, n, func() { arrived <- time.Now() }) }()
	random := rand.New(rand.NewPCG(1, 2))
	began := make([]time.Time, n)
	for i := range n {
		time.Sleep(time.Duration(5+random.IntN(50)) * time.Millisecond)
		began[i] = time.Now()
		if err := table.Fill(ctx, i, []byte("{}"), "order"); err != nil {
			return nil, err
		}
	}
	if err := <-ended; err != nil {
		return nil, err
	}
	millis := make([]float64, n)
	for i := range n {
		millis[i] = float64((<-arrived).Sub(began[i])) / float64(time.Millisecond)
	}
	return millis, nil
}

// pollUntil polls every 100 ms until n events were handed over.
func pollUntil(ctx context.Context, table *peers.Polling, n int, handle func()) error {
	seen := 0
	for next := int64(0); seen < n; time.Sleep(100 * time.Millisecond) {
		var err error
		next, err = table.Poll(ctx, next, func(int64) error { seen++; handle(); return nil })
		if err != nil {
			return err
		}
	}
	return nil
}

// byRelay follows a table in DynamoDB through its stream, with changesets in S3.
func (l *laboratory) byRelay(ctx context.Context, n int) ([]float64, error) {
	return l.throughRelay(ctx, "latency", n, func(s streamed) *feed.Feed { return feed.Open(s.store, nil) })
}

// toTheFeed is byRelay up to the commit of the batch: a follower without distance looks
// for it all the time.
func (l *laboratory) toTheFeed(ctx context.Context, n int) ([]float64, error) {
	return l.throughRelay(ctx, "fed", n, func(s streamed) *feed.Feed { return feed.Open(s.near, &feed.Options{Poll: time.Millisecond}) })
}

func (l *laboratory) throughRelay(ctx context.Context, name string, n int, follower func(streamed) *feed.Feed) ([]float64, error) {
	if l.quick {
		return nil, errNoServers
	}
	s, err := l.streamed(ctx, name)
	if err != nil {
		return nil, err
	}
	relayCtx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- feed.Open(s.store, nil).Relay(nil).Run(relayCtx) }()
	millis, err := followed(ctx, s.store, follower(s), n)
	stop()
	if relayErr := <-ended; !errors.Is(relayErr, context.Canceled) {
		err = errors.Join(err, relayErr)
	}
	return millis, err
}

// streamed is a store in DynamoDB Local, which has a stream, and the S3 server.
type streamed struct {
	store *ropewalk.Store // at the usual distance
	near  *ropewalk.Store // the same without distance
	wire  *lab.Wire       // to DynamoDB
}

func (l *laboratory) streamed(ctx context.Context, name string) (streamed, error) {
	b, err := l.newBucket(ctx, "feed-"+name, farAway)
	if err != nil {
		return streamed{}, err
	}
	if err := l.startDynamoDB(ctx); err != nil {
		return streamed{}, err
	}
	wire := lab.NewWire(tableAway, connections)
	heads, err := dynamostore.New(l.aws.DynamoDB(wire), "feed-"+name, nil)
	if err != nil {
		return streamed{}, err
	}
	near, err := dynamostore.New(l.aws.DynamoDB(lab.NewWire(0, connections)), "feed-"+name, nil)
	if err != nil {
		return streamed{}, err
	}
	return streamed{ropewalk.New(b.far, heads, nil), ropewalk.New(b.near, near, nil), wire}, near.Provision(ctx)
}

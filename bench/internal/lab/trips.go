package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"ropewalk"
	"ropewalk/bench/internal/synthetic"
	"ropewalk/changeset"
	"ropewalk/head"
	"ropewalk/internal/meter"
)

// Task is something to do with a chain of n changesets whose cost is counted.
type Task struct {
	Do    string `json:"do"`
	N     int    `json:"n"`
	First int    `json:"first,omitempty"`
	Last  int    `json:"last,omitempty"`
}

// The things that a [Task] can do: append one changeset, read all of it
// backward or forward, read forward until the first arrives, read First to Last.
const (
	DoAppend   = "append"
	DoBackward = "backward"
	DoForward  = "forward"
	DoFirst    = "first"
	DoRange    = "range"
)

// Cost is what a task takes.
type Cost struct {
	// Trips are dependent round trips.
	Trips int `json:"trips"`
	// Requests are all requests. Bytes are the size of the head's record.
	Requests int `json:"requests"`
	Bytes    int `json:"bytes"`
}

// latency is how long every request takes in virtual time. A task's duration
// divided by it is the number of its trips. A reader's window depends on it.
const latency = 20 * time.Millisecond

// CountTasks reads tasks as JSON from r, counts each in virtual time, and
// writes their costs to the file. It ends the process: virtual time is for
// tests, and a test is what it runs.
func CountTasks(r io.Reader, file string) {
	InVirtualTime(func(t *testing.T) error { return count(t, r, file) })
}

// InVirtualTime runs a function that opens bubbles of virtual time, which are for
// tests. It ends the process.
func InVirtualTime(run func(t *testing.T) error) {
	testing.Main(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "Count", F: func(t *testing.T) {
		if err := run(t); err != nil {
			t.Fatal(err)
		}
	}}}, nil, nil)
}

func count(t *testing.T, r io.Reader, file string) error {
	var tasks []Task
	if err := json.NewDecoder(r).Decode(&tasks); err != nil {
		return err
	}
	longest := 0
	for _, task := range tasks {
		longest = max(longest, task.N)
	}
	history := synthetic.New("order", longest, 100)
	costs := make([]Cost, len(tasks))
	var failed error
	for i, task := range tasks {
		synctest.Test(t, func(t *testing.T) {
			cost, err := task.cost(t.Context(), history)
			costs[i], failed = cost, errors.Join(failed, err)
		})
	}
	text, err := json.Marshal(costs)
	if err := errors.Join(failed, err); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

func (t Task) cost(ctx context.Context, history *synthetic.History) (Cost, error) {
	m, storage := meter.New(latency), history.At(t.N)
	store := ropewalk.New(m.Changesets(storage), m.Heads(storage), nil)
	start := time.Now()
	h, err := t.run(ctx, store.Chain("order"), history.Head(t.N))
	if err != nil {
		return Cost{}, fmt.Errorf("%+v: %w", t, err)
	}
	record, err := head.EncodeJSON(h)
	return Cost{int(time.Since(start) / latency), m.Requests(), len(record)}, err
}

func (t Task) run(ctx context.Context, chain *ropewalk.Chain, known head.Head) (head.Head, error) {
	if t.Do == DoAppend {
		return chain.Append(ctx, known, changeset.Draft{Content: []byte("{}")})
	}
	r, err := chain.Reader(ctx)
	if err != nil {
		return head.Head{}, err
	}
	all := r.All(ctx)
	switch t.Do {
	case DoBackward:
		all = r.Backward(ctx)
	case DoRange:
		all = r.Changesets(ctx, ropewalk.Range{First: uint64(t.First), Last: uint64(t.Last)})
	}
	return r.Head(), Drain(all, t.Do == DoFirst)
}

// Drain reads all that a sequence yields, or only its first.
func Drain[T any](all iter.Seq2[T, error], onlyFirst bool) error {
	for _, err := range all {
		if err != nil || onlyFirst {
			return err
		}
	}
	return nil
}

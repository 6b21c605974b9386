//go:build integration

package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"ropewalk"
	"ropewalk/aggregate"
)

// permitStep is an event of a permit: all types have the same form.
type permitStep struct {
	Type       string `json:"-"`
	Instance   string `json:"instance"`
	Resource   string `json:"resource"`
	Department string `json:"department"`
}

func (s permitStep) EventName() string { return s.Type }

// closing are the types of events after which a permit is no longer open.
var closing = []string{"T05", "T10", "T15", "T20"}

// open returns 1 if the permit is open after the event, and 0 otherwise.
func (s permitStep) open() int {
	if slices.ContainsFunc(closing, func(prefix string) bool { return strings.HasPrefix(s.Type, prefix) }) {
		return 0
	}
	return 1
}

// permitLine is a line of the log of permits.
type permitLine struct {
	Aggregate string     `json:"aggregate"`
	Type      string     `json:"type"`
	Time      time.Time  `json:"time"`
	Data      permitStep `json:"data"`
}

// permitLog is a log of permits, in order of time.
type permitLog struct {
	lines []permitLine
	types aggregate.Type[struct{}, permitStep]
}

// readPermits reads the log that ROPEWALK_TEST_PERMITS names, or makes a log of the
// same form.
func readPermits() (log permitLog, err error) {
	text := generatedPermits()
	if path := os.Getenv("ROPEWALK_TEST_PERMITS"); path != "" {
		if text, err = os.ReadFile(path); err != nil {
			return log, err
		}
	}
	for line := range bytes.Lines(text) {
		var l permitLine
		if err := json.Unmarshal(line, &l); err != nil {
			return log, err
		}
		l.Data.Type = l.Type
		log.lines = append(log.lines, l)
	}
	log.types = permitType(log.names())
	return log, nil
}

// generatedPermits makes permits of different lengths, interleaved.
func generatedPermits() []byte {
	var b bytes.Buffer
	start := time.Date(2010, 10, 2, 9, 20, 39, 266e6, time.UTC)
	for i := range 600 {
		fmt.Fprintf(&b, `{"aggregate":"case-%d","type":"T%02d Step","time":%q,"data":{"instance":"task-%d","resource":"Resource%02d","department":"Department %d"}}`+"\n",
			i*i%89, i%9, start.Add(time.Duration(i)*time.Minute).Format(time.RFC3339Nano), i, i%7, i%5)
	}
	return b.Bytes()
}

// names returns the names of the types of events.
func (l permitLog) names() (names []string) {
	seen := map[string]bool{}
	for _, line := range l.lines {
		if !seen[line.Type] {
			names = append(names, line.Type)
		}
		seen[line.Type] = true
	}
	return names
}

func permitType(names []string) aggregate.Type[struct{}, permitStep] {
	events := aggregate.Events[permitStep]{}
	for _, name := range names {
		events[name] = permitStep{Type: name}
	}
	return aggregate.Type[struct{}, permitStep]{
		Name: "permit", Events: events, Evolve: func(s struct{}, _ permitStep) struct{} { return s },
	}
}

// appendTo appends every line to its permit, permits side by side.
func (l permitLog) appendTo(ctx context.Context, store *ropewalk.Store) error {
	repo := aggregate.New(store, l.types, nil)
	permits := map[string][]permitLine{}
	for _, line := range l.lines {
		permits[line.Aggregate] = append(permits[line.Aggregate], line)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for id, lines := range permits {
		group.Go(func() error {
			for _, line := range lines {
				happen := func(struct{}) ([]permitStep, error) { return []permitStep{line.Data}, nil }
				if _, err := repo.Upsert(ctx, id, happen, aggregate.At(line.Time)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// parts returns the log in n parts.
func (l permitLog) parts(n int) (parts []permitLog) {
	for i := range n {
		parts = append(parts, permitLog{l.lines[i*len(l.lines)/n : (i+1)*len(l.lines)/n], l.types})
	}
	return parts
}

// department is a row of the read model.
type department struct{ Open, Events int }

// fold is what the read model must be: the open permits of each department, and the
// events that happened in it.
func (l permitLog) fold() map[string]department {
	permits, departments := map[string]permitStep{}, map[string]department{}
	for _, line := range l.lines {
		if before, seen := permits[line.Aggregate]; seen {
			d := departments[before.Department]
			departments[before.Department] = department{d.Open - before.open(), d.Events}
		}
		permits[line.Aggregate] = line.Data
		d := departments[line.Data.Department]
		departments[line.Data.Department] = department{d.Open + line.Data.open(), d.Events + 1}
	}
	return departments
}

//go:build integration

package integration_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/internal/permits"
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

// permitLine is an event of the log of permits.
type permitLine struct {
	permits.Line
	step permitStep
}

// permitLog is a log of permits, in order of time.
type permitLog struct {
	lines []permitLine
	types aggregate.Type[struct{}, permitStep]
}

func readPermits() (log permitLog, err error) {
	lines, err := permits.Log(600)
	for _, line := range lines {
		l := permitLine{Line: line}
		if err := json.Unmarshal(line.Data, &l.step); err != nil {
			return log, err
		}
		l.step.Type = l.Type
		log.lines = append(log.lines, l)
	}
	log.types = permitType(log.names())
	return log, err
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
	byPermit := map[string][]permitLine{}
	for _, line := range l.lines {
		byPermit[line.Aggregate] = append(byPermit[line.Aggregate], line)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for id, lines := range byPermit {
		group.Go(func() error {
			for _, line := range lines {
				happen := func(struct{}) ([]permitStep, error) { return []permitStep{line.step}, nil }
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
	latest, departments := map[string]permitStep{}, map[string]department{}
	for _, line := range l.lines {
		if before, seen := latest[line.Aggregate]; seen {
			d := departments[before.Department]
			departments[before.Department] = department{d.Open - before.open(), d.Events}
		}
		latest[line.Aggregate] = line.step
		d := departments[line.step.Department]
		departments[line.step.Department] = department{d.Open + line.step.open(), d.Events + 1}
	}
	return departments
}

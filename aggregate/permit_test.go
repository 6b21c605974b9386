package aggregate_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/backends/memstore"
	"ropewalk/head"
	"ropewalk/internal/permits"
)

// Permit is the state of a case of the permit office.
type Permit struct {
	Channel     string
	Opened      time.Time
	Latest      time.Time
	Steps       int
	Departments map[string]int
	Resources   []string // who has worked on it, in order of appearance
	Trail       []string // the types of its events
}

// PermitStep is an event of a permit: all types have the same form.
type PermitStep struct {
	Type        string    `json:"-"`
	At          time.Time `json:"at"`
	Instance    string    `json:"instance"`
	Group       string    `json:"group"`
	Resource    string    `json:"resource"`
	Channel     string    `json:"channel"`
	Department  string    `json:"department"`
	Responsible string    `json:"responsible"`
}

func (s PermitStep) EventName() string { return s.Type }

func (p Permit) step(s PermitStep) Permit {
	if p.Steps == 0 {
		p.Channel, p.Opened = s.Channel, s.At
	}
	p.Steps++
	p.Latest = s.At
	departments := map[string]int{s.Department: 1}
	for department, steps := range p.Departments {
		departments[department] += steps
	}
	p.Departments = departments
	if !slices.Contains(p.Resources, s.Resource) {
		p.Resources = append(slices.Clip(p.Resources), s.Resource)
	}
	p.Trail = append(slices.Clip(p.Trail), s.Type)
	return p
}

// permitType returns the type for the event types that there are.
func permitType(types []string) aggregate.Type[Permit, PermitStep] {
	events := aggregate.Events[PermitStep]{}
	for _, name := range types {
		events[name] = PermitStep{Type: name}
	}
	return aggregate.Type[Permit, PermitStep]{
		Name: "permit", Events: events, Evolve: Permit.step,
		Snapshots: aggregate.Snapshots[Permit]{Every: 4, Schema: "1"},
	}
}

// permitLine is an event of the log of permits.
type permitLine struct {
	permits.Line
	Step PermitStep
}

func permitLines(t *testing.T) []permitLine {
	log, err := permits.Log(400)
	require.NoError(t, err)
	lines := make([]permitLine, len(log))
	for i, l := range log {
		lines[i].Line = l
		require.NoError(t, json.Unmarshal(l.Data, &lines[i].Step))
		lines[i].Step.Type, lines[i].Step.At = l.Type, l.Time.UTC()
	}
	return lines
}

// Every line is an event of its own aggregate, saved as it comes; what loads
// from snapshots give is what a plain fold over the lines gives.
func TestPermits(t *testing.T) {
	lines := permitLines(t)
	var types []string
	plain := map[string]Permit{}
	for _, l := range lines {
		if !slices.Contains(types, l.Type) {
			types = append(types, l.Type)
		}
		plain[l.Aggregate] = plain[l.Aggregate].step(l.Step)
	}
	db := memstore.New()
	repo := aggregate.New(ropewalk.New(db, db, nil), permitType(types), nil)
	require.NoError(t, savePermits(t, repo, lines))
	require.NoError(t, savePermits(t, repo, lines), "again: each has happened")

	reader := aggregate.New(ropewalk.New(db, db, nil), permitType(types), nil)
	longest := head.Head{}
	for id, want := range plain {
		l, err := reader.Load(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, want, l.State, id)
		require.Equal(t, uint64(want.Steps-1), l.Head.Version)
		if l.Head.Version >= longest.Version {
			longest = l.Head
		}
		middle, err := reader.LoadAt(t.Context(), id, l.Head.Version/2)
		require.NoError(t, err)
		require.Equal(t, want.Trail[:l.Head.Version/2+1], middle.State.Trail)
	}
	require.Positive(t, reader.Stats().Used)
	require.Equal(t, aggregate.Stats{Used: reader.Stats().Used}, reader.Stats(), "every snapshot that was due was there")
	t.Logf("%d events of %d types in %d aggregates, the longest of %d; %d snapshots written, %d used",
		len(lines), len(types), len(plain), longest.Version+1, repo.Stats().Written, reader.Stats().Used)
}

// savePermits saves each line once, under a key that follows from it.
func savePermits(t *testing.T, repo *aggregate.Repository[Permit, PermitStep], lines []permitLine) error {
	for _, l := range lines {
		decide := func(Permit) ([]PermitStep, error) { return []PermitStep{l.Step}, nil }
		_, err := repo.Upsert(t.Context(), l.Aggregate, decide, aggregate.Once(l.Step.Instance), aggregate.At(l.Time))
		if err == nil {
			err = repo.Wait(t.Context()) // so that no snapshot is left out
		}
		if err != nil {
			return err
		}
	}
	return nil
}

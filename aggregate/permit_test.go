package aggregate_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ropewalk"
	"ropewalk/aggregate"
	"ropewalk/backends/memstore"
	"ropewalk/head"
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

// permits returns the type for the event types that there are.
func permits(types []string) aggregate.Type[Permit, PermitStep] {
	events := aggregate.Events[PermitStep]{}
	for _, name := range types {
		events[name] = PermitStep{Type: name}
	}
	return aggregate.Type[Permit, PermitStep]{
		Name: "permit", Events: events, Evolve: Permit.step,
		Snapshots: aggregate.Snapshots[Permit]{Every: 4, Schema: "1"},
	}
}

// permitLine is a line of the data: {"aggregate","type","time","data"}.
type permitLine struct {
	Aggregate string     `json:"aggregate"`
	Type      string     `json:"type"`
	Time      time.Time  `json:"time"`
	Data      PermitStep `json:"data"`
}

// permitLines reads the file that ROPEWALK_TEST_PERMITS names, or makes lines
// of the same form.
func permitLines(t *testing.T) []permitLine {
	source := generatedPermits(t)
	if path := os.Getenv("ROPEWALK_TEST_PERMITS"); path != "" {
		f, err := os.Open(path)
		require.NoError(t, err)
		defer f.Close()
		source = f
	}
	var lines []permitLine
	for s := bufio.NewScanner(source); s.Scan(); {
		var l permitLine
		require.NoError(t, json.Unmarshal(s.Bytes(), &l))
		l.Data.Type, l.Data.At = l.Type, l.Time.UTC()
		lines = append(lines, l)
	}
	return lines
}

func generatedPermits(t *testing.T) io.Reader {
	var b bytes.Buffer
	start := time.Date(2010, 10, 2, 9, 20, 39, 266e6, time.FixedZone("", 7200))
	for i := range 400 {
		id := i * i % 23 // of different lengths, interleaved
		_, err := fmt.Fprintf(&b, `{"aggregate":"case-%d","type":"T%02d Step","time":%q,"data":{"instance":"task-%d","group":"Group %d","resource":"Resource%02d","channel":"Desk","department":"General %d","responsible":"Resource00"}}`+"\n",
			id, i%9, start.Add(time.Duration(i)*time.Minute).Format(time.RFC3339Nano), i, i%4, i%7, i%2)
		require.NoError(t, err)
	}
	return &b
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
		plain[l.Aggregate] = plain[l.Aggregate].step(l.Data)
	}
	db := memstore.New()
	repo := aggregate.New(ropewalk.New(db, db, nil), permits(types), nil)
	require.NoError(t, savePermits(t, repo, lines))
	require.NoError(t, savePermits(t, repo, lines), "again: each has happened")

	reader := aggregate.New(ropewalk.New(db, db, nil), permits(types), nil)
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
		decide := func(Permit) ([]PermitStep, error) { return []PermitStep{l.Data}, nil }
		_, err := repo.Upsert(t.Context(), l.Aggregate, decide, aggregate.Once(l.Data.Instance), aggregate.At(l.Time))
		if err == nil {
			err = repo.Wait(t.Context()) // so that no snapshot is left out
		}
		if err != nil {
			return err
		}
	}
	return nil
}

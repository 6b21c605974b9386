package soak

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"time"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/inspect"
)

// chainsPerWriter is how many chains a writer that is to be killed appends to at once.
const chainsPerWriter = 3

// WriteUntilKilled appends to several chains at once, with a few changesets at
// a time, and prints each append's references once it is acknowledged. It ends
// with the first error. The chains' IDs begin with the name.
func WriteUntilKilled(ctx context.Context, store *ropewalk.Store, name string, out io.Writer) error {
	failed := make(chan error)
	for n := range chainsPerWriter {
		chain := store.Chain(fmt.Sprintf("%s/%d", name, n))
		go func() {
			for {
				h, err := chain.Update(ctx, func(context.Context, *ropewalk.Reader) ([]changeset.Draft, error) {
					return make([]changeset.Draft, 1+rand.IntN(4)), nil
				})
				if err == nil {
					_, err = fmt.Fprintln(out, h.Ref, "acknowledged")
				}
				if err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return <-failed
}

// Kills are what happened to writers that were killed.
type Kills struct {
	Place                          string
	Kills, Acknowledged, Committed int
	Orphans                        int
	Violations                     []string
	Took                           time.Duration

	acknowledged map[string][]changeset.Ref
}

// Kill starts a writer, a process of its own that runs [WriteUntilKilled],
// kills it at a random moment, at most within the time after its first
// acknowledged append, and notes what it has acknowledged.
func (k *Kills) Kill(writer *exec.Cmd, within time.Duration) error {
	out, err := writer.StdoutPipe()
	if err != nil {
		return err
	}
	if err := writer.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(out)
	for first := true; lines.Scan(); first = false {
		if first {
			time.AfterFunc(rand.N(within), func() { _ = writer.Process.Kill() })
		}
		k.note(lines.Text())
	}
	err = writer.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Exited() {
		return fmt.Errorf("the writer was not killed: %w", err)
	}
	k.Kills++
	return nil
}

// note takes a line of the writer's in, unless the kill has torn it.
func (k *Kills) note(line string) {
	text, whole := strings.CutSuffix(line, " acknowledged")
	ref, err := changeset.ParseRef(text)
	if !whole || err != nil {
		return
	}
	if k.acknowledged == nil {
		k.acknowledged = map[string][]changeset.Ref{}
	}
	k.Acknowledged++
	k.acknowledged[ref.AggregateID] = append(k.acknowledged[ref.AggregateID], ref)
}

// Refs returns what the writers have acknowledged.
func (k *Kills) Refs() (all []changeset.Ref) {
	for _, refs := range k.acknowledged {
		all = append(all, refs...)
	}
	return all
}

// Prove looks at all chains that were acknowledged: what was acknowledged is
// there, all that is there is proved, and beside it there are orphans at most.
func (k *Kills) Prove(ctx context.Context, place Place) error {
	in := inspect.New(place.Changesets, place.Heads, nil)
	for id, refs := range k.acknowledged {
		report, err := in.Verify(ctx, id)
		if err != nil {
			return err
		}
		for _, p := range report.Problems {
			k.Violations = append(k.Violations, p.String())
		}
		if report.Unknown > 0 {
			k.Violations = append(k.Violations, fmt.Sprintf("%s: the kind of %d objects is unknown", id, report.Unknown))
		}
		k.Committed += report.Committed
		k.Orphans += report.Lost + report.Pending + report.Ahead
		if err := k.hold(ctx, place, refs); err != nil {
			return err
		}
	}
	return nil
}

// hold looks for acknowledged changesets of one chain in it.
func (k *Kills) hold(ctx context.Context, place Place, refs []changeset.Ref) error {
	r, err := ropewalk.New(place.Changesets, place.Heads, nil).Chain(refs[0].AggregateID).Reader(ctx)
	if err != nil {
		return err
	}
	headers, err := ropewalk.Collect(r.Headers(ctx, ropewalk.Range{Last: ropewalk.Newest}))
	if err != nil {
		return err
	}
	for _, ref := range refs {
		if ref.Version >= uint64(len(headers)) || headers[ref.Version].Ref != ref {
			k.Violations = append(k.Violations, fmt.Sprintf("%s was acknowledged, and is missing", ref))
		}
	}
	return nil
}

// KillTable returns the figures of several places as a Markdown table.
func KillTable(all []*Kills) string {
	var text strings.Builder
	text.WriteString("| | kills | appends acknowledged | changesets committed | orphans left | violations | took |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, k := range slices.SortedFunc(slices.Values(all), func(a, b *Kills) int { return strings.Compare(a.Place, b.Place) }) {
		fmt.Fprintf(&text, "| %s | %s | %s | %s | %s | %d | %s |\n", k.Place, Grouped(k.Kills), Grouped(k.Acknowledged),
			Grouped(k.Committed), Grouped(k.Orphans), len(k.Violations), k.Took.Round(100*time.Millisecond))
	}
	return text.String()
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"time"

	"ropewalk"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/gc"
)

// findingsJSON counts the objects that gc has found and deleted.
type findingsJSON struct {
	Seen       countJSON `json:"seen"`
	Lost       countJSON `json:"lost"`
	Pending    countJSON `json:"pending"`
	Erased     countJSON `json:"erased"`
	Young      countJSON `json:"young"`
	Ahead      countJSON `json:"ahead"`
	Unreadable countJSON `json:"unreadable"`
	Unknown    countJSON `json:"unknown"`
	Parts      countJSON `json:"parts,omitzero"`
	Deleted    countJSON `json:"deleted"`
}

func (f *findingsJSON) add(r gc.Report) {
	f.Seen.add(r.Seen)
	f.Lost.add(r.Lost)
	f.Pending.add(r.Pending)
	f.Erased.add(r.Erased)
	f.Young.add(r.Young)
	f.Ahead.add(r.Ahead)
	f.Unreadable.add(r.Unreadable)
	f.Unknown.add(r.Unknown)
	f.Parts.add(r.Parts)
	f.Deleted.add(r.Deleted)
}

// collectedJSON is an aggregate of gc with --json. An aggregate with nothing but a
// chain is left out.
type collectedJSON struct {
	ui.Kind
	Aggregate string `json:"aggregate"`
	findingsJSON
	Fenced   bool `json:"fenced,omitempty"`
	Headless bool `json:"headless,omitempty"`
	// Fault says why the aggregate could not be collected; Code is its class.
	Fault string `json:"fault,omitempty"`
	Code  string `json:"code,omitempty"`
}

// gcJSON is the summary of gc with --json.
type gcJSON struct {
	ui.Kind
	Delete     bool  `json:"delete"`
	Aggregates int64 `json:"aggregates"`
	findingsJSON
	// Failed counts the aggregates that could not be collected.
	Failed int64 `json:"failed"`
	// Last is the last aggregate that was done, for --after.
	Last string `json:"last,omitempty"`
}

// collecting is a run of gc. Its lines wait for the end, so that only the progress
// bar writes to the terminal until then. With --json they do not wait.
type collecting struct {
	*ui.Streams
	delete, headless bool
	grace            time.Duration
	stop             func() // ends the work on all aggregates
	total            gcJSON
	found            []gc.Report // with something to report
	failed           []gc.Report
}

// run takes all reports. An interrupt, or a storage that is unavailable, ends the
// work on all aggregates. The reports that follow count the work done until then.
func (g *collecting) run(reports iter.Seq2[gc.Report, error]) error {
	var ended error
	for r, err := range reports {
		if ended == nil && (err != nil || cliexit.Unavailable(r.Err) || errors.Is(r.Err, context.Canceled)) {
			ended = cmp.Or(err, r.Err)
			g.stop()
		}
		if err == nil {
			err = g.take(r, ended == nil)
		}
		if err != nil {
			return cmp.Or(ended, err)
		}
	}
	return ended
}

// take takes the report of an aggregate. running is false once the run has been
// stopped.
func (g *collecting) take(r gc.Report, running bool) error {
	if !running && r.Err != nil && r.Seen.Objects == 0 {
		return nil // stopped before anything was done
	}
	g.total.Aggregates++
	g.total.add(r)
	if running {
		g.total.Last = r.AggregateID
	}
	if r.Err != nil {
		g.total.Failed++
		g.failed = append(g.failed, r)
	}
	if !remarkable(r) {
		return nil
	}
	if g.found = append(g.found, r); !g.JSON {
		return nil
	}
	out := collectedJSON{Kind: ui.KindOf("collected"), Aggregate: r.AggregateID, Fenced: r.Fenced, Headless: r.Err == nil && g.leftAlone(r)}
	out.add(r)
	if r.Err != nil {
		out.Fault, out.Code = g.Message(r.Err), cliexit.Classify(context.Background(), r.Err).Code
	}
	return g.Emit(out)
}

// remarkable reports whether an aggregate has more than its chain.
func remarkable(r gc.Report) bool {
	plain := gc.Report{AggregateID: r.AggregateID, Head: r.Head, Seen: r.Seen}
	return r.Err != nil || r.Head.IsZero() || r != plain
}

// leftAlone reports whether an aggregate was left alone because it has no head.
func (g *collecting) leftAlone(r gc.Report) bool { return r.Head.IsZero() && !g.headless }

// finish prints the result, also after an interrupt, and returns the error of the run.
func (g *collecting) finish(ended error) error {
	if cliexit.IsOutput(ended) || ended != nil && g.total.Aggregates == 0 {
		return ended // a total would read as an empty store
	}
	if err := g.printFound(); err != nil {
		return err
	}
	for _, r := range g.found {
		g.warnOf(r)
	}
	if ended != nil {
		return g.resumable(ended)
	}
	return g.failure()
}

// failure returns the error of the aggregates that could not be collected. An
// aggregate whose head was rolled back comes first.
func (g *collecting) failure() error {
	if len(g.failed) == 0 {
		return nil
	}
	first := g.failed[0]
	for _, r := range g.failed {
		if errors.Is(r.Err, ropewalk.ErrHeadLost) {
			first = r
			break
		}
	}
	err := first.Err
	if len(g.failed) > 1 {
		for _, r := range g.failed {
			g.Warn("%v", r.Err)
		}
		err = fmt.Errorf("%s could not be collected, the others are done; the first of them: %w", ui.Plural(int64(len(g.failed)), "aggregate"), err)
	}
	argument := reference.Operand(first.AggregateID)
	if errors.Is(err, ropewalk.ErrHeadLost) {
		return cliexit.WithHint(err, "see what is stored: ropewalk verify %s; then decide: ropewalk rebuild-head %s", argument, argument)
	}
	return cliexit.WithHint(err, "see what is wrong: ropewalk verify %s", argument)
}

// resumable adds a hint with the command that continues the run.
func (g *collecting) resumable(err error) error {
	if g.total.Last == "" {
		return err
	}
	again := "ropewalk gc --after " + ui.Quote(g.total.Last)
	if g.delete {
		again += " --delete"
	}
	if g.headless {
		again += " --headless"
	}
	if g.grace != 7*ui.Day {
		again += " --grace " + ui.FormatDuration(g.grace)
	}
	return cliexit.WithHint(err, "all up to %s is done; continue: %s", g.total.Last, again)
}

// printFound prints a line for each aggregate with objects to delete, and the
// summary.
func (g *collecting) printFound() error {
	t := g.total
	if g.JSON {
		return g.Emit(t)
	}
	out := ui.NewTable(g.Out, "AGGREGATE", "LOST", "PENDING", "ERASED", "SIZE").AlignRight(1, 2, 3, 4)
	rows := int64(0)
	for _, r := range g.found {
		all := r.Collectable()
		if all.Objects == 0 || r.Err != nil && r.Deleted.Objects == 0 {
			continue
		}
		rows++
		number := func(c gc.Count) string { return strconv.FormatInt(c.Objects, 10) }
		if err := out.Row(r.AggregateID, number(r.Lost), number(r.Pending), number(r.Erased), ui.ByteSize(all.Bytes)); err != nil {
			return err
		}
	}
	if rows > 0 {
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return g.Print("%s\n", g.summary(rows))
}

func (g *collecting) summary(rows int64) string {
	t := g.total
	what, n := "would delete ", countJSON{t.Lost.Objects + t.Pending.Objects + t.Erased.Objects, t.Lost.Bytes + t.Pending.Bytes + t.Erased.Bytes}
	if g.delete {
		what, n = "deleted ", t.Deleted
	}
	text := what + ui.Plural(n.Objects, "object") + ", " + ui.SpacedSize(n.Bytes) + ", of " + ui.Plural(rows, "aggregate") +
		"; looked at " + ui.Plural(t.Aggregates, "aggregate") + ", " + ui.Plural(t.Seen.Objects, "object") + ", " + ui.SpacedSize(t.Seen.Bytes)
	if t.Young.Objects > 0 {
		text += "; kept " + ui.Plural(t.Young.Objects, "object") + " younger than " + ui.FormatDuration(g.grace)
	}
	if t.Parts.Objects > 0 {
		text += "; kept " + ui.Plural(t.Parts.Objects, "object") + " of commits of several aggregates, see --parts"
	}
	return text
}

// warnOf warns of objects that were left alone.
func (g *collecting) warnOf(r gc.Report) {
	argument := reference.Operand(r.AggregateID)
	switch {
	case r.Err != nil: // which is reported separately
	case g.leftAlone(r):
		g.Warn("%s has %s and no head, left alone: ropewalk graph %s", r.AggregateID, ui.Plural(r.Seen.Objects, "object"), argument)
	case r.Unreadable.Objects > 0:
		g.Warn("%s has %s that cannot be read, left alone: ropewalk verify %s", r.AggregateID, ui.Plural(r.Unreadable.Objects, "object"), argument)
	case r.Unknown.Objects > 0:
		g.Warn("the chain of %s is broken where it has %s, left alone: ropewalk verify %s", r.AggregateID, ui.Plural(r.Unknown.Objects, "object"), argument)
	}
}

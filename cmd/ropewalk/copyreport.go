package main

import (
	"context"
	"errors"
	"fmt"

	"ropewalk"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/transfer"
)

// copying is a run of copy.
type copying struct {
	*ui.Streams
	src, dst string
	total    copyJSON
	bar      *ui.Progress
	moving   bool // the present pass moves what was copied before
	failed   []transfer.Report
}

// copyJSON is the summary of copy with --json.
type copyJSON struct {
	ui.Kind
	Aggregates int64     `json:"aggregates"`
	Changesets int64     `json:"changesets"`
	Objects    countJSON `json:"objects"`
	Equal      int64     `json:"equal"`
	Newer      int64     `json:"newer"`
	Absent     int64     `json:"absent,omitempty"`
	Moved      int64     `json:"moved,omitempty"`
	Failed     int64     `json:"failed"`
}

// copiedJSON is an aggregate of copy with --json, unless both stores had the same.
type copiedJSON struct {
	ui.Kind
	Aggregate   string     `json:"aggregate"`
	Outcome     string     `json:"outcome"`
	Source      *pointJSON `json:"source,omitempty"`
	Destination *pointJSON `json:"destination,omitempty"`
	Changesets  int64      `json:"changesets"`
	Objects     countJSON  `json:"objects"`
	Fault       string     `json:"fault,omitempty"`
	Code        string     `json:"code,omitempty"`
}

func (c *copying) take(r transfer.Report) error {
	c.bar.Add(1)
	switch c.total.Changesets += r.Changesets; r.Outcome {
	case transfer.Copied:
		c.total.Aggregates++
	case transfer.Moved:
		c.total.Moved++
	case transfer.Equal:
		if c.moving {
			return nil
		}
		c.total.Equal++
		return nil
	case transfer.Newer:
		if c.moving {
			return nil
		}
		c.total.Newer++
	case transfer.Absent:
		c.total.Absent++
		return nil
	default:
		c.total.Failed++
		c.failed = append(c.failed, r)
	}
	c.total.Objects.Objects += r.Objects
	c.total.Objects.Bytes += r.Bytes
	if !c.JSON {
		return nil
	}
	out := copiedJSON{
		ui.KindOf("copied"), r.AggregateID, r.Outcome.String(), newPointJSON(r.Source), newPointJSON(r.Destination),
		r.Changesets,
		countJSON{r.Objects, r.Bytes},
		"", "",
	}
	if r.Err != nil {
		out.Fault, out.Code = c.Message(r.Err), cliexit.Classify(context.Background(), r.Err).Code
	}
	return c.Emit(out)
}

// finish prints what was copied, also after an interrupt, and returns the error of the run.
func (c *copying) finish(ended error) error {
	t := c.total
	if cliexit.IsOutput(ended) || ended != nil && t.Aggregates+t.Equal+t.Newer+t.Absent+t.Moved == 0 {
		return ended // a total would read as an empty store
	}
	copied := fmt.Sprintf("copied %s with %s: put %s, %s; %d equal, %d newer in the destination", ui.Plural(t.Aggregates, "aggregate"),
		ui.Plural(t.Changesets, "changeset"), ui.Plural(t.Objects.Objects, "object"), ui.SpacedSize(t.Objects.Bytes), t.Equal, t.Newer)
	if t.Moved > 0 {
		copied += fmt.Sprintf("; moved %s", ui.Plural(t.Moved, "aggregate"))
	}
	if t.Absent > 0 {
		copied += fmt.Sprintf("; %d did not exist then", t.Absent)
	}
	err := error(nil)
	if c.JSON {
		err = c.Emit(t)
	} else {
		err = c.Print("%s\n", copied)
	}
	switch {
	case err != nil:
		return c.Unread(err, "%s", copied)
	case ended != nil:
		return ended
	}
	return c.failure()
}

// failure returns the error of the aggregates that could not be copied.
func (c *copying) failure() error {
	if len(c.failed) == 0 {
		return nil
	}
	first := c.failed[0]
	err := first.Err
	if len(c.failed) > 1 {
		for _, r := range c.failed {
			c.Warn("%v", r.Err)
		}
		err = fmt.Errorf("%s could not be copied, the others are done; the first of them: %w", ui.Plural(int64(len(c.failed)), "aggregate"), err)
	}
	return cliexit.WithHint(err, "%s", c.hint(first))
}

// hint returns what to do about an aggregate that could not be copied.
func (c *copying) hint(r transfer.Report) string {
	command := "ropewalk verify --store " + ui.Quote(c.src)
	if errors.Is(r.Err, ropewalk.ErrConflict) || errors.Is(r.Err, ropewalk.ErrErased) {
		command = "ropewalk diff --store " + ui.Quote(c.src) + " --with " + ui.Quote(c.dst)
	}
	return "see what is wrong: " + command + " " + reference.Operand(r.AggregateID)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"charm.land/lipgloss/v2"

	"ropewalk"
	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/reference"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/cmd/ropewalk/internal/visible"
	"ropewalk/head"
	"ropewalk/inspect"
)

// verifiedJSON is the summary of verify with --json.
type verifiedJSON struct {
	ui.Kind
	Aggregates int64 `json:"aggregates"`
	Changesets int64 `json:"changesets"`
	Bytes      int64 `json:"bytes"`
	Corrupt    int64 `json:"corrupt"`
	Orphans    int64 `json:"orphans"`
	Pending    int64 `json:"pending"`
	Ahead      int64 `json:"ahead"`
	Unknown    int64 `json:"unknown"`
	// InHeads counts the changesets that are in the tips of heads alone.
	InHeads int64 `json:"in_heads,omitempty"`
	// Commits counts the commits of several aggregates that are in all of them, and Torn
	// the commits of which parts are missing.
	Commits int64 `json:"commits,omitempty"`
	Torn    int64 `json:"torn,omitempty"`
	// UnprovedCommits counts the commits whose missing parts may be in erased histories, or
	// in what could not be read.
	UnprovedCommits int64 `json:"unproved_commits,omitempty"`
	// Digest is the changeset that has the kept digest.
	Digest *pointJSON `json:"digest,omitempty"`
}

// verifying is a run of verify. Its lines wait for the end, so that only the
// progress bar writes to the terminal until then. With --json they do not wait.
type verifying struct {
	*ui.Streams
	bar      *ui.Progress
	total    verifiedJSON
	hurt     int64 // aggregates with a fault
	problems []inspect.Problem
	ahead    []string
	missing  error            // of the aggregates that do not exist; nil if all do
	commits  *inspect.Commits // nil if not all aggregates are verified
}

func (v *verifying) run(ctx context.Context, reports iter.Seq2[inspect.Report, error]) error {
	v.total.Kind = ui.KindOf("verified")
	ended := v.takeAll(reports)
	var torn []inspect.Torn
	if ended == nil && v.commits != nil {
		torn, ended = v.proveCommits(ctx)
	}
	v.bar.End()
	if cliexit.IsOutput(ended) {
		return ended
	}
	if ended != nil && v.total.Aggregates == 0 {
		return errors.Join(ended, v.missing) // a total would read as an empty store
	}
	if err := v.printProblems(); err != nil {
		return err
	}
	for _, id := range v.ahead {
		v.Warn("%s has changesets that were built on a revision which its head has not reached: ropewalk graph %s", id, reference.Operand(id))
	}
	if err := v.reportTorn(torn); err != nil {
		return err
	}
	if err := v.printTotal(); err != nil {
		return err
	}
	if v.total.Corrupt == 0 {
		return errors.Join(ended, v.missing)
	}
	err := fmt.Errorf("verify found %s in %s", ui.Plural(v.total.Corrupt, "fault"), ui.Plural(v.hurt, "aggregate"))
	if ended != nil {
		return fmt.Errorf("%w; before that, %w", ended, err)
	}
	return cliexit.Wrap(cliexit.Found, errors.Join(err, v.missing))
}

// takeAll takes all reports, and returns the error that ended them. An aggregate that
// does not exist does not end them: the others are verified.
func (v *verifying) takeAll(reports iter.Seq2[inspect.Report, error]) error {
	for r, err := range reports {
		switch {
		case err == nil:
			err = v.take(r)
		case errors.Is(err, ropewalk.ErrNotFound) && !cliexit.Unavailable(err):
			v.missing, err = errors.Join(v.missing, err), nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (v *verifying) take(r inspect.Report) error {
	if v.commits != nil {
		v.commits.Add(r)
	}
	t := &v.total
	t.Aggregates++
	t.Changesets += int64(r.Committed)
	t.InHeads += int64(r.InHead)
	t.Bytes += r.Bytes
	t.Corrupt += int64(len(r.Problems))
	t.Orphans += int64(r.Lost)
	t.Pending += int64(r.Pending)
	t.Ahead += int64(r.Ahead)
	t.Unknown += int64(r.Unknown)
	if r.Ahead > 0 {
		v.ahead = append(v.ahead, r.AggregateID)
	}
	if !r.Kept.ID.IsZero() {
		t.Digest = newPointJSON(head.Head{Ref: r.Kept})
	}
	if len(r.Problems) > 0 {
		v.hurt++
	}
	if !v.JSON {
		v.problems = append(v.problems, r.Problems...)
		return nil
	}
	for _, p := range r.Problems {
		if err := v.Emit(newProblemJSON(p)); err != nil {
			return err
		}
	}
	return nil
}

// printProblems prints a line for each fault: the changeset, the reason, and the
// object.
func (v *verifying) printProblems() error {
	var widths [2]int
	lines := make([][3]string, 0, len(v.problems))
	for _, p := range v.problems {
		line := [3]string{p.Ref.AggregateID, p.Reason, p.Object}
		if p.Ref.ID.IsZero() {
			line[1] = "head: " + p.Reason
		} else {
			line[0] += "@" + versionsOf(p.Ref)
		}
		if !p.Missing.ID.IsZero() {
			line[1] += ": " + v.ShortID(p.Missing.ID.String())
		}
		for i := range line {
			line[i] = visible.Text(line[i])
		}
		for i := range widths {
			widths[i] = max(widths[i], lipgloss.Width(line[i]))
		}
		lines = append(lines, line)
	}
	for _, line := range lines {
		text := ui.Padded(line[0], widths[0]+2) + ui.Padded(line[1], widths[1]+2) + line[2]
		if err := v.Print("%s\n", ui.Safe(strings.TrimRight(text, " "))); err != nil {
			return err
		}
	}
	return nil
}

// versionsOf returns the version of a changeset, or the versions of an object: "5-9".
func versionsOf(ref changeset.Ref) string {
	last := strconv.FormatUint(ref.Version, 10)
	if ref.Count > 1 {
		return strconv.FormatUint(ref.First(), 10) + "-" + last
	}
	return last
}

func (v *verifying) printTotal() error {
	t := v.total
	if v.JSON {
		return v.Emit(t)
	}
	if t.Digest != nil {
		if err := v.Print("the digest belongs to %s\n", t.Digest.Ref); err != nil {
			return err
		}
	}
	changesets := ui.Plural(t.Changesets, "changeset")
	if t.InHeads > 0 {
		changesets += " (" + ui.Thousands(t.InHeads) + " in heads alone)"
	}
	summary := fmt.Sprintf("verified %s, %s, %s: %s corrupt, %s, %s pending",
		ui.Plural(t.Aggregates, "aggregate"), changesets, ui.SpacedSize(t.Bytes),
		ui.Thousands(t.Corrupt), ui.Plural(t.Orphans, "orphan"), ui.Thousands(t.Pending))
	if t.Ahead > 0 {
		summary += ", " + ui.Thousands(t.Ahead) + " ahead"
	}
	if t.Unknown > 0 {
		summary += ", " + ui.Thousands(t.Unknown) + " unknown"
	}
	if n := t.Commits + t.Torn + t.UnprovedCommits; n > 0 {
		summary += "; " + commitsText(t)
	}
	return v.Print("%s\n", summary)
}

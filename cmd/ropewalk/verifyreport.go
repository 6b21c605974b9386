package main

import (
	"fmt"
	"strconv"
	"strings"

	"charm.land/lipgloss/v2"

	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/cmd/ropewalk/internal/visible"
	"ropewalk/inspect"
)

func newProblemJSON(p inspect.Problem) problemJSON {
	out := problemJSON{Kind: ui.KindOf("problem"), Aggregate: p.Ref.AggregateID, Object: p.Object, Reason: p.Reason}
	if !p.Ref.ID.IsZero() {
		out.Ref = p.Ref.String()
	}
	if !p.Missing.ID.IsZero() {
		out.Missing = p.Missing.String()
	}
	return out
}

// printProblems prints a line for each fault: which changeset, what is wrong,
// and where it is stored.
func (v *verifying) printProblems() error {
	var widths [2]int
	lines := make([][3]string, 0, len(v.problems))
	for _, p := range v.problems {
		line := [3]string{p.Ref.AggregateID, p.Reason, p.Object}
		if p.Ref.ID.IsZero() {
			line[1] = "head: " + p.Reason
		} else {
			line[0] += "@" + strconv.FormatUint(p.Ref.Version, 10)
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

func (v *verifying) printTotal() error {
	t := v.total
	if v.JSON {
		return v.Emit(t)
	}
	if t.Digest != nil {
		if err := v.Print("the digest is that of %s\n", t.Digest.Ref); err != nil {
			return err
		}
	}
	summary := fmt.Sprintf("verified %s, %s, %s: %s corrupt, %s, %s pending",
		ui.Plural(t.Aggregates, "aggregate"), ui.Plural(t.Changesets, "changeset"), ui.SpacedSize(t.Bytes),
		ui.Thousands(t.Corrupt), ui.Plural(t.Orphans, "orphan"), ui.Thousands(t.Pending))
	if t.Ahead > 0 {
		summary += ", " + ui.Thousands(t.Ahead) + " ahead"
	}
	if t.Unknown > 0 {
		summary += ", " + ui.Thousands(t.Unknown) + " unknown"
	}
	return v.Print("%s\n", summary)
}

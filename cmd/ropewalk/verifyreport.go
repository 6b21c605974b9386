package main

import (
	"fmt"
	"strconv"
	"strings"

	"charm.land/lipgloss/v2"

	"ropewalk/cmd/ropewalk/internal/visible"
	"ropewalk/inspect"
)

func newProblemJSON(p inspect.Problem) problemJSON {
	out := problemJSON{kind: kindOf("problem"), Aggregate: p.Ref.AggregateID, Object: p.Object, Reason: p.Reason}
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
			line[1] += ": " + v.shortID(p.Missing.ID)
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
		text := padded(line[0], widths[0]+2) + padded(line[1], widths[1]+2) + line[2]
		if err := v.print("%s\n", safeText(strings.TrimRight(text, " "))); err != nil {
			return err
		}
	}
	return nil
}

func padded(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-lipgloss.Width(s)))
}

func (v *verifying) printTotal() error {
	t := v.total
	if v.json {
		return v.emit(t)
	}
	if t.Digest != nil {
		if err := v.print("the digest is that of %s\n", t.Digest.Ref); err != nil {
			return err
		}
	}
	summary := fmt.Sprintf("verified %s, %s, %s: %s corrupt, %s, %s pending",
		plural(t.Aggregates, "aggregate"), plural(t.Changesets, "changeset"), spacedSize(t.Bytes),
		thousands(t.Corrupt), plural(t.Orphans, "orphan"), thousands(t.Pending))
	if t.Ahead > 0 {
		summary += ", " + thousands(t.Ahead) + " ahead"
	}
	if t.Untold > 0 {
		summary += ", " + thousands(t.Untold) + " in doubt"
	}
	return v.print("%s\n", summary)
}

// plural returns a number of things: 1 orphan, 12,408 orphans.
func plural(n int64, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return thousands(n) + " " + thing
}

func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// spacedSize returns a size as it stands within a sentence: 4.1 GB.
func spacedSize(n int64) string {
	s := byteSize(n)
	unit := strings.TrimLeft(s, "0123456789.")
	return strings.TrimSuffix(s, unit) + " " + unit
}

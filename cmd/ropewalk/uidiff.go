package main

import (
	"context"
	"strings"

	"ropewalk/cmd/ropewalk/internal/difference"
	"ropewalk/cmd/ropewalk/internal/inspector"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/cmd/ropewalk/internal/visible"
)

// maxDifferences is the number of paths, or of lines, that a page shows.
const maxDifferences = 1000

// Diff compares two changesets as diff does.
func (u *uiSource) Diff(ctx context.Context, from, to string) (inspector.Diff, error) {
	var out inspector.Diff
	old, next, err := u.store.readBoth(ctx, from, to)
	if err != nil {
		return out, err
	}
	d := compareContents(old, next)
	out.From, out.To = inspector.Text(d.from.Ref.String()), inspector.Text(d.to.Ref.String())
	for _, words := range d.words() {
		out.Words = append(out.Words, inspector.Text(words))
	}
	for _, c := range d.changes[:min(len(d.changes), maxDifferences)] {
		out.Changes = append(out.Changes, newUIPathChange(c))
	}
	lines := strings.SplitAfterN(d.unified, "\n", maxDifferences+1)
	for _, line := range lines[:min(len(lines), maxDifferences)] {
		if line != "" {
			out.Lines = append(out.Lines, newUIDiffLine(strings.TrimSuffix(line, "\n")))
		}
	}
	if len(d.changes) > maxDifferences || len(lines) > maxDifferences {
		out.Cut = "Cut short: the first " + ui.Thousands(maxDifferences) + " differences are shown. ropewalk diff " +
			ui.Quote(d.from.Ref.String()) + " " + ui.Quote(d.to.Ref.String()) + " gives all."
	}
	return out, nil
}

func newUIPathChange(c difference.Change) inspector.PathChange {
	out := inspector.PathChange{Kind: "changed", Path: "(the whole content)", From: inspector.Text(c.From), To: inspector.Text(c.To)}
	if c.Path != "" {
		out.Path = inspector.Text(c.Path)
	}
	switch {
	case c.From == nil:
		out.Kind = "added"
	case c.To == nil:
		out.Kind = "removed"
	}
	return out
}

func newUIDiffLine(line string) inspector.DiffLine {
	kind := "same"
	switch {
	case strings.HasPrefix(line, "--- "), strings.HasPrefix(line, "+++ "), strings.HasPrefix(line, "@@"):
		kind = "place"
	case strings.HasPrefix(line, "+"):
		kind = "added"
	case strings.HasPrefix(line, "-"):
		kind = "removed"
	}
	return inspector.DiffLine{Kind: kind, Text: visible.Lines(ui.Clip(line, ui.MaxCell))}
}

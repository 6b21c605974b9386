package main

import (
	"context"
	"fmt"
	"strings"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/inspect"
)

// tornJSON is a commit of several aggregates that only some of them have, with --json.
type tornJSON struct {
	ui.Kind
	Commit     string   `json:"commit"`
	Members    int      `json:"members"`
	RecordedAt string   `json:"recorded_at"`
	In         []string `json:"in"`
	// Outside are changesets that are stored, and are not in their chains.
	Outside []string `json:"outside,omitempty"`
}

// proveCommits finds out what the reports show of commits of several aggregates.
func (v *verifying) proveCommits(ctx context.Context) ([]inspect.Torn, error) {
	found, err := v.commits.Check(ctx)
	if err != nil {
		return nil, fmt.Errorf("prove commits of several aggregates: %w", err)
	}
	v.total.Commits, v.total.Torn, v.total.UnprovedCommits = int64(found.Complete), int64(len(found.Torn)), int64(found.Unproved)
	return found.Torn, nil
}

// reportTorn warns of the torn commits, and says which changesets they have.
func (v *verifying) reportTorn(torn []inspect.Torn) error {
	for _, t := range torn {
		if v.JSON {
			if err := v.Emit(newTornJSON(t)); err != nil {
				return err
			}
			continue
		}
		text := fmt.Sprintf("commit %s is torn: %d of its %d aggregates have it, in %s", t.Commit.ID, len(t.In), t.Commit.Members, refs(t.In))
		if len(t.Outside) > 0 {
			text += fmt.Sprintf("; stored and not in its chain: %s", refs(t.Outside))
		}
		v.Warn("%s", text)
	}
	return nil
}

func newTornJSON(t inspect.Torn) tornJSON {
	return tornJSON{
		Kind: ui.KindOf("torn"), Commit: t.Commit.ID.String(), Members: t.Commit.Members, RecordedAt: changeset.FormatTime(t.RecordedAt),
		In: texts(t.In), Outside: texts(t.Outside),
	}
}

func texts(refs []changeset.Ref) (all []string) {
	for _, ref := range refs {
		all = append(all, ref.String())
	}
	return all
}

// refs lists the first references of some.
func refs(all []changeset.Ref) string {
	const most = 4
	list := strings.Join(texts(all[:min(most, len(all))]), ", ")
	if more := len(all) - most; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return list
}

// commitsText counts the commits of several aggregates.
func commitsText(t verifiedJSON) string {
	text := ui.Plural(t.Commits, "whole commit") + " of several aggregates"
	if t.Torn > 0 {
		text += ", " + ui.Thousands(t.Torn) + " torn"
	}
	if t.UnprovedCommits > 0 {
		text += ", " + ui.Thousands(t.UnprovedCommits) + " with parts that were erased or could not be read"
	}
	return text
}

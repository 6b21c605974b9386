package main

import (
	"fmt"
	"strings"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ndjson"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/feed"
)

// changeJSON is a change of an aggregate with --json: a changeset of kind change,
// or an erasure of kind erased.
type changeJSON struct {
	ui.Kind
	Position    string            `json:"position"`
	Ref         string            `json:"ref"`
	Aggregate   string            `json:"aggregate"`
	Version     uint64            `json:"version"`
	Changeset   string            `json:"changeset"`
	RecordedAt  string            `json:"recorded_at,omitempty"`
	ContentType string            `json:"content_type,omitempty"`
	Size        *int64            `json:"size,omitempty"`
	CommandID   string            `json:"command_id,omitempty"`
	Commit      *commitJSON       `json:"commit,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	*contentJSON
}

func newChangeJSON(c feed.Change) changeJSON {
	out := changeJSON{
		Kind: ui.KindOf("erased"), Position: c.Position.String(), Ref: c.Ref.String(), Aggregate: c.AggregateID, Version: c.Version,
		Changeset: c.ID.String(),
	}
	if c.Erased {
		return out
	}
	out.Kind, out.RecordedAt, out.ContentType = ui.KindOf("change"), changeset.FormatTime(c.RecordedAt), c.ContentType
	out.Size, out.CommandID, out.Metadata = &c.BodySize, c.CommandID, ownMetadata(c.Header)
	out.Commit = newCommitJSON(c.Header)
	return out
}

func (w *watching) print(c feed.Change) error {
	if w.JSON {
		out := newChangeJSON(c)
		if w.content && !c.Erased {
			out.contentJSON = newContentJSON(c.Content)
		}
		return w.Emit(out)
	}
	if err := w.Print("%s\n", ui.Safe(changeLine(c))); err != nil || !w.content || c.Erased {
		return err
	}
	if ndjson.HasEvents(c.Changeset) {
		return w.printEvents(c.Changeset)
	}
	return w.Print("%s\n", ui.Safe(showContent(c.Content)))
}

// printEvents prints the events as show does, with a blank line after them.
func (w *watching) printEvents(c changeset.Changeset) error {
	if err := showEvents(w.Streams, c); err != nil {
		return err
	}
	return w.Print("\n")
}

// changeLine returns a change as one line. The position comes last, so that the last
// word of a line is always the position.
func changeLine(c feed.Change) string {
	recorded, size, what := "", "", "erased"
	if !c.Erased {
		recorded, size, what = ui.Seconds(c.RecordedAt), ui.ByteSize(c.BodySize), c.ContentType
		if mark := c.Commit(); !mark.IsZero() {
			what += "  commit " + commitWords(mark)
		}
	}
	line := fmt.Sprintf("%-20s  %7s  %s", recorded, size, ui.Safef("%s  %s  %s", c.Ref.String(), what, c.Position.String()))
	return strings.TrimRight(line, " ")
}

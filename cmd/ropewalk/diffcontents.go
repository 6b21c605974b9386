package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"strings"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/difference"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/cmd/ropewalk/internal/visible"
)

// contentsDiff is the difference of the contents of two changesets.
type contentsDiff struct {
	from, to changeset.Changeset
	equal    bool   // byte by byte
	compared string // json, text or bytes
	changes  []difference.Change
	unified  string // of text
}

func compareContents(from, to changeset.Changeset) contentsDiff {
	d := contentsDiff{from: from, to: to, equal: bytes.Equal(from.Content, to.Content)}
	if changes, ok := difference.JSON(from.Content, to.Content); ok {
		d.compared, d.changes = "json", changes
	} else if isText(from.Content) && isText(to.Content) {
		d.compared, d.unified = "text", difference.Text(from.Ref.String(), from.Content, to.Ref.String(), to.Content)
	} else {
		d.compared = "bytes"
	}
	return d
}

// diffJSON is the difference of two changesets with --json.
type diffJSON struct {
	ui.Kind
	From     diffSideJSON     `json:"from"`
	To       diffSideJSON     `json:"to"`
	Equal    bool             `json:"equal"`
	Compared string           `json:"compared"`
	Changes  []pathChangeJSON `json:"changes,omitempty"`
	Text     string           `json:"text,omitempty"`
}

// diffSideJSON is one of two changesets that are compared.
type diffSideJSON struct {
	Ref           string            `json:"ref"`
	ContentType   string            `json:"content_type"`
	ContentSize   int               `json:"content_size"`
	ContentSHA256 string            `json:"content_sha256"`
	Metadata      map[string]string `json:"metadata,omitempty"`
}

// pathChangeJSON is a change at a path. From is absent if the value was added, and To if it
// was removed.
type pathChangeJSON struct {
	Path string          `json:"path"`
	From json.RawMessage `json:"from,omitempty"`
	To   json.RawMessage `json:"to,omitempty"`
}

func newDiffSideJSON(c changeset.Changeset) diffSideJSON {
	return diffSideJSON{c.Ref.String(), c.ContentType, len(c.Content), contentHash(c), ownMetadata(c.Header)}
}

// contentHash returns the SHA-256 of the content, however it is stored.
func contentHash(c changeset.Changeset) string {
	return changeset.Digest(sha256.Sum256(c.Content)).String()
}

func (d contentsDiff) print(std *ui.Streams) error {
	if !std.JSON {
		return std.Print("%s", ui.Safe(d.text(std)))
	}
	out := diffJSON{Kind: ui.KindOf("diff"), From: newDiffSideJSON(d.from), To: newDiffSideJSON(d.to), Equal: d.equal, Compared: d.compared, Text: d.unified}
	for _, c := range d.changes {
		out.Changes = append(out.Changes, pathChangeJSON(c))
	}
	return std.Emit(out)
}

// text returns the difference for people.
func (d contentsDiff) text(std *ui.Streams) string {
	var b strings.Builder
	line := func(format string, args ...any) { b.WriteString(string(ui.Safef(format+"\n", args...))) }
	if d.unified == "" {
		line("--- %s", d.from.Ref)
		line("+++ %s", d.to.Ref)
	}
	for _, words := range d.words() {
		b.WriteString(string(words) + "\n")
	}
	for _, c := range d.changes {
		b.WriteString(pathChangeLine(std, c) + "\n")
	}
	b.WriteString(visible.Lines(d.unified))
	return b.String()
}

// words returns what is equal, and what differs besides the contents or in bytes, each in
// one line.
func (d contentsDiff) words() (all []ui.Safe) {
	line := func(format string, args ...any) { all = append(all, ui.Safef(format, args...)) }
	if d.from.ContentType != d.to.ContentType {
		line("content type: %s -> %s", d.from.ContentType, d.to.ContentType)
	}
	if !maps.Equal(ownMetadata(d.from.Header), ownMetadata(d.to.Header)) {
		line("metadata: %s -> %s", metadataOrNone(d.from), metadataOrNone(d.to))
	}
	switch {
	case d.equal:
		line("the contents are equal")
	case d.compared == "json" && len(d.changes) == 0:
		line("the contents are equal as JSON, but not byte by byte")
	case d.compared == "bytes":
		line("content: %d bytes, sha256 %s -> %d bytes, sha256 %s", len(d.from.Content), contentHash(d.from), len(d.to.Content), contentHash(d.to))
	}
	return all
}

// metadataOrNone returns the caller's metadata for a sentence.
func metadataOrNone(c changeset.Changeset) string {
	own := ownMetadata(c.Header)
	if len(own) == 0 {
		return "none"
	}
	return ui.FormatMetadata(own)
}

// pathChangeLine returns a change at a path in one line.
func pathChangeLine(std *ui.Streams, c difference.Change) string {
	path := c.Path
	if path == "" {
		path = "(the whole content)"
	}
	switch {
	case c.From == nil:
		return string(std.Paint(std.Out, ui.Green, "+ "+path+": "+string(c.To)))
	case c.To == nil:
		return string(std.Paint(std.Out, ui.Red, "- "+path+": "+string(c.From)))
	default:
		return string(ui.Safef("~ %s: %s -> %s", path, string(c.From), string(c.To)))
	}
}

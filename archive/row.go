package archive

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"mime"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"ropewalk/changeset"
	"ropewalk/feed"
	"ropewalk/internal/eventline"
)

// Row is a row of an archive or of an export: one event, or a changeset that has
// no events. An empty field is NULL in the file.
//
// A row keeps the text of its event byte for byte. The [Row.Text] of all rows of a
// changeset, joined, is the content of the changeset.
type Row struct {
	// Aggregate, Version, ChangesetID and Digest are the same in all rows of a
	// changeset, and so are Position, RecordedAt and ContentType.
	Aggregate string
	Version   uint64
	// Index is the place of the event in its changeset, from 0.
	Index int
	// Position is the place in the feed after the changeset. It is zero in an
	// export, which needs no feed.
	Position feed.Position
	// Type is the name of the event. It is empty if the text is not an event.
	Type string
	// Time is when the event happened, in UTC and whole microseconds. It is zero if
	// the event has no time that can be read.
	Time time.Time
	// RecordedAt is the changeset's, in UTC and whole microseconds.
	RecordedAt time.Time
	// Data is JSON: the data of the event, or the text if it is JSON but not an
	// event.
	Data string
	// Metadata is a JSON object: the metadata of the changeset and of the event. If
	// both have a key, the value of the event counts.
	Metadata    string
	EventID     string
	ChangesetID changeset.ID
	Digest      changeset.Digest
	ContentType string
	// Envelope is the text of the event with null in the place of its data.
	Envelope string
	// Content is the text if it is not JSON.
	Content []byte
}

// contentType is the content type of changesets whose lines become rows.
const contentType = "application/x-ndjson"

// RowsOf yields the rows of a changeset, which are one or more: one for each line
// of NDJSON, or one for any other content. The position may be zero.
func RowsOf(c changeset.Changeset, position feed.Position) iter.Seq[Row] {
	return func(yield func(Row) bool) {
		index := 0
		events := isNDJSON(c)
		for text := range texts(c.Content, events) {
			row := Row{
				Aggregate: c.AggregateID, Version: c.Version, Index: index, Position: position,
				RecordedAt: micros(c.RecordedAt), ChangesetID: c.ID, Digest: c.Digest, ContentType: c.ContentType,
			}
			row.setText(text, c.Metadata, events)
			if !yield(row) {
				return
			}
			index++
		}
	}
}

// isNDJSON reports whether the content is text of lines that may be events.
func isNDJSON(c changeset.Changeset) bool {
	media, _, err := mime.ParseMediaType(c.ContentType)
	return err == nil && media == contentType && utf8.Valid(c.Content)
}

// texts yields the parts of the content that become rows.
func texts(content []byte, events bool) iter.Seq[[]byte] {
	if events {
		return lines(content)
	}
	return func(yield func([]byte) bool) { yield(content) }
}

// lines yields the lines that are not blank, each with the blank space around it.
// Content without such lines is one line.
func lines(content []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for more := true; more; {
			end := len(content) - len(trimmed(content))
			if i := bytes.IndexByte(content[end:], '\n'); i >= 0 {
				end += i + 1
			} else {
				end = len(content)
			}
			if more = len(trimmed(content[end:])) > 0; !more {
				end = len(content)
			}
			if !yield(content[:end]) {
				return
			}
			content = content[end:]
		}
	}
}

// trimmed returns text without the white space of JSON at its beginning.
func trimmed(text []byte) []byte { return bytes.TrimLeft(text, " \t\r\n") }

// setText fills in what the text says, which may be an event.
func (r *Row) setText(text []byte, of map[string]string, event bool) {
	var line eventline.Line
	err := errNoEvent
	if event {
		line, err = eventline.Parse(text)
	}
	r.Metadata = metadata(of, line.Meta)
	switch {
	case err == nil:
		r.Type, r.EventID, r.Data = line.Type, line.ID, string(line.Data)
		r.Envelope = string(eventline.ReplaceData(text, []byte("null")))
		if t, err := eventline.ParseTime(line.Time); err == nil {
			r.Time = micros(t)
		}
	case utf8.Valid(text) && json.Valid(text):
		r.Data = string(text)
	case len(text) > 0:
		r.Content = bytes.Clone(text)
	}
}

var errNoEvent = errors.New("not an event")

// micros returns a time as Parquet has it.
func micros(t time.Time) time.Time { return time.UnixMicro(t.UnixMicro()).UTC() }

// metadata returns the metadata of a changeset and of an event as one object. The
// metadata of an event alone stays as it is.
func metadata(of map[string]string, event json.RawMessage) string {
	if len(of) == 0 {
		return string(event)
	}
	all := map[string]json.RawMessage{}
	for key, value := range of {
		all[key] = quoted(value)
	}
	maps.Insert(all, eventline.Fields(event))
	out := []byte{'{'}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, quoted(key)...), ':'), all[key]...)
	}
	return string(append(out, '}'))
}

func quoted(s string) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// Text returns the part of the changeset's content that the row is made of. It
// fails if [RowsOf] yields no such row.
func (r Row) Text() ([]byte, error) {
	if r.Envelope == "" {
		return append([]byte(r.Data), r.Content...), nil
	}
	line, err := eventline.Parse([]byte(r.Envelope))
	switch {
	case err != nil:
		return nil, err
	case (line.Data == nil) != (r.Data == ""):
		return nil, errors.New("the envelope and the data are not of one event")
	}
	return eventline.ReplaceData([]byte(r.Envelope), []byte(r.Data)), nil
}

// compare orders rows by aggregate, version and index.
func (r Row) compare(o Row) int {
	return cmp.Or(strings.Compare(r.Aggregate, o.Aggregate), cmp.Compare(r.Version, o.Version), cmp.Compare(r.Index, o.Index))
}

// size returns about the number of bytes that the row takes in memory.
func (r Row) size() int {
	return 256 + len(r.Aggregate) + len(r.Type) + len(r.Data) + len(r.Metadata) + len(r.EventID) + len(r.Envelope) + len(r.Content)
}

// difference returns the first column in which two rows differ; empty if they are
// equal. It does not compare positions.
func (r Row) difference(o Row) string {
	for _, column := range []struct {
		name string
		same bool
	}{
		{"aggregate", r.Aggregate == o.Aggregate},
		{"version", r.Version == o.Version},
		{"index", r.Index == o.Index},
		{"digest", r.Digest == o.Digest},
		{"changeset_id", r.ChangesetID == o.ChangesetID},
		{"recorded_at", r.RecordedAt.Equal(o.RecordedAt)},
		{"content_type", r.ContentType == o.ContentType},
		{"type", r.Type == o.Type},
		{"event_id", r.EventID == o.EventID},
		{"time", r.Time.Equal(o.Time)},
		{"data", r.Data == o.Data},
		{"metadata", r.Metadata == o.Metadata},
		{"envelope", r.Envelope == o.Envelope},
		{"content", bytes.Equal(r.Content, o.Content)},
	} {
		if !column.same {
			return column.name
		}
	}
	return ""
}

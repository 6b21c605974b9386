package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"unicode/utf8"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/ui"
)

// exportField is the field of --aggregate-field.
type exportField struct {
	name string
	// forced is set if the flag was given: then every line has the field.
	// Without it, lines that were imported come out as they went in.
	forced bool
}

// printEvents prints a changeset's content as events, one a line.
func (a *app) printEvents(c changeset.Changeset, field exportField) error {
	if a.JSON {
		return a.printContent(c)
	}
	if !field.forced && wasImported(c) {
		_, err := ui.Raw(a.Out).Write(c.Content)
		return err
	}
	var out bytes.Buffer
	values, ok := jsonValues(c.Content)
	if !ok {
		if err := writeWrapped(&out, c, field.name, "content_base64", base64.StdEncoding.EncodeToString(c.Content)); err != nil {
			return err
		}
	}
	for _, value := range values {
		if err := writeEvent(&out, c, field.name, value); err != nil {
			return err
		}
	}
	_, err := ui.Raw(a.Out).Write(out.Bytes()) // as they were imported
	return err
}

// wasImported reports whether import appended a changeset: its command ID
// commits to the content. Then the content is whole lines, whichever field of
// them holds the aggregate ID.
func wasImported(c changeset.Changeset) bool {
	position, ok := importPosition(c.CommandID)
	return ok && c.ContentType == typeNDJSON && c.CommandID == importCommandID(position, c.Content) &&
		isNDJSON(c.Content) && bytes.HasSuffix(c.Content, []byte("\n"))
}

// jsonValues returns content as JSON values without newlines: its lines, or
// all of it if it is one value on many lines.
func jsonValues(content []byte) (values [][]byte, ok bool) {
	if !utf8.Valid(content) {
		return nil, false
	}
	if isNDJSON(content) {
		for line := range bytes.Lines(content) {
			if !isBlank(line) {
				values = append(values, bytes.TrimSuffix(line, []byte("\n")))
			}
		}
		return values, true
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, content); err != nil {
		return nil, false
	}
	return [][]byte{compact.Bytes()}, true
}

// writeEvent writes one JSON value as a line that import would put into the
// same aggregate again.
func writeEvent(out *bytes.Buffer, c changeset.Changeset, field string, value []byte) error {
	values, err := valuesOf(value, field)
	switch {
	case err == nil && len(values) == 0:
		return writeAfterField(out, c, field, value)
	case err == nil:
		if id, err := aggregateOf(value, field); err != nil || id != c.AggregateID {
			return writeWrapped(out, c, field, "content", json.RawMessage(value))
		}
		out.Write(value)
		return out.WriteByte('\n')
	}
	return writeWrapped(out, c, field, "content", json.RawMessage(value))
}

// writeWrapped writes content that is no event of the aggregate within an
// event. Content that is nested too deep for that is written as base64.
func writeWrapped(out *bytes.Buffer, c changeset.Changeset, field, name string, content any) error {
	value, err := ui.Marshal(map[string]any{"content_type": c.ContentType, name: content})
	if err != nil {
		return err
	}
	if raw, ok := content.(json.RawMessage); ok && !json.Valid(value) {
		return writeWrapped(out, c, field, "content_base64", base64.StdEncoding.EncodeToString(raw))
	}
	return writeAfterField(out, c, field, value)
}

// writeAfterField writes a JSON object with the aggregate as its first field.
func writeAfterField(out *bytes.Buffer, c changeset.Changeset, field string, object []byte) error {
	first, err := ui.Marshal(map[string]string{field: c.AggregateID})
	if err != nil {
		return err
	}
	out.Write(bytes.TrimSuffix(first, []byte("}")))
	rest := bytes.TrimSpace(bytes.TrimPrefix(bytes.TrimSpace(object), []byte("{")))
	if !bytes.Equal(rest, []byte("}")) {
		out.WriteByte(',')
	}
	out.Write(rest)
	return out.WriteByte('\n')
}

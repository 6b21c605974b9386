package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"

	"ropewalk/changeset"
	"ropewalk/cmd/ropewalk/internal/importer"
	"ropewalk/cmd/ropewalk/internal/ndjson"
	"ropewalk/cmd/ropewalk/internal/ui"
)

// exportField is the field of --aggregate-field.
type exportField struct {
	name string
	// forced is set if the flag was given. Every line then has the field; otherwise
	// imported lines come out as they went in.
	forced bool
}

// printEvents prints the content of a changeset as events, one a line.
func printEvents(std *ui.Streams, c changeset.Changeset, field exportField) error {
	if std.JSON {
		return printContent(std, c)
	}
	if !field.forced && importer.WasImported(c) {
		_, err := ui.Raw(std.Out).Write(c.Content)
		return err
	}
	var out bytes.Buffer
	values, ok := ndjson.Values(c.Content)
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
	_, err := ui.Raw(std.Out).Write(out.Bytes()) // as they were imported
	return err
}

// writeEvent writes a JSON value as a line that import puts into the same aggregate
// again.
func writeEvent(out *bytes.Buffer, c changeset.Changeset, field string, value []byte) error {
	values, err := ndjson.Field(value, field)
	switch {
	case err == nil && len(values) == 0:
		return writeAfterField(out, c, field, value)
	case err == nil:
		if id, err := ndjson.AggregateOf(value, field); err != nil || id != c.AggregateID {
			return writeWrapped(out, c, field, "content", json.RawMessage(value))
		}
		out.Write(value)
		return out.WriteByte('\n')
	}
	return writeWrapped(out, c, field, "content", json.RawMessage(value))
}

// writeWrapped writes other content as a field of an event. Content that is nested
// too deep for a field is written as base64.
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

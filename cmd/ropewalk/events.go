package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"unicode/utf8"

	"ropewalk/changeset"
)

// printEvents prints a changeset's content as events, one a line.
func (a *app) printEvents(c changeset.Changeset, field string) error {
	if a.json {
		return a.printContent(c)
	}
	var out bytes.Buffer
	values, ok := jsonValues(c.Content)
	if !ok {
		if err := writeWrapped(&out, c, field, "content_base64", base64.StdEncoding.EncodeToString(c.Content)); err != nil {
			return err
		}
	}
	for _, value := range values {
		if err := writeEvent(&out, c, field, value); err != nil {
			return err
		}
	}
	_, err := a.stdout.Write(out.Bytes())
	return err
}

// jsonValues returns content as JSON values without newlines: its lines, or
// all of it where it is one value on many lines.
func jsonValues(content []byte) (values [][]byte, ok bool) {
	if !utf8.Valid(content) {
		return nil, false
	}
	if isNDJSON(content) {
		for line := range bytes.Lines(content) {
			if value := bytes.TrimSpace(line); len(value) > 0 {
				values = append(values, value)
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
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(value, &fields); err != nil || fields == nil {
		return writeWrapped(out, c, field, "content", json.RawMessage(value))
	}
	if _, there := fields[field]; !there {
		return writeBehindField(out, c, field, value)
	}
	if id, err := aggregateOf(value, field); err != nil || id != c.AggregateID {
		return writeWrapped(out, c, field, "content", json.RawMessage(value))
	}
	out.Write(value)
	return out.WriteByte('\n')
}

// writeWrapped writes content that is no event of the aggregate within one.
func writeWrapped(out *bytes.Buffer, c changeset.Changeset, field, name string, content any) error {
	value, err := marshal(map[string]any{"content_type": c.ContentType, name: content})
	if err != nil {
		return err
	}
	return writeBehindField(out, c, field, value)
}

// writeBehindField writes a JSON object with the aggregate as its first field.
func writeBehindField(out *bytes.Buffer, c changeset.Changeset, field string, object []byte) error {
	first, err := marshal(map[string]string{field: c.AggregateID})
	if err != nil {
		return err
	}
	out.Write(bytes.TrimSuffix(first, []byte("}")))
	rest := bytes.TrimSpace(bytes.TrimPrefix(object, []byte("{")))
	if !bytes.Equal(rest, []byte("}")) {
		out.WriteByte(',')
	}
	out.Write(rest)
	return out.WriteByte('\n')
}

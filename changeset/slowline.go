package changeset

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

func decodeLinesSlowly(parent Header, text []byte) ([]Changeset, error) {
	var all []Changeset
	for len(text) > 0 {
		line, rest, ok := bytes.Cut(text, []byte("\n"))
		c, err := decodeLineSlowly(line)
		if err == nil && !ok {
			err = errors.New("the last line has no end")
		}
		if err == nil {
			err = c.follow(parent, len(all) == 0)
		}
		if err != nil {
			return nil, &CorruptError{Ref: Ref{AggregateID: parent.AggregateID, Version: firstAfter(parent), ID: c.ID}, Reason: "line: " + err.Error()}
		}
		all = append(all, c)
		parent, text = c.Header, rest
	}
	if len(all) == 0 {
		return nil, &CorruptError{Ref: parent.Ref, Reason: "there are no lines"}
	}
	return all, nil
}

func decodeLineSlowly(line []byte) (c Changeset, err error) {
	if !utf8.Valid(line) {
		return c, errors.New("it is not UTF-8")
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		return c, err
	}
	text := func(name string) (s string) {
		if raw, ok := fields[name]; ok {
			if failed := json.Unmarshal(raw, &s); failed != nil || s == "" && !strings.HasPrefix(name, lineContent+"") {
				err = fmt.Errorf("%s is not a text", name)
			}
		}
		return s
	}
	number := func(name string) uint64 {
		n, failed := ParseDecimal(string(fields[name]))
		if failed != nil {
			err = fmt.Errorf("%s: %w", name, failed)
		}
		return n
	}
	keep := func(failed error) {
		if failed != nil && err == nil {
			err = failed
		}
	}
	c.AfterRevision = number(keyAfterRevision)
	c.Version = number(lineVersion)
	var failed error
	c.Part, failed = optional(parsePart)(text(keyAppend))
	keep(failed)
	c.CommandID, failed = Unescape(text(keyCommandID))
	keep(failed)
	c.ID, failed = ParseID(text(lineID))
	keep(failed)
	c.RecordedAt, failed = ParseTime(text(keyRecordedAt))
	keep(failed)
	c.Metadata, failed = optional(decodeUser)(text(keyUser))
	keep(failed)
	if c.ContentType = text(lineContentType); c.ContentType == "" {
		c.ContentType = DefaultContentType
	}
	if _, ok := fields[keyEncoding]; ok {
		keep(errors.New("a line has no encoding"))
	}
	if raw, ok := fields[lineContentBase64]; ok {
		var s string
		keep(json.Unmarshal(raw, &s))
		c.Content, failed = base64.StdEncoding.DecodeString(s)
		keep(failed)
	} else if raw, ok := fields[lineContent]; ok {
		var s string
		keep(json.Unmarshal(raw, &s))
		c.Content = []byte(s)
	} else {
		keep(errors.New("it has no content"))
	}
	if err != nil {
		return c, err
	}
	known := c.lineText()
	cut := bytes.LastIndex(line, []byte(`,"content`))
	if cut < 0 {
		return c, errors.New("it has no content at its end")
	}
	c.text = string(line[:cut])
	unknown := len(fields) - strings.Count(known, `":`) - 1
	if unknown == 0 && c.text != known {
		return c, errors.New("it is not in its canonical form")
	}
	if string(AppendLine(nil, c)) != string(line)+"\n" {
		return c, errors.New("its content is not in its canonical form " + strconv.Itoa(cut))
	}
	c.Body, c.BodySize, c.BodySHA256 = c.Content, int64(len(c.Content)), sha256.Sum256(c.Content)
	return c, nil
}

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"ropewalk"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/importer"
	"ropewalk/cmd/ropewalk/internal/ndjson"
	"ropewalk/cmd/ropewalk/internal/ui"
)

// commitLine is a line of the file of append --commit: a changeset, or an aggregate that is
// to be unchanged. The fields have the names that they have in the output of --json.
type commitLine struct {
	Aggregate string `json:"aggregate"`
	// What is expected of the aggregate, on its first line.
	New       bool            `json:"new"`
	After     json.RawMessage `json:"after"` // a version, a reference or an ETag
	Any       bool            `json:"any"`
	Unchanged bool            `json:"unchanged"`

	Content     json.RawMessage   `json:"content"`
	Text        *string           `json:"content_text"`
	Base64      *[]byte           `json:"content_base64"`
	ContentType string            `json:"content_type"`
	Metadata    map[string]string `json:"metadata"`
}

// readMembers reads the members of a commit, one line after another. The lines of an
// aggregate are its changesets, in their order.
func (f appendFlags) readMembers(ctx context.Context, std *ui.Streams) (all []*member, err error) {
	metadata, err := parseMetadata(f.metadataList)
	if err != nil {
		return nil, err
	}
	content, err := readContent(ctx, std, f.commit)
	if err != nil {
		return nil, err
	}
	number := int64(0)
	for text := range bytes.Lines(bytes.TrimPrefix(content, ndjson.ByteOrderMark)) {
		if number++; ndjson.IsBlank(text) {
			continue
		}
		if all, err = f.readMember(all, text, metadata); err != nil {
			return nil, importer.BadLine(ui.InputName(f.commit), number, err)
		}
	}
	if !slices.ContainsFunc(all, func(m *member) bool { return !m.unchanged }) {
		return nil, cliexit.Usagef("%s has no changesets: nothing was appended", ui.InputName(f.commit))
	}
	return all, nil
}

// readMember takes in a line: the first one of its aggregate, or another changeset.
func (f appendFlags) readMember(all []*member, text []byte, metadata map[string]string) ([]*member, error) {
	line, err := parseCommitLine(text)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(m *member) bool { return m.id == line.Aggregate })
	if i < 0 {
		m := &member{id: line.Aggregate, expectation: line.expectation(f.commandID), unchanged: line.Unchanged}
		if err := m.check(); err != nil {
			return nil, err
		}
		i, all = len(all), append(all, m)
	} else if all[i].unchanged || line.expects() {
		return nil, fmt.Errorf("an earlier line has what is expected of %q", line.Aggregate)
	}
	if line.Unchanged {
		return all, line.checkEmpty()
	}
	return all, f.add(all[i], line, metadata)
}

func parseCommitLine(text []byte) (line commitLine, err error) {
	if _, err := ndjson.AggregateOf(text, "aggregate"); err != nil {
		return line, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err = d.Decode(&line)
	return line, err
}

func (l commitLine) expects() bool { return l.New || l.Any || l.Unchanged || l.After != nil }

// expectation returns what the line expects. An after that is a JSON string is taken without
// its quotes.
func (l commitLine) expectation(commandID string) expectation {
	after := string(l.After)
	if text := ""; json.Unmarshal(l.After, &text) == nil {
		after = text
	}
	return expectation{create: l.New, any: l.Any, after: after, afterGiven: l.After != nil, commandID: commandID}
}

// check refuses a member of which not exactly one thing is expected.
func (m *member) check() error {
	if err := m.expectation.check(expectationWords{`"new":true`, `"after"`, `"after":VERSION`, `"any":true`}); err != nil {
		return err
	}
	if m.unchanged && m.any {
		return errors.New(`an aggregate that is to be unchanged needs "after" or "new"`)
	}
	return nil
}

// add appends the changeset of a line to the drafts of its aggregate.
func (f appendFlags) add(m *member, line commitLine, metadata map[string]string) error {
	content, err := line.content()
	if err != nil {
		return err
	}
	if len(content) == 0 && !f.allowEmpty {
		return cliexit.WithHint(errors.New("the content is empty"), "--allow-empty appends empty content")
	}
	d := ropewalk.Draft{Content: content, CommandID: f.commandID, Metadata: maps.Clone(metadata)}
	maps.Copy(d.Metadata, line.Metadata)
	if d.ContentType = cmp.Or(line.ContentType, f.contentType); d.ContentType == "" {
		d.ContentType = guessType("", content)
	}
	m.drafts = append(m.drafts, d)
	return d.Validate()
}

// contents returns the contents of a line: a JSON value as it is written in the line,
// with a newline at its end.
func (l commitLine) contents() (all [][]byte) {
	if l.Content != nil {
		all = append(all, append(slices.Clip(l.Content), '\n'))
	}
	if l.Text != nil {
		all = append(all, []byte(*l.Text))
	}
	if l.Base64 != nil {
		all = append(all, *l.Base64)
	}
	return all
}

// checkEmpty refuses content for an aggregate that is to be unchanged.
func (l commitLine) checkEmpty() error {
	if len(l.contents()) > 0 {
		return errors.New(`content for an aggregate with "unchanged":true`)
	}
	return nil
}

func (l commitLine) content() ([]byte, error) {
	all := l.contents()
	if len(all) != 1 {
		return nil, errors.New(`want one of "content", "content_text" and "content_base64", or "unchanged":true`)
	}
	return all[0], nil
}

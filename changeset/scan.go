package changeset

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// DecodeLines reads lines, each with its line end: consecutive changesets after a
// parent. It proves the link and the digest of each changeset after the first one
// against the changeset before it. Of the parent it reads the aggregate, the version,
// the ID and the digest; the zero Version and the zero ID stand for the parent of
// version 0. Contents may alias the text, and lie side by side in memory.
//
// Its error is a [*CorruptError] of the aggregate's head if the text is not what
// [AppendLine] writes, apart from header fields of later versions. A line whose content
// is encoded is an error that matches [ErrUnsupportedFormat].
func DecodeLines(parent Header, text []byte) ([]Changeset, error) {
	all, err := decodeLines(&parent, text)
	switch {
	case err == nil:
		return all, nil
	case errors.Is(err, ErrUnsupportedFormat):
		return nil, err
	default:
		return nil, &CorruptError{Ref: Ref{AggregateID: parent.AggregateID}, Reason: err.Error()}
	}
}

// minLine is below the size of every line.
const minLine = 128

// decodeLines is DecodeLines. Its errors have the number of the line's version.
func decodeLines(parent *Header, text []byte) ([]Changeset, error) {
	if len(text) == 0 {
		return nil, errors.New("there are no lines")
	}
	if err := ValidateAggregateID(parent.AggregateID); err != nil {
		return nil, err
	}
	s := scanner{text: text}
	all := make([]Changeset, 0, min(bytes.Count(text, []byte("\n")), len(text)/minLine))
	for len(s.text) > 0 {
		all = append(all, Changeset{})
		c := &all[len(all)-1]
		err := s.line(c)
		if err == nil {
			err = c.follow(parent, len(all) == 1)
		}
		if err != nil {
			return nil, fmt.Errorf("line of version %d: %w", firstAfter(parent), err)
		}
		parent = &c.Header
	}
	return all, nil
}

// firstAfter returns the version of the line after a parent.
func firstAfter(parent *Header) uint64 {
	if parent.ID.IsZero() {
		return 0
	}
	return parent.Version + 1
}

// follow makes a decoded line the child of its parent, and checks that it can be.
func (c *Changeset) follow(parent *Header, first bool) error {
	if want := firstAfter(parent); c.Version != want {
		return fmt.Errorf("it has version %d", c.Version)
	}
	c.AggregateID, c.Parent = parent.AggregateID, parent.ID
	if err := c.validateLinks(); err != nil {
		return err
	}
	if !first {
		if err := c.VerifyLink(*parent); err != nil {
			return errors.New(err.(*CorruptError).Reason)
		}
	}
	c.Digest = c.ComputeDigest(parent.Digest)
	return nil
}

// lineKeys are the keys of the header in a line, sorted.
var lineKeys = [...]string{keyAfterRevision, keyAppend, keyCommandID, lineContentType, keyEncoding, lineID, keyRecordedAt, keyUser, lineVersion}

// The places of the keys in lineKeys.
const (
	fieldAfterRevision = iota
	fieldAppend
	fieldCommandID
	fieldContentType
	fieldEncoding
	fieldID
	fieldRecordedAt
	fieldUser
	fieldVersion
)

// spans are the places of the values of lineKeys in a line, empty if absent.
type spans [len(lineKeys)]struct{ from, to int }

// scanner reads lines in one pass. It accepts their canonical form alone.
type scanner struct {
	text []byte // what is still to be read
	room []byte // of the contents that do not stand in the text as they are
}

// line reads the next line, except what follows from the changeset before.
func (s *scanner) line(c *Changeset) error {
	found, size, err := s.header()
	if err != nil {
		return err
	}
	c.text = string(s.text[:size-len(",")])
	if err := c.parseText(&found); err != nil {
		return err
	}
	s.text = s.text[size:]
	if c.Content, err = s.content(); err != nil {
		return err
	}
	if !bytes.HasPrefix(s.text, []byte("}\n")) {
		return errors.New("it does not end after its content")
	}
	s.text = s.text[len("}\n"):]
	c.Body, c.BodySize, c.BodySHA256 = c.Content, int64(len(c.Content)), sha256.Sum256(c.Content)
	return nil
}

// header finds the fields before the content, and the size of their text with the
// comma at its end. Their keys are sorted, so that no key is repeated.
func (s *scanner) header() (found spans, size int, err error) {
	if s.text[0] != '{' {
		return found, 0, errors.New("it is not a JSON object")
	}
	var last []byte
	known := 0
	for at := 1; ; at++ {
		key, from := lineKey(s.text, at)
		switch {
		case string(key) == lineContent || string(key) == lineContentBase64:
			return found, at, nil
		case len(key) == 0:
			return found, 0, fmt.Errorf("it has neither a key nor content after key %q", last)
		case bytes.Compare(key, last) <= 0:
			return found, 0, fmt.Errorf("key %q after key %q", key, last)
		}
		size, err := valueSize(s.text[from:], maxDepth)
		if err != nil {
			return found, 0, fmt.Errorf("%s: %w", key, err)
		}
		last, at = key, from+size
		for known < len(lineKeys) && lineKeys[known] < string(key) {
			known++
		}
		if known < len(lineKeys) && lineKeys[known] == string(key) {
			found[known].from, found[known].to = from, at
		}
		if at == len(s.text) || s.text[at] != ',' {
			return found, 0, errors.New("it has no content")
		}
	}
}

// lineKey returns the key at a place of a line, and the place of its value. The key is
// empty if there is no key, which has letters, digits and hyphens.
func lineKey(line []byte, at int) (key []byte, value int) {
	at++
	end := at
	for end < len(line) && inLineKey(line[end]) {
		end++
	}
	if end+2 > len(line) || line[at-1] != '"' || line[end] != '"' || line[end+1] != ':' {
		return nil, 0
	}
	return line[at:end], end + 2
}

func inLineKey(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' }

// parseText reads the known fields of the header's text.
func (c *Changeset) parseText(found *spans) error {
	if !utf8.ValidString(c.text) {
		return errors.New("its header is not UTF-8")
	}
	p := lineParser{text: c.text, found: found}
	if encoding := p.raw(fieldEncoding); encoding != "" {
		return fmt.Errorf("%w: content encoding %s", ErrUnsupportedFormat, encoding)
	}
	c.AfterRevision = lineField(&p, fieldAfterRevision, ParseDecimal)
	c.Part = lineField(&p, fieldAppend, parsePart)
	c.CommandID = lineField(&p, fieldCommandID, parseCommandID)
	c.ContentType = lineField(&p, fieldContentType, parseContentType)
	c.ID = lineField(&p, fieldID, ParseID)
	c.RecordedAt = lineField(&p, fieldRecordedAt, ParseTime)
	c.Metadata = lineField(&p, fieldUser, decodeUser)
	c.Version = lineField(&p, fieldVersion, ParseDecimal)
	if c.ContentType == "" {
		c.ContentType = DefaultContentType
	}
	return p.err
}

// lineParser keeps the first error, as parser does.
type lineParser struct {
	text  string
	found *spans
	err   error
}

// raw returns the JSON text of a field, empty if it is absent.
func (p *lineParser) raw(field int) string { return p.text[p.found[field].from:p.found[field].to] }

// lineField reads a field. The numbers are required, and the texts that every
// changeset has; an absent field is its zero value.
func lineField[T any](p *lineParser, field int, read func(string) (T, error)) (v T) {
	var err error
	switch raw := p.raw(field); {
	case raw == "" && isOptional(field):
		return v
	case field == fieldAfterRevision || field == fieldVersion:
		v, err = read(raw)
	case len(raw) < len(`"x"`) || raw[0] != '"':
		err = errors.New("it is not a text")
	default:
		v, err = read(raw[1 : len(raw)-1])
	}
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("%s: %w", lineKeys[field], err)
	}
	return v
}

func isOptional(field int) bool {
	return field == fieldAppend || field == fieldCommandID || field == fieldContentType || field == fieldUser
}

func parseCommandID(s string) (string, error) {
	id, err := Unescape(s)
	if err != nil {
		return "", err
	}
	return id, validateCommandID(id)
}

// parseContentType reads the inside of a JSON string: the only text of a header that
// may have escapes.
func parseContentType(s string) (string, error) {
	if strings.IndexByte(s, '\\') >= 0 {
		b, _ := appendUnescaped(nil, []byte(s+`"`))
		s = string(b)
	}
	if s == DefaultContentType {
		return "", errors.New("the default is not written")
	}
	return s, validateContentType(s)
}

// content reads the content with its key.
func (s *scanner) content() ([]byte, error) {
	key, at := lineKey(s.text, 0)
	if at >= len(s.text) || s.text[at] != '"' {
		return nil, fmt.Errorf("%s: %w", key, errNoString)
	}
	s.text = s.text[at+1:]
	inside, err := s.inside()
	switch isText := utf8.Valid(inside); {
	case err != nil:
	case string(key) == lineContentBase64:
		inside, err = s.fromBase64(inside)
	case !isText:
		err = errors.New("it is not UTF-8")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return inside, nil
}

// inside reads a string after its first quotation mark.
func (s *scanner) inside() ([]byte, error) {
	if n := plainSize(s.text); n < len(s.text) && s.text[n] == '"' {
		inside := s.text[:n:n]
		s.text = s.text[n+1:]
		return inside, nil
	}
	kept := len(s.room)
	room, size := appendUnescaped(s.enough(), s.text)
	if size == 0 {
		return nil, errNoString
	}
	s.room, s.text = room, s.text[size:]
	return room[kept:len(room):len(room)], nil
}

// enough returns the room, which has enough for everything that is still to be read.
func (s *scanner) enough() []byte {
	if s.room == nil {
		s.room = make([]byte, 0, len(s.text))
	}
	return s.room
}

// fromBase64 decodes what is in canonical base64, and could not be text.
func (s *scanner) fromBase64(text []byte) ([]byte, error) {
	if bytes.IndexByte(text, '\r') >= 0 || bytes.IndexByte(text, '\n') >= 0 {
		return nil, errors.New("its base64 has line ends")
	}
	kept := len(s.room)
	room, err := strictBase64.AppendDecode(s.enough(), text)
	if err != nil {
		return nil, err
	}
	s.room = room
	content := room[kept:len(room):len(room)]
	if utf8.Valid(content) {
		return nil, errors.New("it is UTF-8")
	}
	return content, nil
}

// strictBase64 accepts only what base64.StdEncoding writes, except line ends.
var strictBase64 = base64.StdEncoding.Strict()

package changeset

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// DecodeLinesSlowly is the reference of DecodeLines. It takes each line apart by package
// json, writes it again, and compares: with the tokens in canonical form, and with the
// header that the writer would have made of the fields it knows.
func DecodeLinesSlowly(parent Header, text []byte) (all []Changeset, err error) {
	if !bytes.HasSuffix(text, []byte("\n")) {
		return nil, errors.New("the last line has no end")
	}
	for line := range bytes.Lines(text) {
		c, err := decodeLineSlowly(string(line[:len(line)-1]))
		if err != nil {
			return nil, err
		}
		c.AggregateID, c.Parent = parent.AggregateID, parent.ID
		if want := parent.Version + 1; parent.ID.IsZero() && c.Version != 0 || !parent.ID.IsZero() && c.Version != want {
			return nil, errors.New("another version")
		}
		if err := c.Header.validate(); err != nil {
			return nil, err
		}
		if len(all) > 0 {
			if err := c.VerifyLink(parent); err != nil {
				return nil, err
			}
		}
		c.Digest = c.ComputeDigest(parent.Digest)
		all, parent = append(all, c), c.Header
	}
	return all, nil
}

// slowField is a key of a line, and its value in canonical JSON.
type slowField struct{ key, value string }

func decodeLineSlowly(line string) (c Changeset, err error) {
	fields, err := slowFields(line)
	if err != nil {
		return c, err
	}
	last := fields[len(fields)-1]
	fields = fields[:len(fields)-1]
	if !slices.IsSortedFunc(fields, func(a, b slowField) int { return strings.Compare(a.key, b.key) }) {
		return c, errors.New("keys are not sorted")
	}
	known := map[string]string{}
	for i, f := range fields {
		if !regexp.MustCompile(`^[a-z0-9-]+$`).MatchString(f.key) || strings.HasPrefix(f.key, "content") && (f.key == "content" || f.key == "content-base64") {
			return c, errors.New("no key of a header")
		}
		if i > 0 && fields[i-1].key == f.key {
			return c, errors.New("a repeated key")
		}
		if slices.Contains(lineKeys[:], f.key) {
			known[f.key] = f.value
		}
	}
	if encoding, ok := known["encoding"]; ok {
		return c, fmt.Errorf("%w: content encoding %s", ErrUnsupportedFormat, encoding)
	}
	if c, err = slowHeader(known); err != nil {
		return c, err
	}
	text := "{"
	for _, key := range slices.Sorted(func(yield func(string) bool) {
		for key := range known {
			if !yield(key) {
				return
			}
		}
	}) {
		text += fmt.Sprintf("%q:%s,", key, known[key])
	}
	if c.lineText()+"," != text {
		return c, errors.New("the header is not canonical")
	}
	c.text = strings.TrimSuffix(line, fmt.Sprintf(",%q:%s}", last.key, last.value))
	if c.Content, err = slowContent(last); err != nil {
		return c, err
	}
	c.Body, c.BodySize, c.BodySHA256 = c.Content, int64(len(c.Content)), sha256.Sum256(c.Content)
	return c, nil
}

func slowHeader(known map[string]string) (c Changeset, err error) {
	text := func(key string) (s string) {
		if raw, ok := known[key]; ok {
			err = errors.Join(err, json.Unmarshal([]byte(raw), &s))
		}
		return s
	}
	var errs [8]error
	c.AfterRevision, errs[0] = ParseDecimal(known["after-revision"])
	c.Version, errs[1] = ParseDecimal(known["version"])
	c.Part, errs[2] = slowOptional(parsePart)(text("append"))
	c.CommandID, errs[3] = Unescape(text("command-id"))
	c.ID, errs[4] = ParseID(text("id"))
	c.RecordedAt, errs[5] = ParseTime(text("recorded-at"))
	c.Metadata, errs[6] = slowOptional(decodeUser)(text("user"))
	if c.ContentType = text("content-type"); c.ContentType == "" {
		c.ContentType = DefaultContentType
	}
	return c, errors.Join(err, errors.Join(errs[:]...))
}

func slowContent(f slowField) (content []byte, err error) {
	var text string
	if err := json.Unmarshal([]byte(f.value), &text); err != nil || f.value[0] != '"' {
		return nil, errors.New("the content is not a string")
	}
	switch f.key {
	case "content":
		return []byte(text), nil
	case "content-base64":
		content, err = base64.StdEncoding.DecodeString(text)
		if err == nil && (utf8.Valid(content) || base64.StdEncoding.EncodeToString(content) != text) {
			err = errors.New("the content is not in canonical base64, or UTF-8")
		}
		return content, err
	}
	return nil, errors.New("content is not the last key")
}

// slowFields returns the fields of an object that is compact and canonical.
func slowFields(line string) (fields []slowField, err error) {
	dec := json.NewDecoder(strings.NewReader(line))
	dec.UseNumber()
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("not an object")
	}
	written := []string{}
	for dec.More() {
		key, err := slowValue(dec, 0)
		if err != nil {
			return nil, err
		}
		value, err := slowValue(dec, 0)
		if err != nil {
			return nil, err
		}
		written = append(written, key+":"+value)
		fields = append(fields, slowField{strings.Trim(key, `"`), value})
	}
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("more than an object")
	}
	if len(fields) == 0 || "{"+strings.Join(written, ",")+"}" != line {
		return nil, errors.New("not in canonical form")
	}
	return fields, nil
}

// slowValue reads a value and writes it again.
func slowValue(dec *json.Decoder, depth int) (string, error) {
	t, err := dec.Token()
	if err != nil {
		return "", err
	}
	switch t := t.(type) {
	case string:
		return slowString(t), nil
	case json.Number:
		return t.String(), nil
	case json.Delim:
		return slowNested(dec, t, depth+1)
	}
	return strings.Replace(fmt.Sprint(t), "<nil>", "null", 1), nil
}

func slowNested(dec *json.Decoder, begin json.Delim, depth int) (string, error) {
	if depth > 16 {
		return "", errors.New("too deep")
	}
	var elements []string
	for dec.More() {
		element, err := slowValue(dec, depth)
		if err == nil && begin == '{' {
			var value string
			value, err = slowValue(dec, depth)
			element += ":" + value
		}
		if err != nil {
			return "", err
		}
		elements = append(elements, element)
	}
	end, err := dec.Token()
	return fmt.Sprint(begin) + strings.Join(elements, ",") + fmt.Sprint(end), err
}

func slowString(s string) string {
	short := strings.NewReplacer(`"`, `\"`, `\`, `\\`, "\b", `\b`, "\f", `\f`, "\n", `\n`, "\r", `\r`, "\t", `\t`)
	s = short.Replace(s)
	for c := range ' ' {
		s = strings.ReplaceAll(s, string(c), fmt.Sprintf(`\u%04x`, c))
	}
	return `"` + s + `"`
}

// Package difference compares two contents: JSON by path, and text by line.
package difference

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"ropewalk/cmd/ropewalk/internal/ndjson"
)

// Change is one difference between two JSON values.
type Change struct {
	// Path is a JSON Pointer (RFC 6901), "/data/amount"; empty for the whole content. If either
	// content has several lines, the path begins with the number of the line, from 0.
	Path string
	// From and To are the values, without spaces; nil if the value is missing.
	From, To json.RawMessage
}

// JSON returns the differences of two contents that are JSON, or lines of JSON, in the
// order of their paths. The order of fields, spaces and escapes do not count; numbers
// are equal if their texts are. Elements of arrays, and lines, are compared by their
// places. It returns false if either content is not JSON.
func JSON(from, to []byte) (changes []Change, ok bool) {
	a, ok := decode(from)
	if !ok {
		return nil, false
	}
	b, ok := decode(to)
	if !ok {
		return nil, false
	}
	var d differ
	if len(a) == 1 && len(b) == 1 {
		d.compare("", a[0], b[0])
	} else {
		d.elements("", a, b)
	}
	return d.changes, true
}

func decode(content []byte) (values []any, ok bool) {
	texts, ok := ndjson.Values(content)
	for _, text := range texts {
		var value any
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		if d.Decode(&value) != nil {
			return nil, false
		}
		values = append(values, value)
	}
	return values, ok
}

// differ collects the differences of two values.
type differ struct{ changes []Change }

func (d *differ) compare(path string, from, to any) {
	switch a := from.(type) {
	case map[string]any:
		if b, ok := to.(map[string]any); ok {
			d.fields(path, a, b)
			return
		}
	case []any:
		if b, ok := to.([]any); ok {
			d.elements(path, a, b)
			return
		}
	default:
		if composite(to) || from != to {
			break
		}
		return
	}
	d.add(path, raw(from), raw(to))
}

// composite reports whether a value is an object or an array, which == cannot compare.
func composite(value any) bool {
	switch value.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}

func (d *differ) fields(path string, a, b map[string]any) {
	all := maps.Clone(a)
	maps.Copy(all, b)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		from, isOld := a[name]
		to, isNew := b[name]
		d.either(path+"/"+escape(name), from, to, isOld, isNew)
	}
}

func (d *differ) elements(path string, a, b []any) {
	for i := range max(len(a), len(b)) {
		var from, to any
		if i < len(a) {
			from = a[i]
		}
		if i < len(b) {
			to = b[i]
		}
		d.either(path+"/"+strconv.Itoa(i), from, to, i < len(a), i < len(b))
	}
}

func (d *differ) either(path string, from, to any, isOld, isNew bool) {
	switch {
	case !isOld:
		d.add(path, nil, raw(to))
	case !isNew:
		d.add(path, raw(from), nil)
	default:
		d.compare(path, from, to)
	}
}

func (d *differ) add(path string, from, to json.RawMessage) {
	d.changes = append(d.changes, Change{path, from, to})
}

// raw returns a value that was decoded as JSON again.
func raw(value any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(value) // was decoded from JSON
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// escape returns a name as it stands in a JSON Pointer.
func escape(name string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(name) }

// Text returns the difference of two texts in the unified format, whose first two
// lines name the texts; empty if they are equal.
func Text(fromName string, from []byte, toName string, to []byte) string {
	_, unified, _ := strings.Cut(string(diff.Diff(fromName, from, toName, to)), "\n")
	return unified
}

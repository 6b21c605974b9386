package changeset

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// parser reads the values of metadata one by one, and counts them. It keeps the first
// error, so that decode can read as a list of fields. The metadata is a map, or a row,
// whose text has the keys in their order.
type parser struct {
	metadata map[string]string
	spelling KeyStyle
	present  int

	isRow bool
	row   Row
	text  string // the rest of the text of the row

	err error
}

// value returns the value of a key, empty if it is absent.
func (p *parser) value(key string) string {
	if p.isRow {
		return p.next(key)
	}
	v := p.metadata[p.spelling.key(key)]
	if v != "" {
		p.present++
	}
	return v
}

// next returns the next value of a row's text if it has the key. Before it is the brace
// of the object or the comma after the value before.
func (p *parser) next(key string) string {
	rest, ok := strings.CutPrefix(p.text[min(1, len(p.text)):], `"`)
	if ok {
		rest, ok = strings.CutPrefix(rest, key)
	}
	if ok {
		rest, ok = strings.CutPrefix(rest, `":"`)
	}
	end := strings.IndexByte(rest, '"')
	if !ok || end <= 0 || p.text[0] != p.separator() {
		return ""
	}
	p.present++
	p.text = rest[end+1:]
	return rest[:end]
}

// separator returns what stands before the next key of a row's text.
func (p *parser) separator() byte {
	if p.present == 0 {
		return '{'
	}
	return ','
}

// atEnd reports whether the metadata has nothing but the values that were read.
func (p *parser) atEnd() bool {
	if p.isRow {
		return p.text == "}"
	}
	return p.present == len(p.metadata)
}

func (p *parser) fail(key string, err error) {
	if p.err == nil {
		p.err = fmt.Errorf("metadata %s: %w", key, err)
	}
}

func parse[T any](p *parser, key string, parse func(string) (T, error)) T {
	return read(p, key, p.value(key), parse)
}

// optional is parse for a value that may be absent.
func optional[T any](p *parser, key string, parse func(string) (T, error)) (v T) {
	if text := p.value(key); text != "" {
		v = read(p, key, text, parse)
	}
	return v
}

func read[T any](p *parser, key, text string, parse func(string) (T, error)) T {
	v, err := parse(text)
	if err != nil {
		p.fail(key, err)
	}
	return v
}

// digest returns a digest, which a row has as bytes.
func (p *parser) digest(key string) (d Digest) {
	if !p.isRow {
		return parse(p, key, ParseDigest)
	}
	raw := p.row.Digest
	if key == keySHA256 {
		raw = p.row.BodySHA256
	}
	if len(raw) != len(d) {
		p.fail(key, fmt.Errorf("it has %d bytes", len(raw)))
		return d
	}
	return Digest(raw)
}

// ancestors returns the ancestor index of a version.
func (p *parser) ancestors(version uint64) Index {
	var room [MaxIndexSize]byte
	ix, err := ParseIndex(version, p.index(room[:0], keyAncestors))
	if err != nil && p.err == nil {
		p.err = err
	}
	return ix
}

// objectIndex returns the index of an object with the reference.
func (p *parser) objectIndex(objects uint64, object Ref) ObjectIndex {
	if p.err == nil && object.Version < uint64(object.Count)-1 {
		p.err = fmt.Errorf("%d changesets cannot end at version %d", object.Count, object.Version)
	}
	var room [MaxObjectIndexSize]byte
	ix, err := ParseObjectIndex(objects, object.First(), p.index(room[:0], keyIndex))
	if err != nil && p.err == nil {
		p.err = err
	}
	return ix
}

// index returns the packed form of an index, in the room if a row does not have it.
func (p *parser) index(room []byte, key string) []byte {
	if p.isRow {
		return p.row.Ancestors
	}
	packed, err := appendBytes(room, p.value(key))
	if err != nil {
		p.fail(key, err)
	}
	return packed
}

// strictBase64URL accepts only what base64.RawURLEncoding writes, except line ends.
var strictBase64URL = base64.RawURLEncoding.Strict()

// appendBytes appends what is in canonical base64.
func appendBytes(b []byte, text string) ([]byte, error) {
	b, err := strictBase64URL.AppendDecode(b, []byte(text))
	if err != nil || strings.IndexByte(text, '\n') >= 0 || strings.IndexByte(text, '\r') >= 0 {
		return nil, errNotCanonical
	}
	return b, nil
}

// parseParentDigest is ParseDigest for a digest that is absent if it is zero.
func parseParentDigest(s string) (Digest, error) {
	d, err := ParseDigest(s)
	if err == nil && d.IsZero() {
		err = errNotCanonical
	}
	return d, err
}

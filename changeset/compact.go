package changeset

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"
)

const lowerHex = "0123456789abcdef"

// The characters that have a short escape, by the letter after the backslash, and the
// letters by the character. The other control characters below U+0020 have \u00 and two
// hex digits.
var (
	escapedChar  = [256]byte{'"': '"', '\\': '\\', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}
	escapeLetter = [256]byte{'"': '"', '\\': '\\', '\b': 'b', '\f': 'f', '\n': 'n', '\r': 'r', '\t': 't'}
)

// maxDepth is how deep arrays and objects are nested at most.
const maxDepth = 16

var (
	errNoValue  = errors.New("it has no value of compact JSON")
	errNoString = errors.New("it has no string of canonical JSON")
	errTooDeep  = errors.New("its JSON is nested too deep")
)

func appendEscape(b []byte, c byte) []byte {
	if letter := escapeLetter[c]; letter != 0 {
		return append(b, '\\', letter)
	}
	return append(b, '\\', 'u', '0', '0', lowerHex[c>>4], lowerHex[c&15])
}

// parseEscape returns the character of the escape that b begins with, and the size of
// the escape. The size is 0 unless appendEscape writes the escape.
func parseEscape(b []byte) (c byte, size int) {
	if len(b) < 2 || b[0] != '\\' {
		return 0, 0
	}
	if c = escapedChar[b[1]]; c != 0 {
		return c, 2
	}
	if len(b) < 6 || string(b[1:4]) != "u00" {
		return 0, 0
	}
	high, low := fromLowerHex(b[4]), fromLowerHex(b[5])
	if c = high<<4 | low; high > 1 || low > 15 || escapeLetter[c] != 0 {
		return 0, 0
	}
	return c, 6
}

// plainSize returns how many bytes a JSON string has before its end, or before the
// first character that needs an escape.
func plainSize(b []byte) int {
	n := 0
	for ; len(b)-n >= 8; n += 8 {
		if special := specialBytes(binary.LittleEndian.Uint64(b[n:])); special != 0 {
			return n + bits.TrailingZeros64(special)/8
		}
	}
	for ; n < len(b); n++ {
		if c := b[n]; c < ' ' || c == '"' || c == '\\' {
			break
		}
	}
	return n
}

// specialBytes finds the quotation marks, backslashes and control characters among
// eight bytes. The highest bit of the first such byte is the lowest bit that is set.
func specialBytes(x uint64) uint64 {
	const each = 0x0101010101010101
	quote, backslash := x^each*'"', x^each*'\\'
	return ((quote-each)&^quote | (backslash-each)&^backslash | (x-each*' ')&^x) & (each * 0x80)
}

// appendUnescaped appends the inside of a JSON string to b, and returns the size of the
// string with the quotation mark at its end. The size is 0 unless appendEscaped writes
// the string. It copies eight bytes at a time, and then looks how many of them count.
// Most escapes are a backslash and one more character.
func appendUnescaped(b, s []byte) ([]byte, int) {
	b = slices.Grow(b, len(s))
	out, n, at := b[len(b):cap(b)], 0, 0
	for len(s)-at > 8 && len(out)-n >= 8 {
		x := binary.LittleEndian.Uint64(s[at:])
		binary.LittleEndian.PutUint64(out[n:], x)
		special := specialBytes(x)
		if special == 0 {
			n, at = n+8, at+8
			continue
		}
		plain := bits.TrailingZeros64(special) / 8
		n, at = n+plain, at+plain
		c := escapedChar[s[at+1]]
		if s[at] != '\\' || c == 0 {
			var size int
			if c, size = parseEscape(s[at:]); size == 0 {
				break
			}
			at += size - 2
		}
		out[n] = c
		n, at = n+1, at+2
	}
	return appendUnescapedSlowly(b[:len(b)+n], s, at)
}

// appendUnescapedSlowly is appendUnescaped for the rest of s from a place on.
func appendUnescapedSlowly(b, s []byte, at int) ([]byte, int) {
	for at < len(s) {
		plain := plainSize(s[at:])
		b, at = append(b, s[at:at+plain]...), at+plain
		if at < len(s) && s[at] == '"' {
			return b, at + 1
		}
		c, size := parseEscape(s[at:])
		if size == 0 {
			break
		}
		b, at = append(b, c), at+size
	}
	return nil, 0
}

// valueSize returns the size of the JSON value that b begins with. The value must be
// compact, with strings as appendEscaped writes them, and nested at most depth levels
// deep. It does not check that the value is UTF-8.
func valueSize(b []byte, depth int) (int, error) {
	if len(b) == 0 {
		return 0, errNoValue
	}
	switch c := b[0]; {
	case c == '"':
		return stringSize(b)
	case c == '[' || c == '{':
		return nestedSize(b, depth)
	case c == '-' || '0' <= c && c <= '9':
		return numberSize(b)
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if len(b) >= len(word) && string(b[:len(word)]) == word {
			return len(word), nil
		}
	}
	return 0, errNoValue
}

// stringSize is valueSize for a string.
func stringSize(b []byte) (int, error) {
	if len(b) == 0 || b[0] != '"' {
		return 0, errNoString
	}
	for at := 1; ; {
		at += plainSize(b[at:])
		if at < len(b) && b[at] == '"' {
			return at + 1, nil
		}
		_, size := parseEscape(b[at:])
		if size == 0 {
			return 0, errNoString
		}
		at += size
	}
}

// nestedSize is valueSize for an array or an object.
func nestedSize(b []byte, depth int) (int, error) {
	if depth == 0 {
		return 0, errTooDeep
	}
	end := byte(']')
	if b[0] == '{' {
		end = '}'
	}
	if len(b) > 1 && b[1] == end {
		return 2, nil
	}
	for at := 1; ; at++ {
		size, err := elementSize(b[at:], end == '}', depth-1)
		if err != nil {
			return 0, err
		}
		at += size
		switch {
		case at < len(b) && b[at] == end:
			return at + 1, nil
		case at == len(b) || b[at] != ',':
			return 0, errNoValue
		}
	}
}

// elementSize returns the size of an element of an array, or of a key and its value.
func elementSize(b []byte, keyed bool, depth int) (int, error) {
	at := 0
	if keyed {
		size, err := stringSize(b)
		if err != nil {
			return 0, err
		}
		if size == len(b) || b[size] != ':' {
			return 0, errNoValue
		}
		at = size + 1
	}
	size, err := valueSize(b[at:], depth)
	return at + size, err
}

// numberSize is valueSize for a number.
func numberSize(b []byte) (int, error) {
	at := 0
	if b[0] == '-' {
		at = 1
	}
	whole := digits(b[at:])
	if whole == 0 || whole > 1 && b[at] == '0' {
		return 0, errNoValue
	}
	at += whole
	if at < len(b) && b[at] == '.' {
		n := digits(b[at+1:])
		if n == 0 {
			return 0, errNoValue
		}
		at += 1 + n
	}
	if at == len(b) || b[at] != 'e' && b[at] != 'E' {
		return at, nil
	}
	if at++; at < len(b) && (b[at] == '+' || b[at] == '-') {
		at++
	}
	n := digits(b[at:])
	if n == 0 {
		return 0, errNoValue
	}
	return at + n, nil
}

// digits returns how many decimal digits b begins with.
func digits(b []byte) int {
	for i, c := range b {
		if c < '0' || c > '9' {
			return i
		}
	}
	return len(b)
}

package changeset

import (
	"fmt"
	"strings"
)

const upperHex = "0123456789ABCDEF"

// Escape percent-encodes s as it stands in names and metadata: it leaves
// A-Z a-z 0-9 - _ ~ alone and writes every other byte, the dot included, as %
// and two upper-case hex digits. The set is frozen: names depend on it.
func Escape(s string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; unreserved(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(upperHex[c>>4])
			b.WriteByte(upperHex[c&15])
		}
	}
	return b.String()
}

// Unescape reverses [Escape]. Anything that Escape would not have written is
// an error: each string has one encoding.
func Unescape(s string) (string, error) {
	if plain(s) {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", fmt.Errorf("%q ends within a percent-encoded byte", s)
		}
		hi, lo := strings.IndexByte(upperHex, s[i+1]), strings.IndexByte(upperHex, s[i+2])
		if hi < 0 || lo < 0 {
			return "", fmt.Errorf("%q is not percent-encoded: bad hex digits at byte %d", s, i)
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	if Escape(b.String()) != s {
		return "", fmt.Errorf("%q is not the canonical percent-encoding of %q", s, b.String())
	}
	return b.String(), nil
}

// escapedSize returns the size of what Escape returns.
func escapedSize(s string) int {
	n := len(s)
	for i := range len(s) {
		if !unreserved(s[i]) {
			n += len("%00") - 1
		}
	}
	return n
}

// plain reports whether no byte of s needs encoding.
func plain(s string) bool {
	for i := range len(s) {
		if !unreserved(s[i]) {
			return false
		}
	}
	return true
}

func unreserved(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' ||
		c == '-' || c == '_' || c == '~'
}

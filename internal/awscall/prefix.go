package awscall

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// CheckPrefix checks the prefix of a store's names: empty, or UTF-8 without
// control characters that ends in "/", of at most limit bytes. Parts that
// S3-compatible servers over a file system cannot keep are refused as well.
func CheckPrefix(prefix string, limit int) error {
	parts := strings.Split(strings.TrimSuffix(prefix, "/"), "/")
	odd := func(part string) bool { return part == "" || part == "." || part == ".." }
	switch {
	case prefix == "":
		return nil
	case !strings.HasSuffix(prefix, "/"):
		return fmt.Errorf("prefix %q does not end in \"/\"", prefix)
	case len(prefix) > limit:
		return fmt.Errorf("prefix has %d bytes, more than %d", len(prefix), limit)
	case !utf8.ValidString(prefix) || strings.ContainsFunc(prefix, unicode.IsControl):
		return fmt.Errorf("prefix %q is not UTF-8 without control characters", prefix)
	case slices.ContainsFunc(parts, odd):
		return fmt.Errorf("prefix %q has a part that is empty, \".\" or \"..\"", prefix)
	}
	return nil
}

package ui

import (
	"fmt"
	"regexp"
	"strings"

	"ropewalk/cmd/ropewalk/internal/visible"
)

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+:,./…-][A-Za-z0-9_@%+=:,./…-]*$`)

// Quote quotes a word for a POSIX shell. Hidden characters are written as octal
// bytes, $'\342\200\256', so that the word can be copied.
func Quote(word string) string {
	switch {
	case plainWord.MatchString(word):
		return word
	case visible.Text(word) == word:
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	var out strings.Builder
	for i := range len(word) {
		switch b := word[i]; {
		case b == '\'' || b == '\\':
			out.WriteString("\\" + string(b))
		case b >= ' ' && b <= '~':
			out.WriteByte(b)
		default:
			fmt.Fprintf(&out, `\%03o`, b)
		}
	}
	return "$'" + out.String() + "'"
}

// Operand quotes the last argument of a command line. An argument that looks like
// a flag comes after --.
func Operand(word string) string {
	if strings.HasPrefix(word, "-") {
		return "-- " + Quote(word)
	}
	return Quote(word)
}

// Flagged returns a command line with an argument and a flag. The flag comes
// last, unless the argument looks like a flag.
func Flagged(command, word, flag string) string {
	if strings.HasPrefix(word, "-") {
		return command + " " + flag + " " + Operand(word)
	}
	return command + " " + Quote(word) + " " + flag
}

package main

import (
	"fmt"
	"regexp"
	"strings"

	"ropewalk/cmd/ropewalk/internal/visible"
)

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+:,./…-][A-Za-z0-9_@%+=:,./…-]*$`)

// quote returns a word as a POSIX shell takes it. A word with hidden characters
// is written with their bytes, $'\342\200\256', so that it can be copied.
func quote(word string) string {
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

// operand returns an argument of a command as a shell takes it, for the end of
// a line: after -- where it would be read as a flag.
func operand(word string) string {
	if strings.HasPrefix(word, "-") {
		return "-- " + quote(word)
	}
	return quote(word)
}

// flagged returns a command with an argument and a flag. The flag comes last,
// unless the argument would be read as a flag.
func flagged(command, word, flag string) string {
	if strings.HasPrefix(word, "-") {
		return command + " " + flag + " " + operand(word)
	}
	return command + " " + quote(word) + " " + flag
}

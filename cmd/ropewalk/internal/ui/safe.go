package ui

import (
	"fmt"

	"ropewalk/cmd/ropewalk/internal/visible"
)

// Safe is text that a terminal shows as it is: text of the command itself, or
// escaped text.
type Safe string

// Safef formats text for people. It escapes every argument, newlines included,
// except numbers and safe text. Foreign text can therefore write only characters
// to a terminal, and cannot begin a line.
func Safef(format string, args ...any) Safe {
	safe := make([]any, len(args))
	for i, arg := range args {
		switch arg := arg.(type) {
		case Safe:
			safe[i] = string(arg)
		case int, int64, uint64, float64:
			safe[i] = arg
		default:
			safe[i] = visible.Text(fmt.Sprint(arg))
		}
	}
	return Safe(fmt.Sprintf(format, safe...))
}

package ui

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/visible"
)

// Confirm asks on the terminal for a word, which must be typed before something
// is done. With yes it does not ask. Without a terminal, or if something else
// was typed, it returns an error of class [cliexit.Usage].
func (s *Streams) Confirm(ctx context.Context, yes bool, word, what string) error {
	switch {
	case yes:
		return nil
	case s.JSON || !s.IsTerminal(s.In) || !s.IsTerminal(s.Err):
		return cliexit.WithHint(cliexit.Usagef("to %s must be confirmed, and there is no terminal to ask on", what), "confirm it with --yes")
	}
	word = visible.Text(word) // as it can be typed
	if _, err := io.WriteString(s.Err, string(Safef("Type %s to %s: ", word, what))); err != nil {
		return err
	}
	typed, err := bufio.NewReader(newInterruptible(ctx, s.In)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return InputError("-", err)
	}
	if strings.TrimSpace(typed) != word {
		return cliexit.Usagef("not confirmed: nothing was changed")
	}
	return nil
}

package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/ui"
	"ropewalk/cmd/ropewalk/internal/visible"
)

// confirm asks on the terminal for a word that must be typed before something
// is done, unless yes says that it was confirmed. Its errors are failures of
// usage: there is no terminal, or something else was typed.
func (a *app) confirm(ctx context.Context, yes bool, word, what string) error {
	switch {
	case yes:
		return nil
	case a.json || !a.terminal(a.stdin) || !a.terminal(a.stderr):
		return cliexit.WithHint(cliexit.Usagef("to %s must be confirmed, and there is no terminal to ask on", what), "confirm it with --yes")
	}
	word = visible.Text(word) // as it can be typed
	if _, err := io.WriteString(a.stderr, string(ui.Safef("Type %s to %s: ", word, what))); err != nil {
		return err
	}
	typed, err := bufio.NewReader(newInterruptible(ctx, a.stdin)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return inputError("-", err)
	}
	if strings.TrimSpace(typed) != word {
		return cliexit.Usagef("not confirmed: nothing was changed")
	}
	return nil
}

package main

import (
	"context"
	"fmt"
	"strings"

	"ropewalk/backends/sqlitestore"
	"ropewalk/cmd/ropewalk/internal/ui"
)

// order is the aggregate that the demo is about.
const order = "order-4711"

// demo is a story, shown by running the command. It prints one text on stdout,
// with the errors of the commands.
type demo struct {
	*ui.Streams
	dir   string
	store string // its URL
	env   []string
}

func (d demo) open() (*sqlitestore.Store, error) {
	return sqlitestore.Open(strings.TrimPrefix(d.store, "file:"), nil)
}

// steps takes each step until one fails.
func (demo) steps(all ...func() error) error {
	for _, step := range all {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// say prints a comment, apart from what came before.
func (d demo) say(text string) func() error {
	return func() error { return d.Print("\n%s\n", d.Paint(d.Out, ui.Green, "# "+text)) }
}

// command prints a line as it is typed into a shell.
func (d demo) command(line string) func() error {
	return func() error { return d.Print("%s\n", d.Paint(d.Out, ui.Cyan, "$ "+line)) }
}

// run prints the line that runs the command with these arguments, and runs it.
func (d demo) run(ctx context.Context, exit int, args ...string) func() error {
	return d.typed(ctx, exit, "", "", args)
}

// pipe is run with a line on stdin.
func (d demo) pipe(ctx context.Context, exit int, line string, args ...string) func() error {
	return d.typed(ctx, exit, "echo "+ui.Quote(line)+" | ", line+"\n", args)
}

func (d demo) typed(ctx context.Context, exit int, before, stdin string, args []string) func() error {
	return func() error {
		words := make([]string, len(args))
		for i, arg := range args {
			words[i] = ui.Quote(arg)
		}
		if err := d.command(before + "ropewalk " + strings.Join(words, " "))(); err != nil {
			return err
		}
		got := Run(ctx, append(args, "--color", d.Color), strings.NewReader(stdin), d.Out, d.Out, d.env)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if got != exit {
			return fmt.Errorf("ropewalk %s: exit code %d instead of %d", args[0], got, exit)
		}
		return nil
	}
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"ropewalk/backends/sqlitestore"
	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/ui"
)

func newDemo(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show in seconds what chains are: appends, a race, a lost reply, a proof",
		Long: `Make a store in a temporary folder and show what chains are: appends, two
writers that race, an append whose outcome is unknown at first, and a flipped
byte that verify finds. It needs no network, and leaves the store for you to play with.`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.JSON || a.store != "" {
				return cliexit.Usagef("demo has neither --json nor --store: it makes a store of its own, and is for people")
			}
			return a.runDemo(cmd.Context())
		},
	}
}

// demo is a story shown by running the command. It prints one text, on stdout:
// the errors of the commands are part of it.
type demo struct {
	*app
	dir   string
	store string // its URL
	env   []string
}

func (a *app) runDemo(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "ropewalk-demo-")
	if err != nil {
		return err
	}
	d := demo{app: a, dir: dir, store: "file:" + filepath.Join(dir, "ropewalk.db")}
	for name, value := range a.Env {
		d.env = append(d.env, name+"="+value)
	}
	d.env = append(d.env, "ROPEWALK_STORE="+d.store)
	for _, act := range []func(context.Context) error{d.begin, d.race, d.loseReply, d.look, d.flipByte, d.farewell} {
		if err := act(ctx); err != nil {
			return errors.Join(err, os.RemoveAll(dir))
		}
	}
	return nil
}

func (d demo) begin(ctx context.Context) error {
	return d.steps(
		d.say("A store is a file here; in the cloud it is a bucket. Nothing else runs."),
		d.command("export ROPEWALK_STORE="+ui.Quote(d.store)),
		d.say("Begin the history of an order, and go on with it. What it is now has to be said."),
		d.pipe(ctx, 0, `{"type":"created","customer":"alice"}`, "append", order, "--new"),
		d.pipe(ctx, 0, `{"type":"paid","amount":42}`, "append", order, "--after", "0", "--meta", "correlation-id=91c2"),
		d.pipe(ctx, 0, `{"type":"created","customer":"bob"}`, "append", "order-4712", "--new"),
	)
}

// look shows what became of it all.
func (d demo) look(ctx context.Context) error {
	return d.steps(
		d.say("The chain, newest first; its contents, oldest first; its shape; and the proof of it all."),
		d.run(ctx, 0, "log", order),
		d.run(ctx, 0, "cat", order+"@0.."),
		d.run(ctx, 0, "graph", order),
		d.run(ctx, 0, "verify", "--all"),
	)
}

// flipByte has verify find one changed byte in a copy of the store.
func (d demo) flipByte(ctx context.Context) error {
	path := filepath.Join(d.dir, "copy.db")
	return d.steps(
		d.say("Somebody changes one byte in a copy of the file: alice has paid 43, not 42."),
		func() error { return d.forge(ctx, path) },
		d.run(ctx, cliexit.Found.Exit, "verify", "--all", "--store", "file:"+path),
		d.say("Exit code 6: the line above names the changeset and its object. No reader goes past it:"),
		d.run(ctx, cliexit.Corrupt.Exit, "cat", order+"@0..", "--store", "file:"+path),
	)
}

// forge makes a copy of the store and changes one byte in it.
func (d demo) forge(ctx context.Context, path string) error {
	s, err := d.open()
	if err != nil {
		return err
	}
	if err := errors.Join(s.Backup(ctx, path), s.Close()); err != nil {
		return err
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	honest, forged := []byte(`"amount":42`), []byte(`"amount":43`)
	if bytes.Count(file, honest) != 1 {
		return fmt.Errorf("%s does not hold %s once", path, honest)
	}
	return os.WriteFile(path, bytes.Replace(file, honest, forged, 1), 0o600)
}

func (d demo) open() (*sqlitestore.Store, error) {
	return sqlitestore.Open(strings.TrimPrefix(d.store, "file:"), nil)
}

func (d demo) farewell(context.Context) error {
	return d.steps(
		d.say("The store stays, for you to go on with:"),
		d.command("export ROPEWALK_STORE="+ui.Quote(d.store)),
		d.command("ropewalk show "+order),
		d.command("ropewalk --help"),
		d.say("When you are done with it:"),
		d.command("rm -r "+ui.Quote(d.dir)),
	)
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

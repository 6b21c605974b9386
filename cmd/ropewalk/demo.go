package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/ui"
)

func newDemo(std *ui.Streams, stores *storeFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show in seconds what chains are: appends, a race, a lost reply, a proof",
		Long: `Make a store in a temporary folder and show what chains are: appends, two
writers that race, an append whose outcome is unknown at first, and a flipped
byte that verify finds. It needs no network, and leaves the store for you to play with.`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if std.JSON || stores.value != "" {
				return cliexit.Usagef("demo has neither --json nor --store: it makes a store of its own, and is for people")
			}
			return runDemo(cmd.Context(), std)
		},
	}
}

func runDemo(ctx context.Context, std *ui.Streams) error {
	dir, err := os.MkdirTemp("", "ropewalk-demo-")
	if err != nil {
		return err
	}
	d := demo{Streams: std, dir: dir, store: "file:" + filepath.Join(dir, "ropewalk.db")}
	for name, value := range std.Env {
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
		d.say("Begin the history of an order, and continue it. Each append names the changeset that it follows."),
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

func (d demo) farewell(context.Context) error {
	return d.steps(
		d.say("The store stays, for you to go on with:"),
		d.command("export ROPEWALK_STORE="+ui.Quote(d.store)),
		d.command("ropewalk show "+order),
		d.command("ropewalk ui"),
		d.command("ropewalk --help"),
		d.say("When you are done with it:"),
		d.command("rm -r "+ui.Quote(d.dir)),
	)
}

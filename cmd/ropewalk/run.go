package main

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/redact"
	"ropewalk/cmd/ropewalk/internal/ui"
)

// Run runs the command with its arguments, without the program's name, and
// returns its exit code. The context's end interrupts it. Of two variables of
// one name in env, the last one counts.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, env []string) int {
	return newApp(stdin, stdout, stderr, env).run(ctx, args)
}

func (a *app) run(ctx context.Context, args []string) int {
	a.Guard(ctx)
	root := newRoot(a)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && !a.began {
		a.JSON = a.JSON || slices.Contains(args, "--json")
		err = asUsage(root, args, err)
	}
	return a.end(ctx, explainReference(args, err))
}

// app is one run of the command: its streams, its environment and the flags
// that every command has.
type app struct {
	*ui.Streams
	place func(rawURL string, env map[string]string) (place, error)

	store   string
	verbose bool
	began   bool // the arguments were understood
}

func newApp(stdin io.Reader, stdout, stderr io.Writer, env []string) *app {
	a := &app{Streams: ui.NewStreams(stdin, stdout, stderr, env), place: parsePlace}
	a.Redact = func(text string) string { return redact.New(a.storeURL(), a.Env).Text(text) }
	return a
}

const rootHelp = `Ropewalk keeps the history of event-sourced aggregates as chains of immutable
changesets in object storage, or in one SQLite file. This command appends to
chains, walks them back, proves them, and shows what happened to them.

Stores (--store, or the variable ROPEWALK_STORE):
  file:PATH                              one SQLite file; file:ropewalk.db is the default
  mem:                                   memory, for the time of one command
  s3://BUCKET/PREFIX?region=R            changesets and heads in S3
  aws://BUCKET/PREFIX?table=T&region=R   changesets in S3, heads in DynamoDB
  azure://ACCOUNT/PREFIX?changesets=C&heads=H
                                         containers of Azure Blob Storage
Credentials are those that the service's own tools use, in Azure also those of
AZURE_STORAGE_CONNECTION_STRING. endpoint=URL and path-style=true reach emulators
and compatible services.

References:
  ID              an aggregate, or its newest changeset
  ID@7            the changeset at version 7
  ID@7.UUID       exactly this changeset, in the chain or not; the end of the UUID will do
  ID@2..5, ID@5.. the versions 2 to 5, and 5 to the newest
  ID@{2026-01-31} the newest changeset recorded by the end of that day (UTC), or by
                  a time as in ID@{2026-01-31T09:30:00Z}
An ID that itself ends like one of these takes an @ behind it: user@7@.

Exit codes: 0 done, 1 other failure, 2 usage, 3 not found, 4 conflict or erased,
5 uncertain whether it was committed, 6 corrupt, 7 storage missing, denied or
unreachable, 130 interrupted.`

// colors are the values of --color.
var colors = []string{"auto", "always", "never"}

// newRoot returns the command with all its subcommands.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:                "ropewalk",
		Short:              "Histories of aggregates, as chains of changesets in object storage",
		Long:               rootHelp,
		SilenceErrors:      true,
		SilenceUsage:       true,
		DisableSuggestions: true, // asUsage makes a hint of them
		CompletionOptions:  cobra.CompletionOptions{DisableDefaultCmd: true},
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if !slices.Contains(colors, a.Color) {
				return cliexit.Usagef("--color %s: want auto, always or never", a.Color)
			}
			a.began = true
			return nil
		},
	}
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	flags := root.PersistentFlags()
	flags.StringVar(&a.store, "store", "", "URL of the store (default: $ROPEWALK_STORE, or file:ropewalk.db)")
	flags.BoolVar(&a.JSON, "json", false, "print JSON, one object a line")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "show every storage request on stderr")
	flags.StringVar(&a.Color, "color", "auto", "colour: auto, always or never")
	completeFlag(root, "store", []string{"file:", "mem:", "s3://", "aws://", "azure://"}, cobra.ShellCompDirectiveNoSpace)
	completeFlag(root, "color", colors, cobra.ShellCompDirectiveDefault)
	root.AddCommand(commands(a)...)
	for _, cmd := range root.Commands() {
		explainArguments(cmd)
	}
	root.SetHelpCommand(newHelp())
	return root
}

// commands returns all subcommands; help sorts them.
func commands(a *app) []*cobra.Command {
	return []*cobra.Command{
		newAppend(a),
		newBackup(a),
		newBench(a),
		newCat(a),
		newCompletion(a),
		newDemo(a),
		newErase(a),
		newExport(a),
		newGC(a),
		newGraph(a),
		newHead(a),
		newImport(a),
		newInit(a),
		newLog(a),
		newLs(a),
		newRebuildHead(a),
		newRestore(a),
		newSchema(a),
		newSettle(a),
		newShow(a),
		newVerify(a),
		newVersion(a),
	}
}

// asUsage makes a failure of an error that came before any command began.
func asUsage(root *cobra.Command, args []string, err error) error {
	if cliexit.IsOwn(err) {
		return err
	}
	found, rest, _ := root.Find(args)
	hint := "see " + found.CommandPath() + " --help"
	if found == root && len(rest) > 0 {
		if name := familiarNames[rest[0]]; name != "" {
			return cliexit.WithHint(cliexit.Wrap(cliexit.Usage, err), "did you mean ropewalk %s?", name)
		}
		root.SuggestionsMinimumDistance = 2
		if near := root.SuggestionsFor(rest[0]); len(near) > 0 {
			hint = "did you mean ropewalk " + strings.Join(near, ", or ") + "?"
		}
	}
	return cliexit.WithHint(cliexit.Wrap(cliexit.Usage, err), "%s", hint)
}

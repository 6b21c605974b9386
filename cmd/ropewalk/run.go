package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/location"
	"ropewalk/cmd/ropewalk/internal/redact"
	"ropewalk/cmd/ropewalk/internal/ui"
)

// Run runs the command with its arguments, without the program's name, and
// returns its exit code. The end of the context interrupts it. The last of several
// variables with the same name counts.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, env []string) int {
	std := ui.NewStreams(stdin, stdout, stderr, env)
	return run(ctx, std, newStoreFlags(std), args)
}

// newStoreFlags returns the flags of a run before they are parsed. Messages are
// free of the secrets of the stores' URLs and of the environment.
func newStoreFlags(std *ui.Streams) *storeFlags {
	stores := &storeFlags{std: std, parse: location.Parse}
	std.Redact = func(text string) string {
		for _, other := range stores.others {
			text = redact.New(other, nil).Text(text)
		}
		return redact.New(stores.url(), std.Env).Text(text)
	}
	return stores
}

func run(ctx context.Context, std *ui.Streams, stores *storeFlags, args []string) int {
	std.Guard(ctx)
	began := false
	root := newRoot(std, stores)
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if !slices.Contains(colors, std.Color) {
			return cliexit.Usagef("--color %s: want auto, always or never", std.Color)
		}
		began = true
		return nil
	}
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && !began {
		std.JSON = std.JSON || slices.Contains(args, "--json")
		err = asUsage(root, args, err)
	}
	return end(ctx, std, stores.url(), explainReference(args, err))
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
With format=packed, the appends to new chains, and to chains of one object for each
changeset, begin packed chains: most appends are one request, and reads are few.
tip=BYTES bounds what a head may hold; without it the storage decides.
Credentials are found as the service's own tools find them; in Azure also in
AZURE_STORAGE_CONNECTION_STRING. endpoint=URL and path-style=true reach emulators
and compatible services.

References:
  ID              an aggregate, or its newest changeset
  ID@7            the changeset at version 7
  ID@7.UUID       exactly this changeset, in the chain or not; the end of the UUID will do
  ID@2..5, ID@5.. the versions 2 to 5, and 5 to the newest
  ID@{2026-01-31} the newest changeset recorded by the end of that day (UTC), or by
                  a time as in ID@{2026-01-31T09:30:00Z}
  ID@{2026-01-01}..{2026-01-31}, ID@{2026-01-01}..
                  what was recorded in these days, and from the beginning of that day
An ID that itself ends like one of these takes an @ after it: user@7@.

Exit codes: 0 done, 1 other failure, 2 usage, 3 not found, 4 conflict or erased,
5 uncertain whether it was committed, 6 corrupt, 7 storage missing, denied or
unreachable, 130 interrupted.`

// storeSchemes begin the URLs of stores.
var storeSchemes = []string{"file:", "mem:", "s3://", "aws://", "azure://"}

// colors are the values of --color.
var colors = []string{"auto", "always", "never"}

// newRoot returns the command with all its subcommands.
func newRoot(std *ui.Streams, stores *storeFlags) *cobra.Command {
	root := &cobra.Command{
		Use:                "ropewalk",
		Short:              "Histories of aggregates, as chains of changesets in object storage",
		Long:               rootHelp,
		SilenceErrors:      true,
		SilenceUsage:       true,
		DisableSuggestions: true, // asUsage gives them as a hint
		CompletionOptions:  cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetIn(std.In)
	root.SetOut(std.Out)
	root.SetErr(std.Err)
	flags := root.PersistentFlags()
	flags.StringVar(&stores.value, "store", "", "URL of the store (default: $ROPEWALK_STORE, or file:ropewalk.db)")
	flags.BoolVar(&std.JSON, "json", false, "print JSON, one object a line")
	flags.BoolVarP(&stores.verbose, "verbose", "v", false, "show every storage request on stderr")
	flags.StringVar(&std.Color, "color", "auto", "colour: auto, always or never")
	completeFlag(root, "store", storeSchemes, cobra.ShellCompDirectiveNoSpace)
	completeFlag(root, "color", colors, cobra.ShellCompDirectiveDefault)
	root.AddCommand(commands(std, stores)...)
	explainAll(root)
	root.SetHelpCommand(newHelp())
	return root
}

// commands returns all subcommands; help sorts them.
func commands(std *ui.Streams, stores *storeFlags) []*cobra.Command {
	return []*cobra.Command{
		newAppend(std, stores),
		newArchive(std, stores),
		newBackup(std, stores),
		newBench(std, stores),
		newCat(std, stores),
		newCompletion(std),
		newCopy(std, stores),
		newDemo(std, stores),
		newDiff(std, stores),
		newDoctor(std, stores),
		newErase(std, stores),
		newExport(std, stores),
		newFeed(std, stores),
		newFlush(std, stores),
		newGC(std, stores),
		newGraph(std, stores),
		newHead(std, stores),
		newImport(std, stores),
		newInit(std, stores),
		newLog(std, stores),
		newLs(std, stores),
		newMigrate(std, stores),
		newRebuildHead(std, stores),
		newRelay(std, stores),
		newRestore(std, stores),
		newSchema(std),
		newSettle(std, stores),
		newShow(std, stores),
		newStats(std, stores),
		newSubscriptions(std, stores),
		newUI(std, stores),
		newVerify(std, stores),
		newVersion(std),
		newWatch(std, stores),
	}
}

// asUsage makes an error of class usage of an error that came before any command
// began, with the command that was meant as a hint.
func asUsage(root *cobra.Command, args []string, err error) error {
	if cliexit.IsOwn(err) {
		return err
	}
	if e, ok := errors.AsType[*strconv.NumError](err); ok && e.Func == "ParseUint" {
		err = errors.New(strings.ReplaceAll(err.Error(), e.Error(), "want a whole number of 0 or more"))
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

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"ropewalk/cmd/ropewalk/internal/cliexit"
	"ropewalk/cmd/ropewalk/internal/importer"
	"ropewalk/cmd/ropewalk/internal/ui"
)

// importFlags are the flags of import.
type importFlags struct {
	field      string
	group      int
	parallel   int
	skipErased bool
	allowEmpty bool
}

func newImport(std *ui.Streams, stores *storeFlags) *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Import events from NDJSON",
		Long: `Import events, one JSON object a line, each into the chain of the aggregate that
one of its fields names; - stands for standard input. Each line is stored as it
is, and ropewalk export prints it again. Exceptions: blank lines are left out, a
last line without a newline gets one, and a byte order mark before the first
line is skipped. A line holds at most 64 MiB.

Running an interrupted import again continues where it stopped; repeating a
finished import adds nothing. A chain whose changesets differ from the import is
refused with exit code 4. The first bad line ends the import, and the error names
it; the lines before it are kept.

An erased aggregate ends the import with exit code 4. With --skip-erased the
lines of erased aggregates are left out and counted. Input without any line is
refused with exit code 2, since it is usually the output of a command that
failed; --allow-empty accepts it.

With --group the events of an aggregate are gathered from the whole file, in
memory up to 256 MiB. Beyond that, the group that began first is closed early.`,
		Example: `  ropewalk import orders.ndjson
  zstdcat orders.ndjson.zst | ropewalk import - --aggregate-field order_id --group 100`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runImport(cmd.Context(), std, stores, f, args[0])
		},
	}
	cmd.Flags().StringVar(&f.field, "aggregate-field", "aggregate", "`FIELD` that holds the aggregate ID")
	cmd.Flags().IntVar(&f.group, "group", 1, "put `N` events of an aggregate into one changeset")
	cmd.Flags().IntVar(&f.parallel, "parallel", 16, "work on `N` aggregates at once, where each is a request of its own")
	cmd.Flags().BoolVar(&f.skipErased, "skip-erased", false, "leave out the events of erased aggregates, and count them")
	cmd.Flags().BoolVar(&f.allowEmpty, "allow-empty", false, "accept input without any line")
	return cmd
}

func (f importFlags) check() error {
	switch {
	case f.group < 1:
		return cliexit.Usagef("--group %d: want 1 or more", f.group)
	case f.parallel < 1 || f.parallel > 1024:
		return cliexit.Usagef("--parallel %d: want 1 to 1024", f.parallel)
	}
	return checkField(f.field)
}

func runImport(ctx context.Context, std *ui.Streams, stores *storeFlags, f importFlags, file string) error {
	if err := f.check(); err != nil {
		return err
	}
	in, err := std.OpenInput(ctx, file)
	if err != nil {
		return err
	}
	defer in.Close()
	read := importer.NewLines(file, in)
	if err := read.Begin(); errors.Is(err, io.EOF) && !f.allowEmpty {
		return cliexit.WithHint(cliexit.Usagef("%s has no lines to import", ui.InputName(file)), "--allow-empty accepts it")
	} else if err != nil && !errors.Is(err, io.EOF) {
		return errors.Join(err, printImport(std, importer.Result{}))
	}
	bar := std.NewProgress(sizeOf(in), true, "importing")
	return withNewStore(ctx, stores, func(s *store) error {
		result, err := importer.Run(ctx, s.Store, read, importer.Options{
			Field: f.field, Group: f.group, Parallel: f.parallel, SkipErased: f.skipErased, Progress: bar,
		})
		bar.End()
		return errors.Join(err, printImport(std, result))
	})
}

// sizeOf returns the size of a regular file, and -1 for anything else.
func sizeOf(in io.Reader) int64 {
	if f, ok := in.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			return info.Size()
		}
	}
	return -1
}

// importJSON is the result of import with --json.
type importJSON struct {
	ui.Kind
	Imported countsJSON `json:"imported"`
	Skipped  countsJSON `json:"skipped"`
	Erased   countsJSON `json:"erased,omitzero"` // left out by --skip-erased
}

// countsJSON counts aggregates and their changesets. An aggregate counts as
// imported if anything of it was imported.
type countsJSON struct {
	Aggregates int64 `json:"aggregates"`
	Changesets int64 `json:"changesets"`
	Events     int64 `json:"events"`
}

// printImport prints the counts of an import, also if an error ended it.
func printImport(std *ui.Streams, r importer.Result) error {
	if std.JSON {
		return std.Unread(std.Emit(importJSON{ui.KindOf("import"), countsJSON(r.Imported), countsJSON(r.Skipped), countsJSON(r.Erased)}), "%s", r)
	}
	return std.Unread(std.Print("%s\n", r), "%s", r)
}

// checkField checks the value of --aggregate-field.
func checkField(field string) error {
	switch {
	case field == "":
		return cliexit.Usagef("--aggregate-field must not be empty")
	case !utf8.ValidString(field):
		return cliexit.Usagef("--aggregate-field %q is not UTF-8", field)
	}
	return nil
}

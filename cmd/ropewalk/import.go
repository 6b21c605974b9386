package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"

	"ropewalk/cmd/ropewalk/internal/cliexit"
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

func newImport(a *app) *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Import events from NDJSON",
		Long: `Import events, one JSON object a line, each into the chain of the aggregate that
one of its fields names; - stands for standard input. Each line is stored as it
is, and ropewalk export gives it back. Exceptions: empty lines are left out, a
last line without a newline gets one, and a byte order mark before the first
line is skipped. A line holds at most 64 MiB.

An import that was interrupted continues where it stopped when it is run again;
repeating a finished import adds nothing. A chain whose changesets differ from
the import is refused with exit code 4. The first bad line ends the import, and
is named; the lines before it are kept.

An erased aggregate ends the import with exit code 4. With --skip-erased the
lines of erased aggregates are left out and counted. Input without any line is
refused with exit code 2, since it is usually the output of a command that
failed; --allow-empty accepts it.

With --group the events of an aggregate are gathered from all over the file,
in memory up to 256 MiB; beyond that the group that began first is closed early.`,
		Example: `  ropewalk import orders.ndjson
  zstdcat orders.ndjson.zst | ropewalk import - --aggregate-field order_id --group 100`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runImport(cmd.Context(), f, args[0]) },
	}
	cmd.Flags().StringVar(&f.field, "aggregate-field", "aggregate", "`FIELD` that holds the aggregate ID")
	cmd.Flags().IntVar(&f.group, "group", 1, "put `N` events of an aggregate into one changeset")
	cmd.Flags().IntVar(&f.parallel, "parallel", 16, "work on `N` aggregates at once")
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

func (a *app) runImport(ctx context.Context, f importFlags, file string) error {
	if err := f.check(); err != nil {
		return err
	}
	in, err := a.OpenInput(ctx, file)
	if err != nil {
		return err
	}
	defer in.Close()
	read := newLines(file, in)
	if err := read.begin(); errors.Is(err, io.EOF) && !f.allowEmpty {
		return cliexit.WithHint(cliexit.Usagef("%s has no lines to import", ui.InputName(file)), "--allow-empty accepts it")
	} else if err != nil && !errors.Is(err, io.EOF) {
		return errors.Join(err, a.printImport(newImportJSON()))
	}
	bar := a.NewProgress(sizeOf(in), true, "importing")
	return a.writing(ctx, func(s *store) error {
		m := newImporter(ctx, s, file, f, bar)
		err := m.run(read)
		bar.End()
		return errors.Join(err, a.printImport(m.result()))
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

// run imports all lines of a file, and returns when no append is under way.
func (m *importer) run(in *lines) error {
	groups := newGroups(m.flags.group, maxHeld)
	err := m.feed(in, groups)
	if errors.Is(err, io.EOF) {
		// Only a whole file closes the groups that are not full: after an error
		// the next run would fill them with the events that are still to come.
		err = m.submit(groups.closeAll()...)
	}
	if failed := m.wait(); failed != nil {
		return failed
	}
	if errors.Is(err, context.Canceled) {
		return cliexit.WithHint(err, againHint)
	}
	return err
}

// feed reads line after line and submits the groups that are full. It returns
// io.EOF at the end of the file.
func (m *importer) feed(in *lines, groups *groups) error {
	for {
		line, err := in.next()
		if err != nil {
			return err
		}
		id, err := aggregateOf(line.text, m.flags.field)
		if err != nil {
			return in.bad(err)
		}
		if err := m.submit(groups.add(id, line)...); err != nil {
			return err
		}
	}
}

// againHint says what to do about an import that was interrupted.
const againHint = "run the same import again to continue"

// importJSON is what import prints with --json.
type importJSON struct {
	ui.Kind
	Imported countsJSON `json:"imported"`
	Skipped  countsJSON `json:"skipped"`
	Erased   countsJSON `json:"erased,omitzero"` // left out by --skip-erased
}

func newImportJSON() importJSON { return importJSON{Kind: ui.KindOf("import")} }

// countsJSON counts aggregates and their changesets. An aggregate of which
// anything was imported counts as imported.
type countsJSON struct {
	Aggregates int64 `json:"aggregates"`
	Changesets int64 `json:"changesets"`
	Events     int64 `json:"events"`
}

func (c countsJSON) String() string {
	return ui.Plural(c.Aggregates, "aggregate") + ", " + ui.Plural(c.Changesets, "changeset") + ", " + ui.Plural(c.Events, "event")
}

func (r importJSON) String() string {
	text := "imported " + r.Imported.String()
	if r.Skipped != (countsJSON{}) {
		text += "; there already: " + r.Skipped.String()
	}
	if r.Erased != (countsJSON{}) {
		text += "; left out as erased: " + r.Erased.String()
	}
	return text
}

// printImport prints the counts of an import, also if an error ended it.
func (a *app) printImport(r importJSON) error {
	if a.JSON {
		return a.Unread(a.Emit(r), "%s", r)
	}
	return a.Unread(a.Print("%s\n", r), "%s", r)
}

package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// importFlags are the flags of import.
type importFlags struct {
	field    string
	group    int
	parallel int
}

func newImport(a *app) *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Import events from NDJSON",
		Long: `Import events, one JSON object a line, each into the chain of the aggregate that
one of its fields names; - stands for standard input. Lines are kept as they
are. Empty lines are left out.

An import that was ended, in whatever way, continues where it stopped when it
is run again, and one that is repeated adds nothing. A chain that holds
something else than would be imported is refused with exit code 4. A bad line
ends the import; what came before is kept.

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
	return cmd
}

func (f importFlags) check() error {
	switch {
	case f.field == "":
		return usagef("--aggregate-field must not be empty")
	case f.group < 1:
		return usagef("--group %d: want 1 or more", f.group)
	case f.parallel < 1 || f.parallel > 1024:
		return usagef("--parallel %d: want 1 to 1024", f.parallel)
	}
	return nil
}

func (a *app) runImport(ctx context.Context, f importFlags, file string) error {
	if err := f.check(); err != nil {
		return err
	}
	in, err := a.input(ctx, file)
	if err != nil {
		return err
	}
	defer in.Close()
	bar := a.newProgress(sizeOf(in), true, "importing")
	return a.writing(ctx, func(s *store) error {
		m := newImporter(ctx, s, file, f.parallel, bar)
		err := m.run(f, newLines(file, in))
		bar.end()
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

// run imports all lines of a file, and returns when no append is under way any more.
func (m *importer) run(f importFlags, in *lines) error {
	groups := newGroups(f.group, maxHeld)
	err := m.feed(f.field, in, groups)
	if errors.Is(err, io.EOF) {
		// Only a whole file closes the groups that are not full: after an error
		// the next run would fill them with the events that are still to come.
		err = m.submit(groups.closeAll()...)
	}
	if failed := m.wait(); failed != nil {
		return failed
	}
	return err
}

// feed reads line after line and submits the groups that are full. It returns
// io.EOF at the end of the file.
func (m *importer) feed(field string, in *lines, groups *groups) error {
	for {
		line, err := in.next()
		if err != nil {
			return err
		}
		id, err := aggregateOf(line.text, field)
		if err != nil {
			return in.bad(err)
		}
		if err := m.submit(groups.add(id, line)...); err != nil {
			return err
		}
	}
}

// importJSON is what import prints with --json.
type importJSON struct {
	kind
	Imported countsJSON `json:"imported"`
	Skipped  countsJSON `json:"skipped"`
}

// countsJSON counts what import has done, or what was there already. An
// aggregate of which anything was imported counts as imported.
type countsJSON struct {
	Aggregates int64 `json:"aggregates"`
	Changesets int64 `json:"changesets"`
	Events     int64 `json:"events"`
}

func (c countsJSON) String() string {
	return plural(c.Aggregates, "aggregate") + ", " + plural(c.Changesets, "changeset") + ", " + plural(c.Events, "event")
}

// printImport prints what was imported, also where an error ended it.
func (a *app) printImport(r importJSON) error {
	if a.json {
		return a.emit(r)
	}
	text := "imported " + r.Imported.String()
	if r.Skipped != (countsJSON{}) {
		text += "; there already: " + r.Skipped.String()
	}
	return a.print("%s\n", text)
}

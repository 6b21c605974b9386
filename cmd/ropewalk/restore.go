package main

import (
	"context"

	"github.com/spf13/cobra"

	"ropewalk/cmd/ropewalk/internal/ui"
)

// restoreJSON is what restore prints with --json.
type restoreJSON struct {
	ui.Kind
	Store  string `json:"store"`
	File   string `json:"file"`
	Former string `json:"former,omitempty"`
}

func newRestore(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup of a SQLite store in its place",
		Long: `Put a backup in the place of a store in a SQLite file. FILE is what ropewalk
backup has written, or a copy of the file of a store that no program had open. It
is read and checked first, and stays as it is.

No program may have the store open: stop them first. The former store is kept
beside the new one, under a name that the command prints; nothing is deleted.`,
		Example:           "  ropewalk restore ropewalk-2026-11-28.db",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeFiles,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.restore(cmd.Context(), args[0]) },
	}
}

func (a *app) restore(ctx context.Context, file string) error {
	f, err := a.sqliteFile("restore")
	if err != nil {
		return err
	}
	former, err := f.restore(ctx, file)
	switch {
	case err != nil:
		return err
	case a.JSON:
		err = a.Emit(restoreJSON{ui.KindOf("restore"), a.storeURL(), file, former})
	case former == "":
		err = a.Print("%s is restored from %s\n", a.storeURL(), file)
	default:
		err = a.Print("%s is restored from %s\nthe former store is kept: %s\n", a.storeURL(), file, former)
	}
	return a.Unread(err, "%s is restored from %s", a.storeURL(), file)
}
